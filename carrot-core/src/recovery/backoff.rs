//! The back-off of reconnecting: one attempt at a time, with growing pauses.

mod outage;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A channel lost before this age, and before it has worked, counts as a failed attempt. A
/// connection that is lost at once must not be reopened at once.
pub(crate) const YOUNG: Duration = Duration::from_secs(1);

const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Together with the connecting itself, reconnects within two seconds of the broker's return.
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);
/// A call with less time than this leaves connecting to the background thread, because a short
/// attempt would not succeed.
const MIN_FOREGROUND_TIME: Duration = Duration::from_secs(2);
/// After this time without a failure, the next pause is the first again.
const RESET_AFTER: Duration = Duration::from_secs(15);

/// Shared by all channels of one role of one connection.
#[derive(Debug)]
pub(crate) struct Backoff {
    endpoint: String,
    /// Whether a connection in either role was opened before. A refused certificate file or
    /// password may then be in replacement.
    reached: Arc<AtomicBool>,
    state: Mutex<BackoffState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BackoffState {
    dialing: bool,
    closed: bool,
    failures: u32,
    /// The end of the last pause.
    not_before: Option<Instant>,
    /// The reason why there is no connection: its loss, or the last failed attempt after it.
    cause: Option<Error>,
    /// The last loss or failed attempt. Stays after a success.
    last_failure: Option<Error>,
    /// The time when the connection was lost.
    failing_since: Option<Instant>,
    /// Whether a thread connects in the background, with more time than a call may have.
    in_background: bool,
    connected_at: Option<Instant>,
}

impl Backoff {
    pub(crate) fn new(endpoint: String, reached: &Arc<AtomicBool>) -> Backoff {
        Backoff {
            endpoint,
            reached: Arc::clone(reached),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Attempts to connect once no other attempt runs and the last pause is over.
    ///
    /// # Errors
    /// - The error of the attempt.
    /// - At `deadline`, the error of the last failure, or a timeout.
    /// - [`Error::Closed`]: `given_up` returned true. `given_up` is called after each
    ///   [`wake`](Backoff::wake).
    pub(crate) fn attempt<T>(
        &self,
        deadline: Instant,
        given_up: &dyn Fn() -> bool,
        dial: impl FnOnce(Duration) -> Result<T>,
    ) -> Result<T> {
        let started = Instant::now();
        let turn = self.turn(started, deadline, given_up)?;
        let result = dial(deadline.saturating_duration_since(Instant::now()))
            .map_err(|error| self.retryable_after_success(error));
        match &result {
            Ok(_) => self.succeeded(),
            Err(error) => {
                self.note(error);
                self.failed(error);
            }
        }
        drop(turn);
        result.map_err(|error| match error {
            Error::Connect { endpoint, reason, source, .. } => {
                Error::Connect { endpoint, reason, source, tried: started.elapsed() }
            }
            other => other,
        })
    }

    fn succeeded(&self) {
        self.reached.store(true, Ordering::Release);
        let mut state = self.lock();
        state.cause = None;
        state.failing_since = None;
        state.connected_at = Some(Instant::now());
    }

    /// Returns whether the connection was opened less than `age` ago.
    pub(crate) fn is_younger_than(&self, age: Duration) -> bool {
        self.lock().connected_at.is_some_and(|connected_at| connected_at.elapsed() < age)
    }

    /// Sets whether a thread connects in the background. A call with little time then leaves
    /// connecting to that thread.
    pub(crate) fn set_in_background(&self, in_background: bool) {
        self.lock().in_background = in_background;
        self.changed.notify_all();
    }

    fn turn(
        &self,
        started: Instant,
        deadline: Instant,
        given_up: &dyn Fn() -> bool,
    ) -> Result<AttemptTurn<'_>> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if state.closed {
                return Err(Error::closed("connection"));
            }
            if given_up() {
                return Err(Error::closed("publisher or consumer"));
            }
            let ready_at = state.not_before.filter(|not_before| *not_before > now);
            let left_to_the_background = state.in_background
                && state.cause.is_some()
                && deadline < now + MIN_FOREGROUND_TIME;
            if !state.dialing && ready_at.is_none() && !left_to_the_background {
                state.dialing = true;
                return Ok(AttemptTurn(self));
            }
            if now >= deadline {
                let error = state
                    .cause
                    .clone()
                    .unwrap_or_else(|| Error::timeout("waiting to connect", now - started));
                drop(state);
                return Err(self.outage(error, now - started));
            }
            let until = ready_at
                .filter(|_| !state.dialing && !left_to_the_background)
                .map_or(deadline, |ready_at| ready_at.min(deadline));
            state = self
                .changed
                .wait_timeout(state, until - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Delays the next attempt, also after a failure right after connecting. A failure during a
    /// pause counts as part of the last one.
    pub(crate) fn failed(&self, error: &Error) {
        let now = Instant::now();
        let mut state = self.lock();
        match state.not_before {
            Some(not_before) if now < not_before => return,
            Some(not_before) if now > not_before + RESET_AFTER => state.failures = 0,
            _ => {}
        }
        let pause = FIRST_PAUSE
            .saturating_mul(1 << state.failures.min(16))
            .min(LONGEST_PAUSE)
            .mul_f64(0.5 + fastrand::f64() / 2.0);
        state.failures += 1;
        state.not_before = Some(now + pause);
        let failures = state.failures;
        drop(state);
        log::debug!("connecting failed, next attempt in {pause:?}: {error} failures={failures}");
    }

    /// Resets the pause to the first.
    pub(crate) fn settled(&self) {
        self.lock().failures = 0;
    }

    /// Wakes every waiting thread to check again whether to give up.
    pub(crate) fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Returns whether all further attempts are refused.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Refuses all further attempts.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, BackoffState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to connect. Other threads wait until it is dropped.
struct AttemptTurn<'a>(&'a Backoff);

impl Drop for AttemptTurn<'_> {
    fn drop(&mut self) {
        self.0.lock().dialing = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn backoff() -> Backoff {
        Backoff::new("here".into(), &Arc::default())
    }

    const NEVER: &dyn Fn() -> bool = &|| false;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn concurrent_attempts_run_one_at_a_time() {
        let (backoff, dialing, most) = (backoff(), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    backoff.attempt(soon(), NEVER, |_| {
                        most.fetch_max(
                            dialing.fetch_add(1, Ordering::SeqCst) + 1,
                            Ordering::SeqCst,
                        );
                        thread::yield_now();
                        dialing.fetch_sub(1, Ordering::SeqCst);
                        Ok(())
                    })
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn pauses_grow_and_are_reset_after_a_time_without_failures() {
        let backoff = backoff();
        let pause = |backoff: &Backoff, since_last_pause: Duration| {
            backoff.lock().not_before = Instant::now().checked_sub(since_last_pause);
            let before = Instant::now();
            backoff.failed(&Error::disconnected("test"));
            backoff.lock().not_before.map_or(Duration::ZERO, |not_before| not_before - before)
        };
        let slack = Duration::from_millis(20);
        let pauses: Vec<_> = (0..20).map(|_| pause(&backoff, Duration::from_secs(1))).collect();
        assert!(pauses[0] >= FIRST_PAUSE / 2 && pauses[0] <= FIRST_PAUSE + slack, "{pauses:?}");
        assert!(
            pauses[19] >= LONGEST_PAUSE / 2
                && pauses.iter().all(|pause| *pause <= LONGEST_PAUSE + slack),
            "{pauses:?}"
        );
        assert!(pause(&backoff, RESET_AFTER * 2) <= FIRST_PAUSE + slack);
    }

    #[test]
    fn a_failure_during_a_pause_does_not_lengthen_the_pause() {
        let backoff = backoff();
        for _ in 0..100 {
            backoff.failed(&Error::disconnected("test"));
        }
        assert_eq!(backoff.lock().failures, 1);
    }

    #[test]
    fn an_attempt_past_its_deadline_fails_with_the_last_cause() {
        let backoff = backoff();
        backoff.note(&Error::disconnected("test"));
        backoff.failed(&Error::disconnected("of another declaration"));
        let result = backoff.attempt(Instant::now() + Duration::from_millis(1), NEVER, |_| Ok(()));
        assert!(
            matches!(&result, Err(Error::Connect { reason, .. }) if reason.contains("test")),
            "{result:?}"
        );
    }

    #[test]
    fn a_call_with_little_time_leaves_connecting_to_the_background() {
        let backoff = backoff();
        backoff.note(&Error::disconnected("test"));
        backoff.set_in_background(true);
        let dialed = AtomicUsize::new(0);
        let dial = |_| Ok(dialed.fetch_add(1, Ordering::SeqCst));
        assert!(backoff.attempt(Instant::now() + Duration::from_millis(20), NEVER, dial).is_err());
        assert_eq!(dialed.load(Ordering::SeqCst), 0);
        thread::scope(|scope| {
            let waiting = scope
                .spawn(|| backoff.attempt(Instant::now() + MIN_FOREGROUND_TIME / 2, NEVER, dial));
            assert!(backoff.attempt(soon(), NEVER, |_| Ok(())).is_ok());
            assert!(waiting.join().is_ok_and(|opened| opened.is_ok()));
        });
        assert_eq!(dialed.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_waiting_attempt_ends_when_it_gives_up_or_is_closed() {
        for close in [false, true] {
            let (backoff, given_up) = (backoff(), AtomicUsize::new(0));
            backoff.lock().not_before = Some(soon());
            thread::scope(|scope| {
                let waiting = scope.spawn(|| {
                    backoff.attempt(soon(), &|| given_up.load(Ordering::SeqCst) == 1, |_| Ok(()))
                });
                if close {
                    backoff.close();
                } else {
                    given_up.store(1, Ordering::SeqCst);
                    backoff.wake();
                }
                assert!(matches!(waiting.join(), Ok(Err(Error::Closed { .. }))));
            });
        }
    }
}
