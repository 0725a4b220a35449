use std::time::Duration;

/// The settlement of a message, returned by a handler.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settlement {
    /// Acknowledges the message, as [`Message::ack`](crate::Message::ack).
    Ack,
    /// Rejects the message, as [`Message::reject`](crate::Message::reject).
    Reject,
    /// Requeues the message at once, without counting an attempt, as
    /// [`Message::requeue`](crate::Message::requeue).
    Requeue,
    /// Tries the message again after this pause. Counts as an attempt; after the last attempt, the
    /// message is parked.
    ///
    /// The pause is rounded up to a power of two of seconds, at most 131,072 s.
    RetryAfter(Duration),
    /// Parks the message now, with this reason in the header `carrot-error`. Rejects the message if
    /// the consumer discards failed messages.
    Park(String),
}
