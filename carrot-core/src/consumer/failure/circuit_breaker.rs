//! Pauses a whole consumer while its handler fails every time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::backend::Clock;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Counts consecutive failures over all workers of a run. At the limit, pauses them with growing
/// pauses.
#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    /// The number of consecutive failures before a pause; `None` for no pause.
    limit: Option<u32>,
    clock: Clock,
    state: Mutex<CircuitState>,
    /// Whether the handler failed after its last success. Readable without the lock, which all
    /// workers share.
    failing: AtomicBool,
    /// The number of all pauses.
    pauses: AtomicU64,
    /// The number of workers that wait for the end of a pause.
    waiting: AtomicU64,
}

#[derive(Debug, Default)]
struct CircuitState {
    failures: u32,
    pauses: u32,
    /// The end of the current pause.
    until: Option<Duration>,
}

impl CircuitBreaker {
    pub(crate) fn new(limit: Option<u32>, clock: Clock) -> CircuitBreaker {
        CircuitBreaker {
            limit,
            clock,
            state: Mutex::default(),
            failing: AtomicBool::new(false),
            pauses: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
        }
    }

    /// Records the result of a handler. After a pause, the first failure starts the next one.
    pub(crate) fn note(&self, failed: bool, queue: &str) {
        let Some(limit) = self.limit else { return };
        if !failed && !self.failing.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.lock();
        self.failing.store(failed, Ordering::Release);
        if !failed {
            let before = std::mem::take(&mut *state);
            drop(state);
            if before.pauses > 0 {
                log::info!("consumer continues: its handler succeeded queue={queue:?}");
            }
            return;
        }
        state.failures += 1;
        if state.until.is_some() || state.failures < if state.pauses == 0 { limit } else { 1 } {
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << state.pauses.min(16)).min(LONGEST_PAUSE);
        let failures = state.failures;
        state.until = Some(self.clock.now() + pause);
        state.pauses += 1;
        self.pauses.fetch_add(1, Ordering::Relaxed);
        state.failures = 0;
        drop(state);
        log::warn!(
            "consumer pauses: its handler failed {failures} times in a row queue={queue:?} \
             pause={pause:?}"
        );
    }

    /// Blocks until no pause is on, or `given_up` returns true.
    pub(crate) fn wait(&self, given_up: &dyn Fn() -> bool) {
        if !self.failing.load(Ordering::Acquire) {
            return;
        }
        let Some(until) = self.lock().until else { return };
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let is_over = self.clock.sleep_until(until, given_up);
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        if is_over {
            let mut state = self.lock();
            if state.until == Some(until) {
                state.until = None;
            }
        }
    }

    /// Returns the number of pauses so far.
    pub(crate) fn pauses(&self) -> u64 {
        self.pauses.load(Ordering::Relaxed)
    }

    /// Returns whether a worker waits for the end of a pause.
    pub(crate) fn is_pausing(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    fn lock(&self) -> MutexGuard<'_, CircuitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(breaker: &CircuitBreaker) -> Option<Duration> {
        breaker.lock().until.map(|until| until - breaker.clock.now())
    }

    fn fail(breaker: &CircuitBreaker, times: u32) {
        (0..times).for_each(|_| breaker.note(true, "q"));
    }

    #[test]
    fn a_failing_handler_gets_growing_pauses() {
        let clock = Clock::manual();
        let breaker = CircuitBreaker::new(Some(3), clock.clone());
        fail(&breaker, 2);
        assert_eq!(pause(&breaker), None);
        fail(&breaker, 1);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(pause(&breaker), Some(Duration::from_secs(seconds)));
            clock.advance_to(clock.now() + Duration::from_secs(seconds));
            breaker.wait(&|| false);
            assert_eq!(pause(&breaker), None);
            fail(&breaker, 1);
        }
    }

    #[test]
    fn a_success_resets_the_count() {
        let breaker = CircuitBreaker::new(Some(2), Clock::manual());
        for _ in 0..3 {
            fail(&breaker, 1);
            breaker.note(false, "q");
        }
        assert_eq!(pause(&breaker), None);
        CircuitBreaker::new(None, Clock::manual()).wait(&|| false);
    }

    #[test]
    fn a_stopped_consumer_does_not_wait_for_the_end_of_the_pause() {
        let breaker = CircuitBreaker::new(Some(1), Clock::manual());
        fail(&breaker, 1);
        breaker.wait(&|| true);
        assert!(pause(&breaker).is_some());
    }
}
