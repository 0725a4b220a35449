use std::time::{Duration, Instant};

use carrot_core::Error;

/// The end of the time of a call.
#[derive(Debug, Clone, Copy)]
pub struct CallDeadline {
    at: Instant,
    timeout: Duration,
}

impl CallDeadline {
    /// Begins a time of at most 365 days.
    pub fn after(timeout: Duration) -> CallDeadline {
        const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        CallDeadline { at: Instant::now() + timeout.min(LONGEST), timeout }
    }

    /// Returns the end.
    pub fn at(self) -> Instant {
        self.at
    }

    /// Returns the time that is left; zero after the end.
    pub fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Returns the error of an operation that took too long.
    pub fn late(self, operation: &'static str) -> Error {
        Error::timeout(operation, self.timeout)
    }
}
