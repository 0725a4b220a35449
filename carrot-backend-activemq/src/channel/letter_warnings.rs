use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The time between two warnings about one queue.
const PAUSE: Duration = Duration::from_secs(60);
/// The most queues that are remembered. Further ones have no warnings meanwhile.
const MOST_QUEUES: usize = 1000;

/// The times of the last warnings about dead letters, by their queues.
#[derive(Debug, Default)]
pub(crate) struct LetterWarnings(HashMap<String, Instant>);

impl LetterWarnings {
    /// Returns whether a warning about a queue is due, and notes it.
    pub(crate) fn is_due(&mut self, queue: &str, now: Instant) -> bool {
        let is_recent = |last: &Instant| now.saturating_duration_since(*last) < PAUSE;
        if self.0.get(queue).is_some_and(is_recent) {
            return false;
        }
        if self.0.len() >= MOST_QUEUES {
            self.0.retain(|_, last| is_recent(last));
        }
        if self.0.len() >= MOST_QUEUES && !self.0.contains_key(queue) {
            return false;
        }
        self.0.insert(queue.into(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_has_one_warning_a_minute() {
        let (mut warnings, start) = (LetterWarnings::default(), Instant::now());
        assert!(warnings.is_due("a", start));
        assert!(warnings.is_due("b", start));
        assert!(!warnings.is_due("a", start + PAUSE / 2));
        assert!(warnings.is_due("a", start + PAUSE));
        assert!(!warnings.is_due("a", start + PAUSE));
    }

    #[test]
    fn number_of_queues_is_bounded() {
        let (mut warnings, start) = (LetterWarnings::default(), Instant::now());
        for number in 0..2 * MOST_QUEUES {
            assert_eq!(warnings.is_due(&number.to_string(), start), number < MOST_QUEUES);
        }
        assert!(warnings.is_due("later", start + PAUSE));
        assert_eq!(warnings.0.len(), 1);
    }
}
