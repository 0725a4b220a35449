use std::collections::{BTreeMap, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use carrot::Error;

use crate::audit::Audit;
use crate::call_times::CallTimes;
use crate::error::{variant_name, with_sources};

/// The number of unsent messages that are kept.
const KEPT: usize = 20;

/// Accounts for every message and every call of a scenario.
///
/// Numbers identify messages. A message that is both confirmed and consumed remains only in the
/// counters. A run of hours therefore needs no more memory than a short one.
#[derive(Debug)]
pub struct Accounting {
    state: Mutex<AccountingState>,
    changed: Condvar,
    started: Instant,
}

#[derive(Debug, Default)]
struct AccountingState {
    next: u64,
    /// The messages that are not both confirmed and consumed.
    open: HashMap<u64, AccountedMessage>,
    totals: Totals,
    progress: Progress,
    errors: BTreeMap<String, u64>,
    first_errors: BTreeMap<String, String>,
    calls: CallTimes,
    unsent: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct AccountedMessage {
    sent: Instant,
    sender: ThreadId,
    resolved: Option<Instant>,
    outcome: Option<SendOutcome>,
    consumed: bool,
}

#[derive(Debug, Default)]
struct Totals {
    confirmed: u64,
    failed: u64,
    unknown: u64,
    consumed: u64,
    /// The number of messages that are confirmed and not consumed.
    missing: u64,
    duplicates: u64,
    slowest_confirm: Duration,
    slowest_delivery: Duration,
}

#[derive(Debug, Default)]
struct Progress {
    last_confirm: Option<Instant>,
    longest_pause: Duration,
}

/// The outcome of publishing a message, as the publisher knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendOutcome {
    /// The broker confirmed the message.
    Confirmed,
    /// The broker does not have the message.
    Failed,
    /// The broker may have the message.
    Unknown,
}

impl SendOutcome {
    /// Returns the outcome that an error of a send implies.
    pub fn of(error: &Error) -> SendOutcome {
        match error {
            Error::Encode { .. }
            | Error::Invalid { .. }
            | Error::Unroutable { .. }
            | Error::Refused
            | Error::NotFound { .. }
            | Error::AccessRefused { .. }
            | Error::ResourceLocked { .. }
            | Error::Unavailable { .. }
            | Error::PreconditionFailed { .. } => SendOutcome::Failed,
            _ => SendOutcome::Unknown,
        }
    }
}

impl Default for Accounting {
    fn default() -> Accounting {
        Accounting::new()
    }
}

impl Accounting {
    /// Creates an accounting without messages.
    pub fn new() -> Accounting {
        Accounting { state: Mutex::default(), changed: Condvar::new(), started: Instant::now() }
    }

    /// Returns the time since the accounting was created.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Records the send of a message, and returns its number.
    pub fn send(&self) -> u64 {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        let message = AccountedMessage {
            sent: Instant::now(),
            sender: thread::current().id(),
            resolved: None,
            outcome: None,
            consumed: false,
        };
        state.open.insert(id, message);
        id
    }

    /// Records the outcome of a send.
    ///
    /// # Panics
    /// If the message already has an outcome.
    pub fn record_send(&self, id: u64, outcome: SendOutcome) {
        let mut state = self.lock();
        let now = Instant::now();
        let Some(message) = state.open.get_mut(&id) else { return };
        let again = message.outcome.replace(outcome).is_some();
        message.resolved = Some(now);
        let message = *message;
        if outcome == SendOutcome::Confirmed {
            if message.consumed {
                state.open.remove(&id);
            } else {
                state.totals.missing += 1;
            }
        }
        assert!(!again, "message {id} has two outcomes");
        match outcome {
            SendOutcome::Confirmed => {
                state.totals.confirmed += 1;
                state.totals.slowest_confirm = state.totals.slowest_confirm.max(now - message.sent);
                if let Some(last) = state.progress.last_confirm.replace(now) {
                    state.progress.longest_pause = state.progress.longest_pause.max(now - last);
                }
            }
            SendOutcome::Failed => state.totals.failed += 1,
            SendOutcome::Unknown => state.totals.unknown += 1,
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Records that a message was consumed, and returns whether this was the first time.
    pub fn consume(&self, id: u64) -> bool {
        let mut state = self.lock();
        if id >= state.next {
            if state.unsent.len() < KEPT {
                state.unsent.push(id);
            }
            return false;
        }
        let first = match state.open.get_mut(&id) {
            Some(message) if !message.consumed => {
                message.consumed = true;
                let message = *message;
                state.totals.slowest_delivery =
                    state.totals.slowest_delivery.max(message.sent.elapsed());
                if message.outcome == Some(SendOutcome::Confirmed) {
                    state.open.remove(&id);
                    state.totals.missing -= 1;
                }
                true
            }
            _ => false,
        };
        if first {
            state.totals.consumed += 1;
        } else {
            state.totals.duplicates += 1;
        }
        drop(state);
        self.changed.notify_all();
        first
    }

    /// Runs a call that has to return within `deadline`, and records its duration.
    pub fn call<T>(&self, name: &'static str, deadline: Duration, call: impl FnOnce() -> T) -> T {
        let number = self.lock().calls.start(name, deadline);
        let _running = RunningCall { accounting: self, number };
        call()
    }

    /// Runs a call like [`call`](Accounting::call), and records its error.
    ///
    /// # Errors
    /// The error of `call`.
    pub fn try_call<T>(
        &self,
        name: &'static str,
        deadline: Duration,
        call: impl FnOnce() -> carrot::Result<T>,
    ) -> carrot::Result<T> {
        self.call(name, deadline, call).inspect_err(|error| self.record_error(name, error))
    }

    fn record_error(&self, call: &str, error: &Error) {
        let key = format!("{call}: {}", variant_name(error));
        let mut state = self.lock();
        state.first_errors.entry(key.clone()).or_insert_with(|| with_sources(error));
        *state.errors.entry(key).or_default() += 1;
    }

    /// Returns the number of messages that the broker has confirmed.
    pub fn confirmed(&self) -> u64 {
        self.lock().totals.confirmed
    }

    /// Returns the number of messages that were consumed at least once.
    pub fn consumed(&self) -> u64 {
        self.lock().totals.consumed
    }

    /// Blocks until `messages` messages are confirmed, for at most `timeout`. Returns whether they
    /// are.
    pub fn wait_for_confirmed(&self, messages: u64, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.totals.confirmed >= messages)
    }

    /// Blocks until `messages` messages are consumed, for at most `timeout`. Returns whether they
    /// are.
    pub fn wait_for_consumed(&self, messages: u64, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.totals.consumed >= messages)
    }

    /// Blocks until every confirmed message is consumed, or until no message was consumed for
    /// `patience`. Returns whether every confirmed message is consumed.
    pub fn wait_until_consumed(&self, patience: Duration) -> bool {
        loop {
            let consumed = self.consumed();
            if self.wait(patience, |state| state.totals.missing == 0) {
                return true;
            }
            if self.consumed() == consumed {
                return false;
            }
        }
    }

    fn wait(&self, timeout: Duration, condition: impl Fn(&AccountingState) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while !condition(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Returns a snapshot.
    pub fn audit(&self) -> Audit {
        let state = self.lock();
        let pending =
            state.open.values().filter(|message| message.outcome.is_none()).count() as u64;
        let is_missing = |message: &AccountedMessage| {
            message.outcome == Some(SendOutcome::Confirmed) && !message.consumed
        };
        let mut missing: Vec<u64> = state
            .open
            .iter()
            .filter(|(_, message)| is_missing(message))
            .map(|(id, _)| *id)
            .collect();
        missing.sort_unstable();
        let times = |id| {
            let message: &AccountedMessage = state.open.get(id)?;
            Some((message.sent - self.started, message.resolved? - self.started, message.sender))
        };
        let missing_times = missing.iter().filter_map(times).collect();
        Audit {
            sent: state.next,
            confirmed: state.totals.confirmed,
            failed: state.totals.failed,
            unknown: state.totals.unknown,
            pending,
            consumed: state.totals.consumed,
            missing,
            missing_times,
            duplicates: state.totals.duplicates,
            unsent: state.unsent.clone(),
            slowest: state.calls.slowest(),
            overdue: state.calls.overdue(),
            slowest_confirm: state.totals.slowest_confirm,
            slowest_delivery: state.totals.slowest_delivery,
            longest_pause: state.progress.longest_pause,
            errors: state.errors.clone(),
            first_errors: state.first_errors.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, AccountingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records the end of a call when dropped, also after a panic.
struct RunningCall<'a> {
    accounting: &'a Accounting,
    number: u64,
}

impl Drop for RunningCall<'_> {
    fn drop(&mut self) {
        self.accounting.lock().calls.end(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_confirmed_and_not_consumed_is_missing() {
        let accounting = Accounting::new();
        let ids: Vec<u64> = (0..4).map(|_| accounting.send()).collect();
        accounting.record_send(ids[0], SendOutcome::Confirmed);
        accounting.record_send(ids[1], SendOutcome::Confirmed);
        accounting.record_send(ids[2], SendOutcome::Unknown);
        assert!(accounting.consume(ids[0]));
        assert!(accounting.consume(ids[3]));
        let audit = accounting.audit();
        assert_eq!(audit.missing, [ids[1]]);
        assert_eq!(
            (
                audit.sent,
                audit.confirmed,
                audit.unknown,
                audit.failed,
                audit.pending,
                audit.consumed
            ),
            (4, 2, 1, 0, 1, 2)
        );
        assert!(!accounting.wait_until_consumed(Duration::from_millis(10)));
        accounting.consume(ids[1]);
        assert!(accounting.wait_until_consumed(Duration::from_millis(10)));
    }

    #[test]
    fn duplicate_delivery_before_and_after_the_confirm_is_counted() {
        let accounting = Accounting::new();
        let (early, late) = (accounting.send(), accounting.send());
        assert!(accounting.consume(early));
        assert!(!accounting.consume(early));
        accounting.record_send(late, SendOutcome::Confirmed);
        assert!(accounting.consume(late));
        assert!(!accounting.consume(late));
        let audit = accounting.audit();
        assert_eq!((audit.consumed, audit.duplicates), (2, 2));
    }

    #[test]
    fn consumed_message_that_was_not_sent_is_reported() {
        let accounting = Accounting::new();
        assert!(!accounting.consume(7));
        assert_eq!(accounting.audit().unsent, [7]);
    }

    #[test]
    fn overdue_call_while_it_runs_is_reported() {
        let accounting = Accounting::new();
        accounting.call("quick", Duration::from_secs(5), || ());
        assert!(accounting.audit().overdue.is_empty());
        accounting.call("slow", Duration::ZERO, || {
            while accounting.audit().overdue.is_empty() {
                std::thread::yield_now();
            }
        });
        let audit = accounting.audit();
        assert_eq!(audit.overdue.len(), 1);
        assert_eq!(audit.slowest.map(|call| call.name), Some("slow"));
    }
}
