//! After the broker has closed the connection over one of several calls, calls of that kind are made one at a time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::calls::Call;
use crate::frame::Method;

/// How long after a hard error calls are made one at a time.
const LENGTH: Duration = Duration::from_secs(10);
/// How long one call may keep the others waiting.
const LONGEST_TURN: Duration = Duration::from_secs(5);

/// Which calls are made one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspected {
    All,
    Method(Method),
}

impl Suspected {
    fn covers(self, call: Call) -> bool {
        match self {
            Suspected::All => !call.methods.is_empty(),
            Suspected::Method(method) => call.methods.contains(&method),
        }
    }
}

/// Shared by the connections that follow one another.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What is suspected, and until when.
    suspected: Option<(Suspected, Instant)>,
    last: u64,
    /// The suspect call in flight, and until when it keeps the others waiting.
    current: Option<(u64, Instant)>,
}

impl State {
    fn is_suspected(&self, call: Call) -> bool {
        self.suspected
            .is_some_and(|(suspected, until)| suspected.covers(call) && Instant::now() < until)
    }
}

impl Turns {
    /// Makes calls take turns from now on, for a while.
    pub(crate) fn begin(&self, suspected: Suspected) {
        let mut state = self.lock();
        let both = match state.suspected {
            Some((before, until)) if before != suspected && Instant::now() < until => {
                Suspected::All
            }
            _ => suspected,
        };
        state.suspected = Some((both, Instant::now() + LENGTH));
    }

    /// Waits until a call may be made. `None` if `deadline` passes first.
    pub(crate) fn enter(&self, call: Call, deadline: Instant) -> Option<Turn<'_>> {
        let mut state = self.lock();
        while state.is_suspected(call) {
            let now = Instant::now();
            let ends = state.current.map_or(now, |(_, ends)| ends);
            if ends <= now {
                state.last += 1;
                let number = state.last;
                state.current = Some((number, now + LONGEST_TURN));
                return Some(Turn { turns: self, number });
            }
            if now >= deadline {
                return None;
            }
            state = self
                .changed
                .wait_timeout(state, ends.min(deadline) - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Some(Turn { turns: self, number: 0 })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make a call.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    /// Zero if calls of this kind do not take turns.
    number: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.number > 0 {
            let mut state = self.turns.lock();
            state.current = state.current.filter(|(number, _)| *number != self.number);
            drop(state);
            self.turns.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::thread;

    use super::*;
    use crate::calls::{ASK_WHY, CONSUME, DECLARE_EXCHANGE, DECLARE_QUEUE};

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(5)
    }

    #[test]
    fn calls_of_the_suspected_method_are_made_one_at_a_time() {
        let turns = Turns::default();
        let _before = (
            turns.enter(DECLARE_QUEUE, soon()).unwrap(),
            turns.enter(DECLARE_QUEUE, soon()).unwrap(),
        );
        turns.begin(Suspected::Method((50, 10)));
        let turn = turns.enter(DECLARE_QUEUE, soon()).unwrap();
        assert!(turns.enter(DECLARE_QUEUE, soon()).is_none());
        assert!(turns.enter(DECLARE_EXCHANGE, soon()).is_some());
        thread::scope(|scope| {
            let waiting =
                scope.spawn(|| turns.enter(DECLARE_QUEUE, Instant::now() + LENGTH).is_some());
            drop(turn);
            assert!(waiting.join().unwrap());
        });
        turns.begin(Suspected::All);
        let _turn = turns.enter(CONSUME, soon()).unwrap();
        assert!(turns.enter(DECLARE_EXCHANGE, soon()).is_none());
        assert!(turns.enter(ASK_WHY, soon()).is_some());
    }

    #[test]
    fn a_call_without_an_answer_and_an_old_suspicion_stop_nobody() {
        let turns = Turns::default();
        turns.begin(Suspected::All);
        let stuck = turns.enter(CONSUME, soon()).unwrap();
        turns.lock().current = Some((stuck.number, soon()));
        let next = turns.enter(CONSUME, Instant::now() + LENGTH).unwrap();
        drop(stuck);
        assert!(turns.enter(CONSUME, soon()).is_none(), "the next one has its turn still");
        turns.lock().suspected = Some((Suspected::All, Instant::now()));
        assert!(turns.enter(CONSUME, soon()).is_some());
        drop(next);
    }
}
