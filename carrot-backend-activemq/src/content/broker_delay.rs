use std::time::Duration;

use carrot_core::{Error, Result};

use crate::exchanges::queue_rules::LONGEST_TIME;

/// The time for which the scheduler of the broker holds a message: from 1 ms to ten years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrokerDelay(i64);

impl BrokerDelay {
    /// Returns a delay, rounded up to milliseconds.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: the delay is too long.
    pub(crate) fn new(delay: Duration) -> Result<BrokerDelay> {
        let milliseconds = delay.as_nanos().div_ceil(1_000_000).max(1);
        let fits = |milliseconds: &i64| *milliseconds <= LONGEST_TIME;
        let milliseconds = i64::try_from(milliseconds).ok().filter(fits);
        milliseconds.map(BrokerDelay).ok_or_else(|| {
            refused(delay, format!("at most {} s, which is ten years", LONGEST_TIME / 1000))
        })
    }

    /// Returns the error of a delay that a broker without a scheduler would ignore.
    pub(crate) fn not_possible(delay: Duration) -> Error {
        let limit = "no delay, because this broker has no scheduler (schedulerSupport=\"true\" in \
                     its configuration), or the user may not write to temporary topics";
        refused(delay, limit.into())
    }

    pub(crate) fn milliseconds(self) -> i64 {
        self.0
    }
}

fn refused(delay: Duration, limit: String) -> Error {
    Error::Invalid { field: "delay".into(), value: format!("{delay:?}"), limit: limit.into() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn delay_is_rounded_up_to_milliseconds() {
        let rounded = |delay| BrokerDelay::new(delay).unwrap().milliseconds();
        assert_eq!(rounded(Duration::ZERO), 1);
        assert_eq!(rounded(Duration::from_micros(1001)), 2);
        assert_eq!(rounded(Duration::from_secs(2)), 2000);
    }

    #[test]
    fn delay_of_more_than_ten_years_is_refused_with_the_limit() {
        let longest = Duration::from_secs(315_360_000);
        assert_eq!(BrokerDelay::new(longest).unwrap().milliseconds(), LONGEST_TIME);
        for delay in [longest + Duration::from_nanos(1), Duration::MAX] {
            let text = BrokerDelay::new(delay).unwrap_err().to_string();
            assert!(text.contains("invalid delay") && text.contains("315360000 s"), "{text}");
        }
    }
}
