use std::time::Duration;

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settlement {
    /// Done with: [`Message::ack`](crate::Message::ack).
    Ack,
    /// Refused for good: [`Message::reject`](crate::Message::reject).
    Reject,
    /// Back to the queue, at once and uncounted: [`Message::requeue`](crate::Message::requeue).
    Requeue,
    /// Tried again after this long, rounded up to a power of two of seconds, 131,072 s at most. It
    /// counts as an attempt: after the last one, the message is parked.
    RetryAfter(Duration),
    /// Parked now, for this reason, which the header `carrot-error` will hold. Rejected if the
    /// consumer discards failed messages.
    Park(String),
}
