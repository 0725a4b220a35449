use crate::Settlement;
use crate::handler::Verdict;

/// How the messages of a run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// Handled and acknowledged.
    pub acknowledged: u64,
    /// Handled, and rejected as the handler said.
    pub rejected: u64,
    /// Handled, and requeued as the handler said.
    pub requeued: u64,
    /// The handler failed or panicked; requeued the first time, else rejected.
    pub failed: u64,
    /// The body could not be decoded; rejected.
    pub undecodable: u64,
    /// Arrived, but given back to the queue unhandled since the consumer was stopped.
    pub given_back: u64,
    /// Handlers that had not finished when the stop's timeout passed; their messages went back to the queue.
    pub unfinished: usize,
}

impl Report {
    pub(crate) fn count(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Handled(Settlement::Ack) => &mut self.acknowledged,
            Verdict::Handled(Settlement::Reject) => &mut self.rejected,
            Verdict::Handled(Settlement::Requeue) => &mut self.requeued,
            Verdict::Failed(..) => &mut self.failed,
            Verdict::Undecodable(_) => &mut self.undecodable,
        } += 1;
    }
}
