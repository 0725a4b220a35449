use std::time::Duration;

use crate::consumer::message::Message;
use crate::consumer::report::Report;

/// The treatment of a failed message.
#[derive(Debug)]
pub(crate) enum FailureOutcome {
    /// A copy waits for the next attempt.
    Retried,
    Parked,
    /// Rejected after its last attempt, as the program chose, or because no copy can be sent.
    Discarded,
    /// Requeued at once for the broker to count, as the program chose.
    Requeued,
    /// Neither copied nor parked: pauses in the process, and is then requeued.
    Paused,
    /// Neither copied nor parked: the caller has to wait for the pause, and to requeue the message.
    PauseHere(Message, Duration),
    /// The caller has to wait for the pause, and to try the message again.
    TryAgainHere(Message, Duration),
    /// Automatic acknowledgement deleted the message when it was delivered.
    Lost,
    /// The channel was lost, and the broker redelivers the message.
    Stale,
}

impl FailureOutcome {
    /// Returns the number that counts messages treated so.
    pub(crate) fn counter<'a>(&self, report: &'a mut Report) -> &'a mut u64 {
        match self {
            FailureOutcome::Retried => &mut report.retried,
            FailureOutcome::Parked => &mut report.parked,
            FailureOutcome::Discarded => &mut report.discarded,
            FailureOutcome::Requeued => &mut report.requeued,
            FailureOutcome::Lost => &mut report.lost,
            FailureOutcome::Stale => &mut report.stale,
            FailureOutcome::Paused
            | FailureOutcome::PauseHere(..)
            | FailureOutcome::TryAgainHere(..) => &mut report.paused,
        }
    }
}
