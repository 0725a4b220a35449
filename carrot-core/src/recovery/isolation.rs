//! Sends a message that may have made the broker close the connection while no other message of the
//! connection is in flight.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The maximum time that one suspect delays the others.
const LONGEST_TURN: Duration = Duration::from_secs(5);
/// The maximum time that other messages wait for the suspects of other publishers.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The messages in flight of one publisher.
pub(crate) trait TakeAnswers: std::fmt::Debug + Send + Sync {
    /// Waits for the answers of the broker, and records them. Blocks until `until` at most.
    fn take_answers(&self, until: Instant);
}

/// Shared by the publishers of one connection. One suspect is in flight at a time, and other
/// messages wait for it.
#[derive(Debug, Default)]
pub(crate) struct Isolation {
    /// The number of publishers that send suspects, readable without the lock.
    senders: AtomicUsize,
    state: Mutex<IsolationState>,
    changed: Condvar,
    /// The publishers of the connection.
    publishers: Mutex<Vec<Weak<dyn TakeAnswers>>>,
}

#[derive(Debug, Default)]
struct IsolationState {
    last: u64,
    /// The waiting suspects, first in, first out.
    waiting: VecDeque<u64>,
    /// The suspect in flight, and the time until which it delays the others.
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

    /// Waits for the answers to the messages in flight of other publishers. Blocks at most for 1 s,
    /// or until `deadline`.
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

    /// Announces that a publisher sends suspects. Other messages wait until the returned value is
    /// dropped.
    pub(crate) fn begin(&self) -> SuspectSends<'_> {
        self.senders.fetch_add(1, Ordering::SeqCst);
        SuspectSends { isolation: self }
    }

    /// Blocks while a publisher sends suspects, at most for 1 s or until `deadline`.
    pub(crate) fn wait(&self, deadline: Instant) {
        if self.senders.load(Ordering::Relaxed) > 0 {
            self.wait_for_suspects(deadline.min(Instant::now() + LONGEST_WAIT));
        }
    }

    /// Blocks as [`wait`](Isolation::wait) does, at most for `timeout`. Returns the remaining time.
    pub(crate) fn wait_within(&self, timeout: Duration) -> Duration {
        if self.senders.load(Ordering::Relaxed) == 0 {
            return timeout;
        }
        let started = Instant::now();
        self.wait_for_suspects(started + timeout.min(LONGEST_WAIT));
        timeout.saturating_sub(started.elapsed())
    }

    #[cold]
    fn wait_for_suspects(&self, deadline: Instant) {
        let mut state = self.lock();
        while self.senders.load(Ordering::SeqCst) > 0 && !state.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends every wait, now and later.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, IsolationState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sending of one publisher's suspects.
#[derive(Debug)]
pub(crate) struct SuspectSends<'a> {
    isolation: &'a Isolation,
}

impl<'a> SuspectSends<'a> {
    /// Waits until no other suspect is in flight. Returns `None` at `deadline`, or if the
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
        self.isolation.senders.fetch_sub(1, Ordering::SeqCst);
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
    fn a_suspect_without_an_answer_delays_the_others_for_a_limited_time() {
        let isolation = Isolation::default();
        let sends = isolation.begin();
        let stuck = sends.turn(late()).unwrap();
        isolation.lock().current = Some((stuck.number, Instant::now() + Duration::from_millis(20)));
        let next = sends.turn(late()).unwrap();
        drop(stuck);
        assert!(sends.turn(Instant::now()).is_none(), "the next suspect still has its turn");
        drop(next);
    }

    #[test]
    fn other_messages_wait_until_all_suspects_are_sent() {
        let isolation = Isolation::default();
        let started = Instant::now();
        isolation.wait(late());
        let sends = isolation.begin();
        isolation.wait(Instant::now() + Duration::from_millis(20));
        assert!(started.elapsed() >= Duration::from_millis(20));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| isolation.wait(late()));
            drop(sends);
            waiting.join().unwrap();
        });
    }

    #[test]
    fn a_closed_isolation_ends_every_wait() {
        let isolation = Isolation::default();
        let sends = isolation.begin();
        let _turn = sends.turn(late()).unwrap();
        let started = Instant::now();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| sends.turn(late()).is_none());
            thread::sleep(Duration::from_millis(10));
            isolation.close();
            assert!(waiting.join().unwrap());
        });
        isolation.wait(late());
        assert!(started.elapsed() < LONG / 2);
    }
}
