//! Deadlines from time-outs.

use std::time::{Duration, Instant};

/// Stands for no deadline, where adding up would overflow.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

pub(crate) fn deadline_after(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_timeout_does_not_overflow() {
        assert!(deadline_after(Duration::MAX) > deadline_after(Duration::from_secs(60)));
    }
}
