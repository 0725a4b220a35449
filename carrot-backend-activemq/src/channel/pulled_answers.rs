use std::collections::VecDeque;

use crate::connection::linked_channel::Arrival;

/// The answers to the pulls of one consumer that the caller has not taken.
#[derive(Debug, Default)]
pub(crate) struct PulledAnswers {
    /// The number of pulls without an answer.
    expected: usize,
    waiting: VecDeque<Option<Arrival>>,
}

impl PulledAnswers {
    /// Notes that one answer follows.
    pub(crate) fn expect_one(&mut self) {
        self.expected += 1;
    }

    /// Keeps an answer. Returns `false`, and keeps nothing, if no pull is without one.
    pub(crate) fn push(&mut self, answer: Option<Arrival>) -> bool {
        let Some(left) = self.expected.checked_sub(1) else { return false };
        self.expected = left;
        self.waiting.push_back(answer);
        true
    }

    /// Takes the next answer; the inner `None` is that of an empty queue.
    pub(crate) fn take(&mut self) -> Option<Option<Arrival>> {
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_without_a_pull_are_not_kept() {
        let mut answers = PulledAnswers::default();
        assert!(!answers.push(None));
        answers.expect_one();
        assert!(answers.push(None));
        assert!(!answers.push(None));
        assert!(answers.take().is_some_and(|answer| answer.is_none()));
        assert!(answers.take().is_none());
    }
}
