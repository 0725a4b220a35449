//! What a channel has published.

use std::collections::VecDeque;

use carrot_core::backend::Outcome;

use crate::routes::LastRoutes;

/// What became of the publications of a channel, by tag.
#[derive(Debug, Default)]
pub(crate) struct Publishing {
    pub(crate) count: u64,
    pub(crate) last_routes: LastRoutes,
    answers: VecDeque<Answer>,
    /// How many answers were told, and are not kept any more.
    told: u64,
}

/// The broker's answer to one publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    Refused,
    Unroutable,
    /// It never comes.
    Lost,
    /// It was told.
    Told,
}

impl Publishing {
    pub(crate) fn answer(&mut self, answer: Answer) {
        self.answers.push_back(answer);
    }

    /// How many answers never come.
    pub(crate) fn unanswered(&self) -> usize {
        self.answers.iter().filter(|answer| **answer == Answer::Lost).count()
    }

    pub(crate) fn take(&mut self, tag: u64) -> Option<Outcome> {
        let index = usize::try_from(tag.checked_sub(self.told + 1)?).ok()?;
        let answer = self.answers.get_mut(index)?;
        let outcome = match *answer {
            Answer::Lost | Answer::Told => return None,
            Answer::Accepted => Outcome::Accepted,
            Answer::Refused => Outcome::Refused,
            Answer::Unroutable => Outcome::Returned { code: 312, text: "NO_ROUTE".into() },
        };
        *answer = Answer::Told;
        while self.answers.front() == Some(&Answer::Told) {
            self.answers.pop_front();
            self.told += 1;
        }
        Some(outcome)
    }
}
