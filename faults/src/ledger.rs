use std::collections::{BTreeMap, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use carrot::Error;

use crate::outcome::with_sources;

/// How much later than its deadline a call may come back on a busy machine.
const SLACK: Duration = Duration::from_secs(1);
/// How many complaints are kept.
const KEPT: usize = 20;

/// Knows of every message and of every call what became of it.
///
/// A message is told by a number. Once it is both confirmed and consumed, only the counters remember it, so that a run of hours takes no
/// more memory than a short one.
#[derive(Debug)]
pub struct Ledger {
    state: Mutex<State>,
    changed: Condvar,
    started: Instant,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// What is not both confirmed and consumed.
    open: HashMap<u64, Entry>,
    totals: Totals,
    progress: Progress,
    errors: BTreeMap<String, u64>,
    words: BTreeMap<String, String>,
    calls: Calls,
    strangers: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    sent: Instant,
    sender: ThreadId,
    told: Option<Instant>,
    fate: Option<Fate>,
    consumed: bool,
}

#[derive(Debug, Default)]
struct Totals {
    confirmed: u64,
    failed: u64,
    unknown: u64,
    consumed: u64,
    /// Confirmed, and not consumed.
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

#[derive(Debug, Default)]
struct Calls {
    next: u64,
    running: HashMap<u64, (&'static str, Instant, Duration)>,
    slowest: Option<SlowestCall>,
    overdue: Vec<SlowestCall>,
}

/// What the publisher was told of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// The broker has taken responsibility.
    Confirmed,
    /// The broker does not have it.
    Failed,
    /// The broker may have it.
    Unknown,
}

impl Fate {
    /// What an error says of the message that it is about.
    pub fn of(error: &Error) -> Fate {
        match error {
            Error::Encode { .. }
            | Error::Invalid { .. }
            | Error::Unroutable { .. }
            | Error::Refused
            | Error::NotFound { .. }
            | Error::AccessRefused { .. }
            | Error::ResourceLocked { .. }
            | Error::Unavailable { .. }
            | Error::PreconditionFailed { .. } => Fate::Failed,
            _ => Fate::Unknown,
        }
    }
}

/// A call that took long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowestCall {
    /// Which.
    pub name: &'static str,
    /// How long it took, or takes by now.
    pub took: Duration,
    /// How long it was allowed to take.
    pub deadline: Duration,
}

/// What a ledger says at a moment.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Audit {
    /// Messages handed to the publishers.
    pub sent: u64,
    /// Those that the broker confirmed.
    pub confirmed: u64,
    /// Those that the broker does not have, as the publisher was told.
    pub failed: u64,
    /// Those that the broker may have, as the publisher was told.
    pub unknown: u64,
    /// Those whose fate the publisher was not yet told.
    pub pending: u64,
    /// Those that were consumed at least once.
    pub consumed: u64,
    /// Those that were confirmed and not consumed; once everything was consumed, they are lost.
    pub missing: Vec<u64>,
    /// When each of those was sent and confirmed, from the beginning, and by which thread.
    pub moments: Vec<(Duration, Duration, ThreadId)>,
    /// How often a message was consumed that had been consumed before.
    pub duplicates: u64,
    /// Numbers that were consumed though nobody sent them.
    pub strangers: Vec<u64>,
    /// The call that took the longest.
    pub slowest: Option<SlowestCall>,
    /// Calls that came back after their deadline, or have not come back though it has passed; some of them, if there are many.
    pub overdue: Vec<SlowestCall>,
    /// The longest that a message waited for its confirm.
    pub slowest_confirm: Duration,
    /// The longest from sending a message to consuming it.
    pub slowest_delivery: Duration,
    /// The longest time without any confirm, between the first and the last.
    pub longest_pause: Duration,
    /// How often each kind of error was seen, by call and kind.
    pub errors: BTreeMap<String, u64>,
    /// What the first error of each kind said.
    pub words: BTreeMap<String, String>,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger::new()
    }
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Ledger {
        Ledger { state: Mutex::default(), changed: Condvar::new(), started: Instant::now() }
    }

    /// How long ago it was begun.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// The number of one more message, which is sent now.
    pub fn send(&self) -> u64 {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.open.insert(
            id,
            Entry {
                sent: Instant::now(),
                sender: thread::current().id(),
                told: None,
                fate: None,
                consumed: false,
            },
        );
        id
    }

    /// Notes what the publisher was told of a message.
    pub fn fate(&self, id: u64, fate: Fate) {
        let mut state = self.lock();
        let now = Instant::now();
        let Some(entry) = state.open.get_mut(&id) else { return };
        let again = entry.fate.replace(fate).is_some();
        entry.told = Some(now);
        let entry = *entry;
        if fate == Fate::Confirmed {
            if entry.consumed {
                state.open.remove(&id);
            } else {
                state.totals.missing += 1;
            }
        }
        assert!(!again, "message {id} was given two fates");
        match fate {
            Fate::Confirmed => {
                state.totals.confirmed += 1;
                state.totals.slowest_confirm = state.totals.slowest_confirm.max(now - entry.sent);
                if let Some(last) = state.progress.last_confirm.replace(now) {
                    state.progress.longest_pause = state.progress.longest_pause.max(now - last);
                }
            }
            Fate::Failed => state.totals.failed += 1,
            Fate::Unknown => state.totals.unknown += 1,
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Notes that a message was consumed: tells whether it was for the first time.
    pub fn consume(&self, id: u64) -> bool {
        let mut state = self.lock();
        if id >= state.next {
            if state.strangers.len() < KEPT {
                state.strangers.push(id);
            }
            return false;
        }
        let first = match state.open.get_mut(&id) {
            Some(entry) if !entry.consumed => {
                entry.consumed = true;
                let entry = *entry;
                state.totals.slowest_delivery =
                    state.totals.slowest_delivery.max(entry.sent.elapsed());
                if entry.fate == Some(Fate::Confirmed) {
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

    /// Makes a call that is to come back within `deadline`, and keeps its time.
    pub fn call<T>(&self, name: &'static str, deadline: Duration, call: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let number = {
            let calls = &mut self.lock().calls;
            calls.next += 1;
            calls.running.insert(calls.next, (name, started, deadline));
            calls.next
        };
        let running = Running { ledger: self, number };
        let result = call();
        drop(running);
        result
    }

    /// As [`call`](Ledger::call), and notes the kind of an error.
    ///
    /// # Errors
    /// What `call` gives.
    pub fn try_call<T>(
        &self,
        name: &'static str,
        deadline: Duration,
        call: impl FnOnce() -> carrot::Result<T>,
    ) -> carrot::Result<T> {
        self.call(name, deadline, call).inspect_err(|error| self.error(name, error))
    }

    /// Notes an error.
    pub fn error(&self, call: &str, error: &Error) {
        let key = format!("{call}: {}", kind(error));
        let mut state = self.lock();
        state.words.entry(key.clone()).or_insert_with(|| with_sources(error));
        *state.errors.entry(key).or_default() += 1;
    }

    /// How many messages were confirmed so far.
    pub fn confirmed(&self) -> u64 {
        self.lock().totals.confirmed
    }

    /// How many messages were consumed so far.
    pub fn consumed(&self) -> u64 {
        self.lock().totals.consumed
    }

    /// Waits until so many messages are confirmed; `false` if that takes longer than `timeout`.
    pub fn wait_for_confirmed(&self, messages: u64, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.totals.confirmed >= messages)
    }

    /// Waits until so many messages are consumed; `false` if that takes longer than `timeout`.
    pub fn wait_for_consumed(&self, messages: u64, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.totals.consumed >= messages)
    }

    /// Waits until every confirmed message is consumed; `false` if nothing more is consumed for `patience`.
    pub fn wait_for_missing(&self, patience: Duration) -> bool {
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

    fn wait(&self, timeout: Duration, condition: impl Fn(&State) -> bool) -> bool {
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

    /// What it says now.
    pub fn audit(&self) -> Audit {
        let state = self.lock();
        let count = |fate| state.open.values().filter(|entry| entry.fate == fate).count() as u64;
        let missing = state
            .open
            .iter()
            .filter(|(_, entry)| entry.fate == Some(Fate::Confirmed) && !entry.consumed);
        let mut missing: Vec<u64> = missing.map(|(id, _)| *id).collect();
        missing.sort_unstable();
        let moment = |id| {
            let entry: &Entry = state.open.get(id)?;
            Some((entry.sent - self.started, entry.told? - self.started, entry.sender))
        };
        let moments = missing.iter().filter_map(moment).collect();
        let running = state.calls.running.values().map(|&(name, started, deadline)| SlowestCall {
            name,
            took: started.elapsed(),
            deadline,
        });
        let running: Vec<_> = running.collect();
        let late = running.iter().filter(|call| call.is_overdue());
        Audit {
            sent: state.next,
            confirmed: state.totals.confirmed,
            failed: state.totals.failed,
            unknown: state.totals.unknown,
            pending: count(None),
            consumed: state.totals.consumed,
            missing,
            moments,
            duplicates: state.totals.duplicates,
            strangers: state.strangers.clone(),
            slowest: state
                .calls
                .slowest
                .into_iter()
                .chain(running.iter().copied())
                .max_by_key(|call| call.took),
            overdue: state.calls.overdue.iter().chain(late).copied().collect(),
            slowest_confirm: state.totals.slowest_confirm,
            slowest_delivery: state.totals.slowest_delivery,
            longest_pause: state.progress.longest_pause,
            errors: state.errors.clone(),
            words: state.words.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlowestCall {
    /// Whether it took longer than its deadline, by more than a scheduling delay.
    pub fn is_overdue(&self) -> bool {
        self.took > self.deadline + SLACK
    }
}

/// Takes note of a call's end, also if it panics.
struct Running<'a> {
    ledger: &'a Ledger,
    number: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let calls = &mut self.ledger.lock().calls;
        let Some((name, started, deadline)) = calls.running.remove(&self.number) else { return };
        let call = SlowestCall { name, took: started.elapsed(), deadline };
        if calls.slowest.is_none_or(|slowest| slowest.took < call.took) {
            calls.slowest = Some(call);
        }
        if call.is_overdue() && calls.overdue.len() < KEPT {
            calls.overdue.push(call);
        }
    }
}

/// The name of an error's variant.
pub(crate) fn kind(error: &Error) -> String {
    format!("{error:?}").chars().take_while(|character| character.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_confirmed_and_not_consumed_is_missing() {
        let ledger = Ledger::new();
        let ids: Vec<u64> = (0..4).map(|_| ledger.send()).collect();
        ledger.fate(ids[0], Fate::Confirmed);
        ledger.fate(ids[1], Fate::Confirmed);
        ledger.fate(ids[2], Fate::Unknown);
        assert!(ledger.consume(ids[0]));
        assert!(ledger.consume(ids[3]));
        let audit = ledger.audit();
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
        assert!(!ledger.wait_for_missing(Duration::from_millis(10)));
        ledger.consume(ids[1]);
        assert!(ledger.wait_for_missing(Duration::from_millis(10)));
    }

    #[test]
    fn what_comes_twice_is_counted_before_and_after_it_is_forgotten() {
        let ledger = Ledger::new();
        let (early, late) = (ledger.send(), ledger.send());
        assert!(ledger.consume(early));
        assert!(!ledger.consume(early));
        ledger.fate(late, Fate::Confirmed);
        assert!(ledger.consume(late));
        assert!(!ledger.consume(late));
        let audit = ledger.audit();
        assert_eq!((audit.consumed, audit.duplicates), (2, 2));
    }

    #[test]
    fn what_nobody_sent_is_a_stranger() {
        let ledger = Ledger::new();
        assert!(!ledger.consume(7));
        assert_eq!(ledger.audit().strangers, [7]);
    }

    #[test]
    fn a_call_that_is_late_is_told_also_while_it_runs() {
        let ledger = Ledger::new();
        ledger.call("quick", Duration::from_secs(5), || ());
        assert!(ledger.audit().overdue.is_empty());
        ledger.call("slow", Duration::ZERO, || {
            while ledger.audit().overdue.is_empty() {
                std::thread::yield_now();
            }
        });
        let audit = ledger.audit();
        assert_eq!(audit.overdue.len(), 1);
        assert_eq!(audit.slowest.map(|call| call.name), Some("slow"));
    }
}
