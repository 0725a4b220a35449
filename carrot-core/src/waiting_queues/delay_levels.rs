//! The levels at which a delayed message waits, and the routing key that leads through them; pure.
//!
//! Words and their order outlive a version of this crate, as the names of the queues do.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::model::whole_seconds;

/// The number of levels. The longest is 4,194,304 s, 48.5 days: RabbitMQ's timers end at 49.7 days.
const LEVELS: u32 = 23;
/// The longest delay: all levels, and the last second.
pub(crate) const LONGEST: Duration = Duration::from_secs(1 << LEVELS);
/// The time in the last queue, in seconds.
pub(super) const LAST_SECONDS: u64 = 1;

/// The first word of the blind routing key.
const KEY: &str = "carrot-delay-v1";
/// The word of a level at which the message waits, and of one that the message passes. Words that
/// no binding of a program ends with.
pub(super) const WAITS: &str = "~1";
pub(super) const PASSES: &str = "~0";

/// The treatment of a message that no queue takes after its delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unrouted {
    /// The message waits until a queue takes it, if the broker has quorum queues.
    Kept,
    Dropped,
}

impl Unrouted {
    pub(super) fn word(self) -> &'static str {
        match self {
            Unrouted::Kept => "kept",
            Unrouted::Dropped => "dropped",
        }
    }
}

/// The levels at which a message waits: one bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DelayLevels(u64);

impl DelayLevels {
    /// Returns the levels for a delay of more than zero, rounded up to whole seconds.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the delay is too long.
    pub(crate) fn of(delay: Duration) -> Result<DelayLevels> {
        if delay > LONGEST {
            return Err(Error::Invalid {
                field: "delay".into(),
                value: format!("{delay:?}"),
                limit: format!("at most {} s", LONGEST.as_secs()).into(),
            });
        }
        Ok(DelayLevels(whole_seconds(delay).max(LAST_SECONDS) - LAST_SECONDS))
    }

    /// Returns the number of levels that must exist: all up to the highest one that is used.
    pub(crate) fn depth(self) -> u32 {
        u64::BITS - self.0.leading_zeros()
    }

    fn waits_at(self, level: u32) -> bool {
        self.0 & (1 << level) != 0
    }
}

/// Returns the routing key that leads through the chain: its word, the treatment of an unrouted
/// message, and a word for each level, the highest first.
pub(super) fn blind_key(levels: DelayLevels, unrouted: Unrouted) -> String {
    let mut key = format!("{KEY}.{}", unrouted.word());
    for level in (0..LEVELS).rev() {
        key.push('.');
        key.push_str(if levels.waits_at(level) { WAITS } else { PASSES });
    }
    key
}

/// Returns the pattern of the routing keys with `word` for a level.
pub(super) fn level_pattern(level: u32, word: &str) -> String {
    let before = "*.".repeat((LEVELS - level) as usize);
    format!("{KEY}.{before}{word}.#")
}

/// Returns the pattern of the routing keys that lead to a last queue.
pub(super) fn last_pattern(unrouted: Unrouted) -> String {
    format!("{KEY}.{}.#", unrouted.word())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn levels(seconds: u64) -> DelayLevels {
        DelayLevels::of(Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn delay_is_rounded_up_to_whole_seconds() {
        let waits = |milliseconds| DelayLevels::of(Duration::from_millis(milliseconds)).unwrap().0;
        assert_eq!([1, 1000, 1001, 90_000, 90_001].map(waits), [0, 0, 1, 89, 90]);
        assert_eq!((levels(1).depth(), levels(2).depth(), levels(90).depth()), (0, 1, 7));
        assert_eq!(DelayLevels::of(LONGEST).unwrap().depth(), LEVELS);
        let too_long = DelayLevels::of(LONGEST + Duration::from_nanos(1)).unwrap_err().to_string();
        assert!(too_long.contains("delay") && too_long.contains("at most 8388608 s"), "{too_long}");
    }

    // Such keys and patterns exist at brokers: this test must never be changed.
    #[test]
    fn routing_key_has_a_word_for_each_level() {
        assert_eq!(
            blind_key(levels(6), Unrouted::Dropped),
            format!("carrot-delay-v1.dropped.{}~1.~0.~1", "~0.".repeat(20))
        );
        assert!(blind_key(levels(1), Unrouted::Dropped).len() < 255);
        assert!(level_pattern(0, WAITS).len() < 255);
        assert_eq!(last_pattern(Unrouted::Kept), "carrot-delay-v1.kept.#");
    }
}
