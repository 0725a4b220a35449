//! The pace at which a connection is made again: one attempt at a time, with longer and longer
//! pauses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A channel that is lost sooner than this, before it did what it is for, counts as a failed
/// attempt: a connection that dies at once is not to be made again at once.
pub(crate) const YOUNG: Duration = Duration::from_secs(1);

const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A program is connected again within two seconds of the broker's return.
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);
/// A call that has less time than this does not dial while a thread does so in the background: an
/// attempt that is cut short helps nobody.
const SHORT: Duration = Duration::from_secs(2);
/// After so long without a failure, the next pause is the first again.
const FORGETTING: Duration = Duration::from_secs(15);

/// Shared by everything that opens channels in one role on one connection.
#[derive(Debug)]
pub(crate) struct Backoff {
    endpoint: String,
    /// Whether a connection in either role was made before. Then a certificate file or a password
    /// that is refused may be in the middle of being replaced.
    reached: Arc<AtomicBool>,
    state: Mutex<BackoffState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BackoffState {
    dialing: bool,
    closed: bool,
    failures: u32,
    /// When the last pause ends, or ended.
    not_before: Option<Instant>,
    /// Why there is no connection: its loss, or the last failure to make it since.
    cause: Option<Error>,
    /// Since when there is none.
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

    /// Makes one attempt when it is its turn and the pause after the last failure has passed.
    ///
    /// # Errors
    /// What the attempt gives. If no turn comes before `deadline`: the error of the last failure,
    /// or else a timeout. `Closed` if `given_up` says so; it is asked again after
    /// [`wake`](Backoff::wake).
    pub(crate) fn attempt<T>(
        &self,
        deadline: Instant,
        given_up: &dyn Fn() -> bool,
        dial: impl FnOnce(Duration) -> Result<T>,
    ) -> Result<T> {
        let started = Instant::now();
        let turn = self.turn(started, deadline, given_up)?;
        let result = dial(deadline.saturating_duration_since(Instant::now()))
            .map_err(|error| self.after_success(error));
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

    /// Whether it was connected less than `age` ago.
    pub(crate) fn is_younger_than(&self, age: Duration) -> bool {
        self.lock().connected_at.is_some_and(|connected_at| connected_at.elapsed() < age)
    }

    /// Says whether a thread connects in the background. A call with little time leaves the dialing
    /// to that then.
    pub(crate) fn set_in_background(&self, in_background: bool) {
        self.lock().in_background = in_background;
        self.changed.notify_all();
    }

    /// What was accepted before, and is refused now, may be accepted again.
    fn after_success(&self, error: Error) -> Error {
        match error {
            Error::Authentication { .. } | Error::Config { .. }
                if self.reached.load(Ordering::Acquire) =>
            {
                Error::Connect {
                    endpoint: self.endpoint.clone(),
                    reason: error.to_string(),
                    tried: Duration::ZERO,
                    source: Some(Arc::new(error)),
                }
            }
            error => error,
        }
    }

    /// The error of a call that tried to connect for `tried`, in vain: names the address, and the
    /// last failure.
    pub(crate) fn outage(&self, error: Error, tried: Duration) -> Error {
        let cause = match error {
            Error::Timeout { .. } => self.lock().cause.clone().unwrap_or(error),
            error => error,
        };
        match cause {
            // The blame for a hard close is for who looks for its cause.
            error if error.hard_close().is_some() => error,
            Error::Connect { endpoint, reason, source, .. } => {
                Error::Connect { endpoint, reason, tried, source }
            }
            Error::Disconnected { reason, source } => Error::Connect {
                endpoint: self.endpoint.clone(),
                reason: format!("the connection was lost: {reason}"),
                tried,
                source,
            },
            Error::Timeout { operation, .. } => Error::Connect {
                endpoint: self.endpoint.clone(),
                reason: format!("{operation} did not finish in time"),
                tried,
                source: None,
            },
            other => other,
        }
    }

    /// Whether the last attempt failed, or the connection was lost since.
    pub(crate) fn is_failing(&self) -> bool {
        self.lock().cause.is_some()
    }

    /// Why there is no connection, and for how long.
    pub(crate) fn absence(&self) -> Error {
        let state = self.lock();
        let since = state.failing_since.map_or(Duration::ZERO, |since| since.elapsed());
        let cause = state.cause.clone();
        drop(state);
        let opening = || Error::connect(&self.endpoint, "the channel is not open yet", since, None);
        self.outage(cause.unwrap_or_else(opening), since)
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
            let left_to_the_background =
                state.in_background && state.cause.is_some() && deadline < now + SHORT;
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

    /// Notes why there is no connection, without a pause.
    pub(crate) fn note(&self, error: &Error) {
        let mut state = self.lock();
        state.cause = Some(error.clone());
        state.failing_since.get_or_insert_with(Instant::now);
    }

    /// Makes the next attempt wait, also if it was not the dialing that failed but what came right
    /// after it. During a pause, it is taken for a part of the same failure.
    pub(crate) fn failed(&self, error: &Error) {
        let now = Instant::now();
        let mut state = self.lock();
        match state.not_before {
            Some(not_before) if now < not_before => return,
            Some(not_before) if now > not_before + FORGETTING => state.failures = 0,
            _ => {}
        }
        let pause = FIRST_PAUSE
            .saturating_mul(1 << state.failures.min(16))
            .min(LONGEST_PAUSE)
            .mul_f64(0.5 + fastrand::f64() / 2.0);
        state.failures += 1;
        state.not_before = Some(now + pause);
        log::debug!(
            "the next attempt to connect is in {pause:?} ({} failed): {error}",
            state.failures
        );
    }

    /// Makes the next pause the first again.
    pub(crate) fn settled(&self) {
        self.lock().failures = 0;
    }

    /// Has everybody who waits ask again whether to give up.
    pub(crate) fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
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

/// The right to dial; others wait until it is dropped.
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
    fn one_thread_dials_at_a_time() {
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
    fn pauses_grow_and_are_forgotten_after_a_while() {
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
        assert!(pause(&backoff, FORGETTING * 2) <= FIRST_PAUSE + slack);
    }

    #[test]
    fn failures_during_a_pause_do_not_lengthen_it() {
        let backoff = backoff();
        for _ in 0..100 {
            backoff.failed(&Error::disconnected("test"));
        }
        assert_eq!(backoff.lock().failures, 1);
    }

    #[test]
    fn a_turn_that_comes_too_late_tells_why_there_is_no_connection() {
        let backoff = backoff();
        backoff.note(&Error::disconnected("test"));
        backoff.failed(&Error::disconnected("of somebody's declaration"));
        let result = backoff.attempt(Instant::now() + Duration::from_millis(1), NEVER, |_| Ok(()));
        assert!(
            matches!(&result, Err(Error::Connect { reason, .. }) if reason.contains("test")),
            "{result:?}"
        );
    }

    #[test]
    fn a_call_with_little_time_leaves_the_dialing_to_the_background() {
        let backoff = backoff();
        backoff.note(&Error::disconnected("test"));
        backoff.set_in_background(true);
        let dialed = AtomicUsize::new(0);
        let dial = |_| Ok(dialed.fetch_add(1, Ordering::SeqCst));
        assert!(backoff.attempt(Instant::now() + Duration::from_millis(20), NEVER, dial).is_err());
        assert_eq!(dialed.load(Ordering::SeqCst), 0);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| backoff.attempt(Instant::now() + SHORT / 2, NEVER, dial));
            assert!(backoff.attempt(soon(), NEVER, |_| Ok(())).is_ok());
            assert!(waiting.join().is_ok_and(|opened| opened.is_ok()));
        });
        assert_eq!(dialed.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn who_waits_is_woken_when_it_gives_up_or_all_is_closed() {
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

    #[test]
    fn an_outage_names_the_address_the_time_and_the_last_failure() {
        let backoff = backoff();
        let waited = || {
            backoff
                .outage(Error::timeout("opening a channel", Duration::ZERO), Duration::from_secs(5))
                .to_string()
        };
        assert_eq!(
            waited(),
            "could not connect to here within 5.0 s: opening a channel did not finish in time"
        );
        backoff.note(&Error::connect(
            "there",
            "TCP failed",
            Duration::ZERO,
            Some(Arc::new(std::io::Error::other("refused"))),
        ));
        assert_eq!(waited(), "could not connect to there within 5.0 s: TCP failed: refused");
        assert!(backoff.attempt(soon(), NEVER, |_| Ok(())).is_ok());
        assert!(!waited().contains("refused"));
    }

    #[test]
    fn what_was_accepted_before_may_pass() {
        let backoff = backoff();
        let refuse = || {
            backoff
                .attempt(soon(), NEVER, |_| Err::<(), _>(Error::config("tls", "half a file")))
                .err()
        };
        assert!(refuse().is_some_and(|error| !error.is_retryable()));
        assert!(backoff.attempt(soon(), NEVER, |_| Ok(())).is_ok());
        assert!(
            refuse().is_some_and(
                |error| error.is_retryable() && error.to_string().contains("half a file")
            )
        );
    }
}
