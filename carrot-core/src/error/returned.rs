//! Describes a returned message.

use std::fmt;

use crate::escaping::Shown;

/// A mandatory message that could not be routed.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Returned {
    /// The AMQP reply code, 312 for "no route".
    pub code: u16,
    /// The reply text of the broker.
    pub text: String,
    /// The exchange that the message was published to.
    pub exchange: String,
    /// The routing key of the message.
    pub routing_key: String,
    /// The id of the message, if set.
    pub message_id: Option<String>,
    /// The body of the message.
    pub body: Vec<u8>,
}

impl fmt::Debug for Returned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Returned")
            .field("code", &self.code)
            .field("text", &self.text)
            .field("exchange", &self.exchange)
            .field("routing_key", &self.routing_key)
            .field("message_id", &self.message_id)
            .field("body", &Shown(&self.body))
            .finish()
    }
}

impl Returned {
    /// Creates a returned message, for authors of a publisher.
    pub fn new(
        code: u16,
        text: impl Into<String>,
        exchange: &str,
        routing_key: &str,
        message_id: Option<&str>,
        body: &[u8],
    ) -> Returned {
        Returned {
            code,
            text: text.into(),
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            message_id: message_id.map(Into::into),
            body: body.into(),
        }
    }
}
