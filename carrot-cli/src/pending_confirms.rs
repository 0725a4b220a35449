//! Messages whose confirms are outstanding, up to a number.

use std::collections::VecDeque;

use carrot::publish::Confirmation;

/// The outstanding confirms of a publisher, the oldest first, each with a label of its message.
pub(crate) struct PendingConfirms<T> {
    most: usize,
    waiting: VecDeque<(T, Confirmation)>,
}

/// A message, and the answer of the broker.
pub(crate) type Answered<T> = (T, carrot::Result<()>);

impl<T> PendingConfirms<T> {
    /// `most` limits the outstanding confirms, and is above 0.
    pub(crate) fn new(most: usize) -> PendingConfirms<T> {
        PendingConfirms { most, waiting: VecDeque::new() }
    }

    /// Adds a message that was published. The caller then takes [`next`](Self::next) answers until
    /// none is due.
    pub(crate) fn add(&mut self, label: T, confirmation: Confirmation) {
        self.waiting.push_back((label, confirmation));
    }

    /// Returns the answer to the oldest message, if it is here or the window is full. Waits for it
    /// in the second case.
    pub(crate) fn next(&mut self) -> Option<Answered<T>> {
        let (_, oldest) = self.waiting.front()?;
        let is_due = self.waiting.len() >= self.most || oldest.is_resolved();
        if is_due { self.wait() } else { None }
    }

    /// Waits for the answer to the oldest message. Returns `None` once all are answered.
    pub(crate) fn wait(&mut self) -> Option<Answered<T>> {
        let (label, confirmation) = self.waiting.pop_front()?;
        Some((label, confirmation.wait()))
    }
}
