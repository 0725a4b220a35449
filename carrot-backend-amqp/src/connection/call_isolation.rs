//! Isolates calls after the broker has closed the connection because of one of several: they run
//! one at a time.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use super::calls::{Call, MethodId};
use crate::sync::{lock, wait_until};

/// The time after a hard error during which calls are made one at a time.
const LENGTH: Duration = Duration::from_secs(10);
/// The maximum time for which one call delays the others.
const LONGEST_TURN: Duration = Duration::from_secs(5);

/// The calls that are made one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspected {
    All,
    Method(MethodId),
}

impl Suspected {
    fn covers(self, call: Call) -> bool {
        match self {
            Suspected::All => true,
            Suspected::Method(method) => call.methods.contains(&method),
        }
    }
}

/// The isolation of calls, which the successive connections of one role share.
#[derive(Debug, Default)]
pub(crate) struct CallIsolation {
    state: Mutex<CallIsolationState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct CallIsolationState {
    /// The suspected calls, and the end of the suspicion.
    suspected: Option<(Suspected, Instant)>,
    last: u64,
    /// The suspected call in flight, and the time until which it delays the others.
    current: Option<(u64, Instant)>,
}

impl CallIsolationState {
    fn is_suspected(&self, call: Call) -> bool {
        self.suspected
            .is_some_and(|(suspected, until)| suspected.covers(call) && Instant::now() < until)
    }
}

impl CallIsolation {
    /// Starts to make the suspected calls one at a time, for ten seconds.
    pub(crate) fn begin(&self, suspected: Suspected) {
        let mut state = lock(&self.state);
        let both = match state.suspected {
            Some((before, until)) if before != suspected && Instant::now() < until => {
                Suspected::All
            }
            _ => suspected,
        };
        state.suspected = Some((both, Instant::now() + LENGTH));
    }

    /// Waits until a call may be made. Returns `None` if `deadline` passes first.
    pub(crate) fn enter(&self, call: Call, deadline: Instant) -> Option<Turn<'_>> {
        let mut state = lock(&self.state);
        while state.is_suspected(call) {
            let now = Instant::now();
            let ends = state.current.map_or(now, |(_, ends)| ends);
            if ends <= now {
                state.last += 1;
                let number = state.last;
                state.current = Some((number, now + LONGEST_TURN));
                return Some(Turn { isolation: self, number });
            }
            if now >= deadline {
                return None;
            }
            let until = ends.min(deadline);
            state = wait_until(&self.changed, state, until).unwrap_or_else(|| lock(&self.state));
        }
        Some(Turn { isolation: self, number: 0 })
    }
}

/// The right to make a call.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    isolation: &'a CallIsolation,
    /// Zero if calls of this kind are not isolated.
    number: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.number > 0 {
            let mut state = lock(&self.isolation.state);
            state.current = state.current.filter(|(number, _)| *number != self.number);
            drop(state);
            self.isolation.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::thread;

    use super::*;
    use crate::connection::calls::{CONSUME, DECLARE_EXCHANGE, DECLARE_QUEUE};

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(5)
    }

    #[test]
    fn calls_of_the_suspected_method_are_made_one_at_a_time() {
        let isolation = CallIsolation::default();
        let _before = (
            isolation.enter(DECLARE_QUEUE, soon()).unwrap(),
            isolation.enter(DECLARE_QUEUE, soon()).unwrap(),
        );
        isolation.begin(Suspected::Method((50, 10)));
        let turn = isolation.enter(DECLARE_QUEUE, soon()).unwrap();
        assert!(isolation.enter(DECLARE_QUEUE, soon()).is_none());
        assert!(isolation.enter(DECLARE_EXCHANGE, soon()).is_some());
        thread::scope(|scope| {
            let waiting =
                scope.spawn(|| isolation.enter(DECLARE_QUEUE, Instant::now() + LENGTH).is_some());
            drop(turn);
            assert!(waiting.join().unwrap());
        });
        isolation.begin(Suspected::All);
        let _turn = isolation.enter(CONSUME, soon()).unwrap();
        assert!(isolation.enter(DECLARE_EXCHANGE, soon()).is_none());
    }

    #[test]
    fn a_call_without_an_answer_and_an_old_suspicion_stop_nobody() {
        let isolation = CallIsolation::default();
        isolation.begin(Suspected::All);
        let stuck = isolation.enter(CONSUME, soon()).unwrap();
        lock(&isolation.state).current = Some((stuck.number, soon()));
        let next = isolation.enter(CONSUME, Instant::now() + LENGTH).unwrap();
        drop(stuck);
        assert!(isolation.enter(CONSUME, soon()).is_none(), "the next one has its turn still");
        lock(&isolation.state).suspected = Some((Suspected::All, Instant::now()));
        assert!(isolation.enter(CONSUME, soon()).is_some());
        drop(next);
    }
}
