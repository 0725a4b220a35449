//! Points in time until which a call may wait.

use std::time::{Duration, Instant};

/// So long that it is never reached, and short enough to be added to any point in time.
pub(crate) const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The point in time after `duration`, a year from now at most: a program may pass any duration.
pub(crate) fn after(duration: Duration) -> Instant {
    Instant::now() + duration.min(FOREVER)
}

/// How long it is until `deadline`; zero if it has passed.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
