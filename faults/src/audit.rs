use std::collections::BTreeMap;
use std::thread::ThreadId;
use std::time::Duration;

use crate::call_times::TimedCall;

/// A snapshot of an [`Accounting`](crate::Accounting).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Audit {
    /// The number of messages that publishers sent.
    pub sent: u64,
    /// The number of messages that the broker confirmed.
    pub confirmed: u64,
    /// The number of messages with the outcome [`SendOutcome::Failed`](crate::SendOutcome::Failed).
    pub failed: u64,
    /// The number of messages with the outcome [`SendOutcome::Unknown`](crate::SendOutcome::Unknown).
    pub unknown: u64,
    /// The number of messages without an outcome.
    pub pending: u64,
    /// The number of messages that were consumed at least once.
    pub consumed: u64,
    /// The messages that were confirmed and not consumed. They are lost once every queue is empty.
    pub missing: Vec<u64>,
    /// For each missing message: the time of its send and of its confirm, from the start of the
    /// accounting, and the thread that sent it.
    pub missing_times: Vec<(Duration, Duration, ThreadId)>,
    /// The number of deliveries of a message that had been consumed before.
    pub duplicates: u64,
    /// The numbers of consumed messages that no publisher sent. At most 20.
    pub unsent: Vec<u64>,
    /// The call that took longest.
    pub slowest: Option<TimedCall>,
    /// The calls that exceeded their deadline, whether they have returned or not. At most 20 of
    /// those that have returned.
    pub overdue: Vec<TimedCall>,
    /// The longest time from a send to its confirm.
    pub slowest_confirm: Duration,
    /// The longest time from a send to the first delivery of the message.
    pub slowest_delivery: Duration,
    /// The longest time without a confirm, between the first confirm and the last.
    pub longest_pause: Duration,
    /// The number of errors, by call and variant.
    pub errors: BTreeMap<String, u64>,
    /// The text of the first error, by call and variant.
    pub first_errors: BTreeMap<String, String>,
}
