//! The clock that measures pauses.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest real time in which an advance of a manual clock may stay unseen.
const LONGEST_BLIND_WAIT: Duration = Duration::from_millis(1);

/// The clock of a backend. Measures the pauses between the attempts at a message.
///
/// The deadlines of calls always use real time. Clones share the same clock.
///
/// ```
/// use std::time::Duration;
/// use carrot::backend::Clock;
///
/// let clock = Clock::manual();
/// clock.advance_to(Duration::from_secs(86_400));
/// assert_eq!(clock.now(), Duration::from_secs(86_400));
/// ```
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    source: ClockSource,
    /// Counts the wake-ups of sleepers.
    woken: Mutex<u64>,
    changed: Condvar,
}

enum ClockSource {
    Real(Instant),
    /// The time in microseconds.
    Manual(AtomicU64),
}

impl Clock {
    /// Creates a clock that runs with real time, from zero.
    pub fn real() -> Clock {
        Clock::from(ClockSource::Real(Instant::now()))
    }

    /// Creates a clock that stands at zero until [`advance_to`](Clock::advance_to) advances it. For
    /// backends that imitate a broker in tests.
    pub fn manual() -> Clock {
        Clock::from(ClockSource::Manual(AtomicU64::new(0)))
    }

    fn from(source: ClockSource) -> Clock {
        Clock(Arc::new(Inner { source, woken: Mutex::new(0), changed: Condvar::new() }))
    }

    /// Returns the time since the start of the clock.
    pub fn now(&self) -> Duration {
        match &self.0.source {
            ClockSource::Real(start) => start.elapsed(),
            ClockSource::Manual(now) => Duration::from_micros(now.load(Ordering::SeqCst)),
        }
    }

    /// Advances a manual clock to `now`, and ends every pause that is due. A clock never moves
    /// backwards, and a real clock cannot be set.
    pub fn advance_to(&self, now: Duration) {
        if let ClockSource::Manual(current) = &self.0.source {
            current.fetch_max(u64::try_from(now.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
            self.wake();
        }
    }

    /// Blocks until `due`, or until `given_up` returns true. Calls `given_up` after each
    /// [`wake`](Clock::wake). Returns whether `due` was reached.
    pub(crate) fn sleep_until(&self, due: Duration, given_up: &dyn Fn() -> bool) -> bool {
        loop {
            let seen = *self.woken();
            if given_up() {
                return false;
            }
            let left = due.saturating_sub(self.now());
            if left.is_zero() {
                return true;
            }
            let woken = self.woken();
            if *woken != seen {
                continue;
            }
            match self.0.source {
                ClockSource::Real(_) => drop(self.0.changed.wait_timeout(woken, left)),
                ClockSource::Manual(_) => drop(self.0.changed.wait(woken)),
            }
        }
    }

    /// Returns how long a caller may wait in real time before it has to look at the clock again,
    /// with `left` to wait. An advance of a manual clock cannot end a wait for the broker.
    pub(crate) fn longest_wait(&self, left: Duration) -> Duration {
        match self.0.source {
            ClockSource::Real(_) => left,
            ClockSource::Manual(_) => left.min(LONGEST_BLIND_WAIT),
        }
    }

    /// Wakes every sleeper to check again whether to give up.
    pub(crate) fn wake(&self) {
        *self.woken() += 1;
        self.0.changed.notify_all();
    }

    fn woken(&self) -> MutexGuard<'_, u64> {
        self.0.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Clock").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    const NEVER: &dyn Fn() -> bool = &|| false;

    #[test]
    fn a_real_clock_reaches_a_due_time() {
        let clock = Clock::real();
        let due = clock.now() + Duration::from_millis(5);
        assert!(clock.sleep_until(due, NEVER));
        assert!(clock.now() >= due);
    }

    #[test]
    fn an_advanced_clock_wakes_sleepers_and_never_moves_backwards() {
        let clock = Clock::manual();
        let day = Duration::from_secs(86_400);
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| clock.sleep_until(day, NEVER));
            clock.advance_to(day);
            assert!(sleeper.join().unwrap());
        });
        clock.advance_to(Duration::ZERO);
        assert_eq!(clock.now(), day);
    }

    #[test]
    fn a_sleeper_that_gives_up_is_woken() {
        let (clock, given_up) = (Clock::manual(), AtomicBool::new(false));
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                clock.sleep_until(Duration::from_secs(1), &|| given_up.load(Ordering::SeqCst))
            });
            given_up.store(true, Ordering::SeqCst);
            clock.wake();
            assert!(!sleeper.join().unwrap());
        });
    }
}
