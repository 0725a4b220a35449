//! Stops the reader of a connection while too many bytes wait for the program.

use crate::sync::{lock, wait_while};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// The bound of a connection whose consumer has no prefetch. Other connections have none, and the
/// methods do nothing.
#[derive(Debug, Default)]
pub(crate) struct ReadLimit {
    max: Option<u64>,
    state: Mutex<ReadState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ReadState {
    /// The bytes that wait.
    waiting: u64,
    /// The number of calls whose answers arrive behind what waits.
    calls: usize,
    /// Whether the connection or its channel ends.
    is_lifted: bool,
}

impl ReadLimit {
    pub(crate) fn new(max: Option<u64>) -> ReadLimit {
        ReadLimit { max, ..ReadLimit::default() }
    }

    /// Counts bytes that wait.
    pub(crate) fn arrived(&self, bytes: u64) {
        if self.max.is_some() {
            lock(&self.state).waiting += bytes;
        }
    }

    /// Counts bytes that no longer wait.
    pub(crate) fn taken(&self, bytes: u64) {
        let Some(max) = self.max else { return };
        let mut state = lock(&self.state);
        let before = state.waiting;
        state.waiting = before.saturating_sub(bytes);
        let has_room = before > max && state.waiting <= max;
        drop(state);
        if has_room {
            self.changed.notify_all();
        }
    }

    /// Waits while more than the limit waits. Returns false if `timeout` passes first.
    ///
    /// Reads on at once when there is room, and not in large steps: RabbitMQ ends a connection
    /// when a write takes more than 30 s (measured with 3.10.8 and 4.3.6).
    pub(crate) fn wait_for_room(&self, timeout: Duration) -> bool {
        let Some(max) = self.max else { return true };
        let state = lock(&self.state);
        if state.waiting <= max {
            return true;
        }
        let is_full =
            |state: &ReadState| state.waiting > max && state.calls == 0 && !state.is_lifted;
        wait_while(&self.changed, state, Instant::now() + timeout, is_full).is_some()
    }

    /// Suspends the limit while a call waits for its answer, until the result is dropped.
    pub(crate) fn suspend(&self) -> SuspendedReadLimit<'_> {
        if self.max.is_some() {
            lock(&self.state).calls += 1;
            self.changed.notify_all();
        }
        SuspendedReadLimit(self)
    }

    /// Ends the limit, because the connection or its channel ends.
    pub(crate) fn lift(&self) {
        if self.max.is_some() {
            lock(&self.state).is_lifted = true;
            self.changed.notify_all();
        }
    }
}

/// A call that waits for its answer.
#[derive(Debug)]
pub(crate) struct SuspendedReadLimit<'a>(&'a ReadLimit);

impl Drop for SuspendedReadLimit<'_> {
    fn drop(&mut self) {
        if self.0.max.is_some() {
            lock(&self.0.state).calls -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::thread;

    use super::*;

    const SHORT: Duration = Duration::from_millis(10);
    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn reader_pauses_above_the_limit_and_resumes_at_it() {
        let limit = ReadLimit::new(Some(100));
        limit.arrived(100);
        assert!(limit.wait_for_room(SHORT));
        limit.arrived(1);
        assert!(!limit.wait_for_room(SHORT));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| limit.wait_for_room(LONG));
            limit.taken(1);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn calls_and_the_end_let_the_reader_read() {
        let limit = ReadLimit::new(Some(1));
        limit.arrived(2);
        let call = limit.suspend();
        assert!(limit.wait_for_room(SHORT));
        limit.taken(0);
        drop(call);
        assert!(!limit.wait_for_room(SHORT));
        limit.lift();
        assert!(limit.wait_for_room(SHORT));
    }

    #[test]
    fn connection_without_a_limit_never_pauses() {
        let limit = ReadLimit::new(None);
        limit.arrived(u64::MAX);
        assert!(limit.wait_for_room(SHORT));
    }
}
