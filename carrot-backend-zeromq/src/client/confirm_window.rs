//! The answers to the publications of a channel.

use std::collections::VecDeque;

use carrot_core::backend::Outcome;

/// The publications of a channel that are not answered, and the answers that no call has taken.
#[derive(Debug)]
pub(crate) struct ConfirmWindow {
    /// The tag of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
enum Entry {
    Waiting,
    Answered(Outcome),
    Taken,
}

impl Default for ConfirmWindow {
    fn default() -> ConfirmWindow {
        ConfirmWindow { first: 1, entries: VecDeque::new() }
    }
}

impl ConfirmWindow {
    /// Adds the next publication.
    pub(crate) fn push(&mut self) {
        self.entries.push_back(Entry::Waiting);
    }

    /// Notes the answer to a range of publications.
    pub(crate) fn answer(&mut self, first: u64, last: u64, outcome: &Outcome) {
        let Some(end) = last.checked_sub(self.first) else { return };
        let begin = usize::try_from(first.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        let count = end.saturating_sub(begin).saturating_add(1);
        for entry in self.entries.iter_mut().skip(begin).take(count) {
            if *entry == Entry::Waiting {
                *entry = Entry::Answered(outcome.clone());
            }
        }
    }

    /// Takes the answer to a publication, if it has arrived.
    pub(crate) fn take(&mut self, tag: u64) -> Option<Outcome> {
        let index = usize::try_from(tag.checked_sub(self.first)?).ok()?;
        let entry = self.entries.get_mut(index)?;
        let Entry::Answered(outcome) = entry else { return None };
        let outcome = std::mem::replace(outcome, Outcome::Accepted);
        *entry = Entry::Taken;
        while self.entries.front() == Some(&Entry::Taken) {
            self.entries.pop_front();
            self.first += 1;
        }
        Some(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_once_in_any_order() {
        let mut window = ConfirmWindow::default();
        (0..4).for_each(|_| window.push());
        window.answer(1, 2, &Outcome::Accepted);
        window.answer(3, 3, &Outcome::Refused);
        assert_eq!(window.take(3), Some(Outcome::Refused));
        assert_eq!(window.take(3), None);
        assert_eq!(window.take(1), Some(Outcome::Accepted));
        assert_eq!(window.take(4), None);
        window.answer(4, 9, &Outcome::Accepted);
        assert_eq!(window.take(2), Some(Outcome::Accepted));
        assert_eq!(window.take(4), Some(Outcome::Accepted));
        assert!(window.entries.is_empty());
    }

    #[test]
    fn answers_to_unknown_publications_are_ignored() {
        let mut window = ConfirmWindow::default();
        window.answer(0, 0, &Outcome::Accepted);
        window.answer(5, u64::MAX, &Outcome::Accepted);
        window.answer(9, 3, &Outcome::Accepted);
        window.push();
        assert_eq!((window.take(0), window.take(1), window.take(7)), (None, None, None));
        // An answer of all numbers ends with the publications.
        window.answer(0, u64::MAX, &Outcome::Refused);
        assert_eq!(window.take(1), Some(Outcome::Refused));
    }
}
