//! The confirms of a channel.

use std::collections::VecDeque;

use carrot_core::backend::Outcome;

/// The broker's answers to the publications of a channel, by tag.
#[derive(Debug, Default)]
pub(crate) struct ChannelConfirms {
    /// The number of publications.
    pub(crate) count: u64,
    answers: VecDeque<ConfirmAnswer>,
    /// The number of answers that were taken and are not kept any more.
    forgotten: u64,
}

/// The broker's answer to one publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfirmAnswer {
    Accepted,
    Refused,
    Unroutable,
    /// Never arrives, as injected.
    Lost,
    /// Was taken.
    Taken,
}

impl ChannelConfirms {
    pub(crate) fn push(&mut self, answer: ConfirmAnswer) {
        self.answers.push_back(answer);
    }

    /// Returns the number of answers that never arrive.
    pub(crate) fn lost(&self) -> usize {
        self.answers.iter().filter(|answer| **answer == ConfirmAnswer::Lost).count()
    }

    /// Takes the answer to one publication, if it has arrived.
    pub(crate) fn take(&mut self, tag: u64) -> Option<Outcome> {
        let index = usize::try_from(tag.checked_sub(self.forgotten + 1)?).ok()?;
        let answer = self.answers.get_mut(index)?;
        let outcome = match *answer {
            ConfirmAnswer::Lost | ConfirmAnswer::Taken => return None,
            ConfirmAnswer::Accepted => Outcome::Accepted,
            ConfirmAnswer::Refused => Outcome::Refused,
            ConfirmAnswer::Unroutable => Outcome::Returned { code: 312, text: "NO_ROUTE".into() },
        };
        *answer = ConfirmAnswer::Taken;
        while self.answers.front() == Some(&ConfirmAnswer::Taken) {
            self.answers.pop_front();
            self.forgotten += 1;
        }
        Some(outcome)
    }
}
