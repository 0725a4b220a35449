use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The time by which a call may exceed its deadline on a busy machine.
const SLACK: Duration = Duration::from_secs(1);
/// The number of overdue calls that are kept.
const KEPT: usize = 20;

/// A call with its deadline and its duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedCall {
    /// The name of the call.
    pub name: &'static str,
    /// The duration of the call, or the time since its start while it runs.
    pub took: Duration,
    /// The time in which the call has to return.
    pub deadline: Duration,
}

impl TimedCall {
    /// Returns whether the call exceeded its deadline by more than one second.
    pub fn is_overdue(&self) -> bool {
        self.took > self.deadline + SLACK
    }
}

/// Measures calls. Calls that run are included, so a call that never returns is found.
#[derive(Debug, Default)]
pub(crate) struct CallTimes {
    next: u64,
    running: HashMap<u64, (&'static str, Instant, Duration)>,
    slowest: Option<TimedCall>,
    overdue: Vec<TimedCall>,
}

impl CallTimes {
    /// Records the start of a call, and returns its number.
    pub(crate) fn start(&mut self, name: &'static str, deadline: Duration) -> u64 {
        self.next += 1;
        self.running.insert(self.next, (name, Instant::now(), deadline));
        self.next
    }

    /// Records the end of a call.
    pub(crate) fn end(&mut self, number: u64) {
        let Some((name, started, deadline)) = self.running.remove(&number) else { return };
        let call = TimedCall { name, took: started.elapsed(), deadline };
        if self.slowest.is_none_or(|slowest| slowest.took < call.took) {
            self.slowest = Some(call);
        }
        if call.is_overdue() && self.overdue.len() < KEPT {
            self.overdue.push(call);
        }
    }

    /// Returns the call that took longest.
    pub(crate) fn slowest(&self) -> Option<TimedCall> {
        self.slowest.into_iter().chain(self.running()).max_by_key(|call| call.took)
    }

    /// Returns the calls that exceeded their deadline: at most 20 that have returned, and all that
    /// still run.
    pub(crate) fn overdue(&self) -> Vec<TimedCall> {
        self.overdue.iter().copied().chain(self.running().filter(TimedCall::is_overdue)).collect()
    }

    fn running(&self) -> impl Iterator<Item = TimedCall> {
        self.running.values().map(|&(name, started, deadline)| TimedCall {
            name,
            took: started.elapsed(),
            deadline,
        })
    }
}
