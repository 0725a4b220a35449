//! Deadlines of calls.

use std::time::{Duration, Instant};

/// The longest wait. Short enough to be added to any `Instant` without overflow.
pub(crate) const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Returns the point in time after `duration`, at most a year from now. A program may pass any
/// duration.
pub(crate) fn after(duration: Duration) -> Instant {
    Instant::now() + duration.min(FOREVER)
}

/// Returns the point in time at which [`after`] returned `deadline` for `duration`.
pub(crate) fn start(deadline: Instant, duration: Duration) -> Instant {
    deadline.checked_sub(duration.min(FOREVER)).unwrap_or(deadline)
}

/// Returns the time until `deadline`; zero if `deadline` has passed.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
