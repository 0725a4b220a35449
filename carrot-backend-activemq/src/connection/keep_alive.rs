//! The interval of keep-alives, and when a broker is lost.

use std::time::Duration;

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

    /// Returns the interval of keep-alives; `None` for none.
    pub(crate) fn interval(self) -> Option<Duration> {
        self.0.map(|time| time / PARTS)
    }

    /// Returns the time after which a silent broker is lost.
    pub(crate) fn patience(self) -> Option<Duration> {
        // The broker checks in intervals of its own.
        self.0.map(|time| time.saturating_mul(2))
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
            assert_eq!(inactivity.interval(), None);
        }
    }
}
