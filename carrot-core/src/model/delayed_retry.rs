use serde::{Deserialize, Serialize};

/// The requeued messages that a quorum queue delays (`x-delayed-retry-type`, RabbitMQ 4.3 and
/// later).
///
/// Set by [`Queue::delayed_retry`](crate::Queue::delayed_retry).
///
/// ```
/// use carrot::topology::DelayedRetry;
///
/// assert_eq!(DelayedRetry::Failed.as_str(), "failed");
/// assert_eq!(serde_json::to_string(&DelayedRetry::All)?, r#""all""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DelayedRetry {
    /// Delays failed and returned messages.
    All,
    /// Delays failed messages: those of a handler that failed (`basic.reject`), and those that a
    /// lost connection leaves unacknowledged.
    Failed,
    /// Delays returned messages (`basic.nack`): those of [`Message::requeue`], of dropped messages,
    /// and of a consumer that stops.
    ///
    /// [`Message::requeue`]: crate::Message::requeue
    Returned,
}

impl DelayedRetry {
    /// Returns the value of the `x-delayed-retry-type` argument.
    pub fn as_str(self) -> &'static str {
        match self {
            DelayedRetry::All => "all",
            DelayedRetry::Failed => "failed",
            DelayedRetry::Returned => "returned",
        }
    }
}
