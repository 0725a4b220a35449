//! Why a broker closed a whole connection.

use std::error::Error as StdError;
use std::fmt;

/// An AMQP hard error: the broker closed the connection over an operation.
///
/// A driver puts it into [`Error::Disconnected`](crate::Error::Disconnected) as the source, for the
/// channels with an operation in flight that may have caused it.
/// [`Error::hard_close`](crate::Error::hard_close) finds it there.
///
/// ```
/// use std::sync::Arc;
///
/// use carrot::Error;
/// use carrot::backend::HardClose;
///
/// let close = HardClose::new(541, "INTERNAL_ERROR", 60, 40).among(3, 0);
/// let error = Error::Disconnected { reason: "541 INTERNAL_ERROR".into(), source: Some(Arc::new(close)) };
/// assert_eq!(error.hard_close().map(|close| close.code), Some(541));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HardClose {
    /// The reply code.
    pub code: u16,
    /// The broker's words.
    pub text: String,
    /// The class of the method that the broker refused; zero if it named none.
    pub class_id: u16,
    /// The method that the broker refused, within its class; zero if it named none.
    pub method_id: u16,
    /// How many messages without an answer may have caused it, on all channels of the connection;
    /// zero if the driver does not know.
    pub messages: usize,
    /// How many calls in flight may have caused it, on all channels of the connection; zero if the
    /// driver does not know.
    pub calls: usize,
}

impl HardClose {
    /// A hard error of which nothing more is known.
    pub fn new(code: u16, text: impl Into<String>, class_id: u16, method_id: u16) -> HardClose {
        HardClose { code, text: text.into(), class_id, method_id, messages: 0, calls: 0 }
    }

    /// The same, caused by one of so many messages and calls.
    #[must_use]
    pub fn among(self, messages: usize, calls: usize) -> HardClose {
        HardClose { messages, calls, ..self }
    }

    /// Whether the broker named the method that it refused.
    pub fn names_method(&self) -> bool {
        self.class_id != 0
    }
}

/// Without the broker's words, which are in the error around it.
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
