use std::collections::HashMap;

use carrot_core::backend::Outcome;

/// The publications of a channel that are not answered, and the answers that no call has taken.
#[derive(Debug, Default)]
pub(crate) struct PublishAnswers {
    last: u64,
    open: HashMap<u64, Option<Outcome>>,
}

impl PublishAnswers {
    /// Takes the next tag.
    pub(crate) fn next_tag(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Notes that the answer to a publication follows.
    pub(crate) fn expect(&mut self, tag: u64) {
        self.open.insert(tag, None);
    }

    /// Notes an answer.
    pub(crate) fn answer(&mut self, tag: u64, outcome: Outcome) {
        self.open.insert(tag, Some(outcome));
    }

    /// Takes the answer to a publication, if it has arrived.
    pub(crate) fn take(&mut self, tag: u64) -> Option<Outcome> {
        let outcome = self.open.get_mut(&tag)?.take()?;
        self.open.remove(&tag);
        Some(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_taken_once() {
        let mut answers = PublishAnswers::default();
        let (first, second) = (answers.next_tag(), answers.next_tag());
        assert_eq!((first, second), (1, 2));
        answers.expect(first);
        answers.expect(second);
        assert_eq!(answers.take(second), None);
        answers.answer(second, Outcome::Refused);
        assert_eq!(answers.take(second), Some(Outcome::Refused));
        assert_eq!(answers.take(second), None);
        assert_eq!(answers.take(first), None);
        assert_eq!(answers.open.len(), 1);
    }
}
