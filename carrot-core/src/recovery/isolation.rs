//! Keeps a message that may have made the broker close the connection apart from all others of the
//! connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How long one suspect may keep the others waiting.
const LONGEST_TURN: Duration = Duration::from_secs(5);
/// How long a message that is not suspect waits for the suspects of other publishers.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What one publisher has in flight.
pub(crate) trait TakeAnswers: std::fmt::Debug + Send + Sync {
    /// Waits for the answers of the broker, and records them; until `until` at most.
    fn take_answers(&self, until: Instant);
}

/// Shared by the publishers of one connection. One suspect is in flight at a time, and other
/// messages wait for it.
#[derive(Debug, Default)]
pub(crate) struct Isolation {
    /// How many publishers send suspects now, for those that ask without the lock.
    trials: AtomicUsize,
    state: Mutex<IsolationState>,
    changed: Condvar,
    /// What the publishers have in flight.
    publishers: Mutex<Vec<Weak<dyn TakeAnswers>>>,
}

#[derive(Debug, Default)]
struct IsolationState {
    last: u64,
    /// The turns that are waited for, first in, first out.
    waiting: VecDeque<u64>,
    /// The suspect in flight, and until when it keeps the others waiting.
    current: Option<(u64, Instant)>,
    closed: bool,
}

impl Isolation {
    /// Adds a publisher.
    pub(crate) fn add(&self, publisher: &Arc<dyn TakeAnswers>) {
        let mut publishers = self.publishers.lock().unwrap_or_else(PoisonError::into_inner);
        publishers.retain(|publisher| publisher.strong_count() > 0);
        publishers.push(Arc::downgrade(publisher));
    }

    /// Waits for the answers to what other publishers have in flight, so that a suspect is alone.
    /// For one second, or until `deadline`, at most.
    pub(crate) fn wait_for_answers(&self, mine: &dyn TakeAnswers, deadline: Instant) {
        let deadline = deadline.min(Instant::now() + LONGEST_WAIT);
        let publishers = self.publishers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for publisher in publishers
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|publisher| !std::ptr::addr_eq(&raw const **publisher, mine))
        {
            publisher.take_answers(deadline);
        }
    }

    /// Announces that a publisher is about to send suspects. Other messages wait until this is
    /// dropped.
    pub(crate) fn begin(&self) -> SuspectSends<'_> {
        self.trials.fetch_add(1, Ordering::SeqCst);
        SuspectSends { isolation: self }
    }

    /// Blocks while suspects of any publisher are being sent, for one second or until `deadline` at
    /// most.
    pub(crate) fn wait(&self, deadline: Instant) {
        if self.trials.load(Ordering::Relaxed) > 0 {
            self.wait_for_suspects(deadline.min(Instant::now() + LONGEST_WAIT));
        }
    }

    /// The same within `timeout`. Returns what is left of it.
    pub(crate) fn wait_within(&self, timeout: Duration) -> Duration {
        if self.trials.load(Ordering::Relaxed) == 0 {
            return timeout;
        }
        let started = Instant::now();
        self.wait_for_suspects(started + timeout.min(LONGEST_WAIT));
        timeout.saturating_sub(started.elapsed())
    }

    #[cold]
    fn wait_for_suspects(&self, deadline: Instant) {
        let mut state = self.lock();
        while self.trials.load(Ordering::SeqCst) > 0 && !state.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends every wait, now and from now on.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, IsolationState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sending of the suspects of one publisher.
#[derive(Debug)]
pub(crate) struct SuspectSends<'a> {
    isolation: &'a Isolation,
}

impl<'a> SuspectSends<'a> {
    /// Waits until no other suspect is in flight. `None` if `deadline` passes first, or the
    /// connection is closed.
    pub(crate) fn turn(&self, deadline: Instant) -> Option<SuspectTurn<'a>> {
        let isolation = self.isolation;
        let mut state = isolation.lock();
        state.last += 1;
        let number = state.last;
        state.waiting.push_back(number);
        let turn = loop {
            let now = Instant::now();
            if state.closed {
                break None;
            }
            let ends = state.current.map_or(now, |(_, ends)| ends);
            let is_first = state.waiting.front() == Some(&number);
            if is_first && ends <= now {
                state.current = Some((number, now + LONGEST_TURN));
                break Some(SuspectTurn { isolation, number });
            }
            if now >= deadline {
                break None;
            }
            let until = if is_first { ends.min(deadline) } else { deadline };
            state = isolation
                .changed
                .wait_timeout(state, until - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        state.waiting.retain(|waiting| *waiting != number);
        drop(state);
        isolation.changed.notify_all();
        turn
    }
}

impl Drop for SuspectSends<'_> {
    fn drop(&mut self) {
        self.isolation.trials.fetch_sub(1, Ordering::SeqCst);
        drop(self.isolation.lock());
        self.isolation.changed.notify_all();
    }
}

/// The right to have a suspect in flight.
#[derive(Debug)]
pub(crate) struct SuspectTurn<'a> {
    isolation: &'a Isolation,
    number: u64,
}

impl Drop for SuspectTurn<'_> {
    fn drop(&mut self) {
        let mut state = self.isolation.lock();
        state.current = state.current.filter(|(number, _)| *number != self.number);
        drop(state);
        self.isolation.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn late() -> Instant {
        Instant::now() + LONG
    }

    #[test]
    fn one_suspect_is_in_flight_at_a_time() {
        let isolation = Isolation::default();
        let (one, other) = (isolation.begin(), isolation.begin());
        let turn = one.turn(late()).unwrap();
        assert!(other.turn(Instant::now() + Duration::from_millis(5)).is_none());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| other.turn(late()).is_some());
            drop(turn);
            assert!(waiting.join().unwrap());
        });
        assert!(one.turn(late()).is_some());
    }

    #[test]
    fn a_suspect_without_an_answer_stops_the_others_for_a_while_only() {
        let isolation = Isolation::default();
        let trials = isolation.begin();
        let stuck = trials.turn(late()).unwrap();
        isolation.lock().current = Some((stuck.number, Instant::now() + Duration::from_millis(20)));
        let next = trials.turn(late()).unwrap();
        drop(stuck);
        assert!(trials.turn(Instant::now()).is_none(), "the next one has its turn still");
        drop(next);
    }

    #[test]
    fn other_messages_wait_until_the_suspects_are_through() {
        let isolation = Isolation::default();
        let started = Instant::now();
        isolation.wait(late());
        let trials = isolation.begin();
        isolation.wait(Instant::now() + Duration::from_millis(20));
        assert!(started.elapsed() >= Duration::from_millis(20));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| isolation.wait(late()));
            drop(trials);
            waiting.join().unwrap();
        });
    }

    #[test]
    fn closing_ends_every_wait() {
        let isolation = Isolation::default();
        let trials = isolation.begin();
        let _turn = trials.turn(late()).unwrap();
        let started = Instant::now();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| trials.turn(late()).is_none());
            thread::sleep(Duration::from_millis(10));
            isolation.close();
            assert!(waiting.join().unwrap());
        });
        isolation.wait(late());
        assert!(started.elapsed() < LONG / 2);
    }
}
