/// How the messages of a run went: what the broker was told about them.
///
/// `failed` and `undecodable` count attempts; `retried`, `parked`, `discarded`, `requeued`,
/// `paused` and `lost` say what became of the message after each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// Handled and acknowledged.
    pub acknowledged: u64,
    /// Handled, and rejected as the handler said.
    pub rejected: u64,
    /// Handled, and requeued as the handler said; or failed, and requeued because the consumer
    /// leaves failures to the broker.
    pub requeued: u64,
    /// The handler failed or panicked.
    pub failed: u64,
    /// The body could not be decoded.
    pub undecodable: u64,
    /// A copy waits at the broker for the next attempt, or the message was tried again in its
    /// worker.
    pub retried: u64,
    /// Parked for good.
    pub parked: u64,
    /// Rejected after the last attempt, because the consumer discards failed messages.
    pub discarded: u64,
    /// Failed, but could be neither copied nor parked: kept in the process for the pause, and then
    /// given back. This number growing means that something has to be repaired; the log says what,
    /// at error level.
    pub paused: u64,
    /// Arrived, but given back to the queue because the consumer was stopped: unhandled, or in a
    /// pause.
    pub given_back: u64,
    /// Failed, or arrived and not handled, with automatic acknowledgement: the broker had forgotten
    /// the message.
    pub lost: u64,
    /// Handled, but the channel was gone by then: the broker delivers the message again.
    pub stale: u64,
    /// Handlers that had not finished when the stop's timeout passed; their messages went back to
    /// the queue.
    pub unfinished: usize,
}
