use thiserror::Error;

/// The reason why octets were refused, or why something cannot be written.
///
/// The text names the frame, method or table, the field, and the limit. No text contains octets of
/// the peer, except numbers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// The type octet of a frame is none of method, header, body and heartbeat (AMQP 0-9-1
    /// 4.2.3).
    #[error("a frame has the type {kind}, which is none of method, header, body and heartbeat")]
    FrameKind {
        /// The type octet.
        kind: u8,
    },
    /// A frame is larger than `frame_max`, with its head and end octet.
    #[error("a frame of {size} bytes exceeds frame_max, which is {limit} bytes")]
    FrameTooLarge {
        /// The size of the frame, in bytes, with its head and end octet.
        size: u64,
        /// The limit, in bytes.
        limit: u32,
    },
    /// The last octet of a frame is not `0xCE` (AMQP 0-9-1 4.2.3).
    #[error("a frame ends with the octet {octet:#04x} instead of 0xce")]
    FrameEnd {
        /// The last octet.
        octet: u8,
    },
    /// A heartbeat has a channel other than 0, or a payload (AMQP 0-9-1 4.2.7).
    #[error("a heartbeat has channel={channel} and a payload of {size} bytes, and both must be 0")]
    Heartbeat {
        /// The channel.
        channel: u16,
        /// The size of the payload, in bytes.
        size: u32,
    },
    /// A connection does not begin with a protocol header (AMQP 0-9-1 4.2.2).
    #[error("the connection begins with octets that are no AMQP protocol header")]
    NoProtocolHeader,
    /// No method has these numbers.
    #[error("the method {method} of class {class} is unknown")]
    UnknownMethod {
        /// The class of the method.
        class: u16,
        /// The number of the method in its class.
        method: u16,
    },
    /// The octets end before a field does.
    #[error("{within} ends within the field {field}")]
    Truncated {
        /// The method, table or header.
        within: &'static str,
        /// The field.
        field: &'static str,
    },
    /// Octets follow the last field.
    #[error("{within} has {octets} bytes after its last field")]
    Trailing {
        /// The method or header.
        within: &'static str,
        /// The number of octets.
        octets: usize,
    },
    /// A field to write is longer than AMQP allows.
    #[error("{field} of {within} has {octets} bytes, and the limit is {limit} bytes")]
    TooLong {
        /// The method, table or header.
        within: &'static str,
        /// The field.
        field: &'static str,
        /// The length of the field, in bytes.
        octets: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Tables and arrays are nested too deep.
    #[error("{within} has more than {limit} levels of nested tables and arrays")]
    TooDeep {
        /// The method or header.
        within: &'static str,
        /// The maximum number of levels.
        limit: usize,
    },
    /// A value in a table has an unknown type (AMQP 0-9-1 4.2.5.5).
    #[error("{within} holds a value of the unknown type {kind}")]
    ValueKind {
        /// The method or header.
        within: &'static str,
        /// The type octet.
        kind: u8,
    },
    /// The flags of a property list name a property that does not exist (AMQP 0-9-1 4.2.6.1).
    #[error("the flags {flags:#06x} name a property that does not exist")]
    PropertyFlags {
        /// The flags.
        flags: u16,
    },
    /// A content header has a class other than basic, or a weight other than 0 (AMQP 0-9-1
    /// 4.2.6.1).
    #[error("a content header has class={class} and weight={weight}, and must have 60 and 0")]
    ContentClass {
        /// The class.
        class: u16,
        /// The weight.
        weight: u16,
    },
    /// A method cannot precede a header and a body.
    #[error("{method} carries no header and no body")]
    NoContent {
        /// The name of the method.
        method: &'static str,
    },
    /// More payload was reported as read than the body frame under way has.
    #[error("{read} bytes of a body were read, and {missing} bytes of its frame were missing")]
    BodyOverrun {
        /// The number of octets that were read.
        read: usize,
        /// The number of octets that were missing.
        missing: usize,
    },
}

impl WireError {
    /// Returns the reply code with which to close the connection over octets of the peer (AMQP
    /// 0-9-1 1.2).
    ///
    /// RabbitMQ uses the same codes.
    pub fn reply_code(&self) -> u16 {
        const FRAME_ERROR: u16 = 501;
        const SYNTAX_ERROR: u16 = 502;
        const UNEXPECTED_FRAME: u16 = 505;
        const NOT_IMPLEMENTED: u16 = 540;
        match self {
            WireError::FrameKind { .. }
            | WireError::FrameTooLarge { .. }
            | WireError::FrameEnd { .. }
            | WireError::Heartbeat { .. }
            | WireError::NoProtocolHeader
            | WireError::BodyOverrun { .. } => FRAME_ERROR,
            WireError::Truncated { .. }
            | WireError::Trailing { .. }
            | WireError::TooLong { .. }
            | WireError::TooDeep { .. }
            | WireError::ValueKind { .. }
            | WireError::PropertyFlags { .. } => SYNTAX_ERROR,
            WireError::ContentClass { .. } | WireError::NoContent { .. } => UNEXPECTED_FRAME,
            WireError::UnknownMethod { .. } => NOT_IMPLEMENTED,
        }
    }
}
