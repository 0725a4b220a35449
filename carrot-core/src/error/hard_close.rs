//! Describes the hard error over which a broker closed a connection.

use std::error::Error as StdError;
use std::fmt;

/// An AMQP hard error: the broker closed the connection because of an operation.
///
/// A driver sets this error as the source of [`Error::Disconnected`](crate::Error::Disconnected).
/// Only channels with an operation in flight that may be the cause receive this source.
/// [`Error::hard_close`](crate::Error::hard_close) returns this source.
///
/// ```
/// use std::sync::Arc;
///
/// use carrot::Error;
/// use carrot::backend::HardClose;
///
/// let close = HardClose::new(541, "INTERNAL_ERROR", 60, 40).with_suspects(3, 0);
/// let error = Error::Disconnected {
///     reason: "541 INTERNAL_ERROR".into(),
///     source: Some(Arc::new(close)),
/// };
/// assert_eq!(error.hard_close().map(|close| close.code), Some(541));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HardClose {
    /// The AMQP reply code.
    pub code: u16,
    /// The reply text of the broker.
    pub text: String,
    /// The class of the method that the broker refused, or zero if the broker named none.
    pub class_id: u16,
    /// The method that the broker refused, or zero if the broker named none.
    pub method_id: u16,
    /// The number of unconfirmed messages that may be the cause, on all channels of the connection.
    ///
    /// Zero if the driver does not know.
    pub messages: usize,
    /// The number of calls in flight that may be the cause, on all channels of the connection.
    ///
    /// Zero if the driver does not know.
    pub calls: usize,
}

impl HardClose {
    /// Creates a hard error without counts of messages and calls.
    pub fn new(code: u16, text: impl Into<String>, class_id: u16, method_id: u16) -> HardClose {
        HardClose { code, text: text.into(), class_id, method_id, messages: 0, calls: 0 }
    }

    /// Sets the number of messages and calls that may be the cause.
    #[must_use]
    pub fn with_suspects(self, messages: usize, calls: usize) -> HardClose {
        HardClose { messages, calls, ..self }
    }

    /// Returns whether the broker named the method that was refused.
    pub fn names_method(&self) -> bool {
        self.class_id != 0
    }
}

/// Omits the reply text, which the surrounding error contains.
impl fmt::Display for HardClose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names_method() {
            true => write!(
                formatter,
                "an AMQP hard error over method {}.{}",
                self.class_id, self.method_id
            ),
            false => formatter.write_str("an AMQP hard error that names no method"),
        }
    }
}

impl StdError for HardClose {}
