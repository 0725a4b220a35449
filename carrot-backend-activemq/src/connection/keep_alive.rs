//! When a keep-alive is due, and when a broker is lost.

use std::time::{Duration, Instant};

/// A peer sends in each third of the time after which it counts as lost.
const PARTS: u32 = 3;

/// The agreed time after which a silent peer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inactivity(Option<Duration>);

impl Inactivity {
    /// Combines the times of both sides, in milliseconds. Both take the shorter one; zero is never.
    pub(crate) fn agreed(own: i64, of_broker: Option<i64>) -> Inactivity {
        let shorter = of_broker.map_or(own, |theirs| theirs.min(own));
        let milliseconds = u64::try_from(shorter).unwrap_or_default();
        Inactivity((milliseconds > 0).then(|| Duration::from_millis(milliseconds)))
    }

    /// Returns the time after which a silent broker is lost.
    pub(crate) fn patience(self) -> Option<Duration> {
        // The broker checks in intervals of its own.
        self.0.map(|time| time.saturating_mul(2))
    }
}

/// The times at which a connection sends a keep-alive.
#[derive(Debug)]
pub(crate) struct KeepAliveTimer {
    interval: Option<Duration>,
    next: Option<Instant>,
}

impl KeepAliveTimer {
    pub(crate) fn new(inactivity: Inactivity) -> KeepAliveTimer {
        let interval = inactivity.0.map(|time| time / PARTS);
        let next = interval.and_then(|pause| Instant::now().checked_add(pause));
        KeepAliveTimer { interval, next }
    }

    /// Returns the time until the next one; `None` for none.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// Returns whether one is due, and begins the next interval then.
    pub(crate) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.next.is_some_and(|next| next <= now);
        if is_due {
            self.next = self.interval.and_then(|pause| now.checked_add(pause));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_time_holds() {
        let seconds = |seconds| Inactivity(Some(Duration::from_secs(seconds)));
        assert_eq!(Inactivity::agreed(20_000, Some(30_000)), seconds(20));
        assert_eq!(Inactivity::agreed(20_000, Some(5_000)), seconds(5));
        assert_eq!(Inactivity::agreed(20_000, None), seconds(20));
    }

    #[test]
    fn either_side_turns_the_check_off() {
        for (own, theirs) in [(0, Some(30_000)), (20_000, Some(0)), (20_000, Some(-1))] {
            let inactivity = Inactivity::agreed(own, theirs);
            assert_eq!(inactivity.patience(), None);
            assert_eq!(KeepAliveTimer::new(inactivity).left(), None);
        }
    }
}
