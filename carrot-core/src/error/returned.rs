//! Describes a returned message.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::escaping::Shown;

/// A mandatory message that could not be routed.
///
/// Serialized as a table of its fields, with the body as a list of bytes. A message id that is not
/// set is omitted. Unknown fields are ignored, so that messages of other versions can be read.
///
/// ```
/// use carrot::error::Returned;
///
/// let returned = Returned::new(312, "NO_ROUTE", "feed", "key", None, b"{}");
/// let json = serde_json::to_string(&returned)?;
/// assert_eq!(serde_json::from_str::<Returned>(&json)?, returned);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn returned_message_survives_json() {
        for id in [None, Some("m1")] {
            let returned = Returned::new(312, "NO_ROUTE", "feed", "key", id, &[0, 255]);
            let json = serde_json::to_string(&returned).unwrap();
            assert_eq!(json.contains("message_id"), id.is_some(), "{json}");
            assert_eq!(serde_json::from_str::<Returned>(&json).unwrap(), returned);
        }
    }
}
