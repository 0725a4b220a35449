use thiserror::Error;

/// The reason why octets of a broker were refused.
///
/// The text names the command, the field and the limit. No text contains octets of the peer, except
/// numbers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum OpenWireError {
    /// The octets end before a field does.
    #[error("{within} ends within the field {field}")]
    Truncated { within: &'static str, field: &'static str },
    /// A size prefix exceeds the limit of the client.
    #[error("a command of {size} bytes exceeds the limit of {limit} bytes")]
    FrameTooLarge { size: u64, limit: usize },
    /// A size prefix is zero: a command has a type at least.
    #[error("a command has no type")]
    EmptyFrame,
    /// A length is negative.
    #[error("{field} of {within} has the length {length}, which is negative")]
    NegativeLength { within: &'static str, field: &'static str, length: i32 },
    /// An object in a field has another type than the field.
    #[error("{field} of {within} holds an object of the type {kind}, which does not belong there")]
    ObjectKind { within: &'static str, field: &'static str, kind: u8 },
    /// A string is not modified UTF-8.
    #[error("{field} of {within} is not modified UTF-8")]
    Text { within: &'static str, field: &'static str },
    /// A value of a property map has an unknown type.
    #[error("{within} holds a value of the unknown type {kind}")]
    ValueKind { within: &'static str, kind: u8 },
    /// Maps and lists are nested too deep.
    #[error("{within} has more than {limit} levels of nested maps and lists")]
    TooDeep { within: &'static str, limit: usize },
    /// A wire format does not begin with the word that all of them begin with.
    #[error("the wire format does not begin with the word ActiveMQ")]
    Magic,
}
