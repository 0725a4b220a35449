//! The replacements of a connection's secret that wait for their answers.

use std::sync::{Condvar, Mutex};
use std::time::Instant;

use crate::sync::{lock, wait_while};
use carrot_core::Error;

/// The class and the number of connection.update-secret.
pub(crate) const UPDATE_SECRET: (u16, u16) = (10, 70);

/// Counts updates and answers. The broker answers updates one after another, so the answer to a
/// call that timed out is not taken for that of the next call.
#[derive(Debug, Default)]
pub(crate) struct SecretUpdates {
    state: Mutex<UpdatesState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct UpdatesState {
    sent: u64,
    answered: u64,
    /// The refusal that closed the connection.
    refused: Option<Error>,
    has_ended: bool,
}

/// The reason why an update has no answer.
#[derive(Debug, Clone)]
pub(crate) enum NoUpdate {
    Late,
    /// The broker refused the secret, and has closed the connection.
    Refused(Error),
    /// The connection has ended.
    Ended,
}

impl SecretUpdates {
    /// Sends an update, and returns its number. Updates are numbered in the order in which they
    /// leave. Returns `None` if `send` returns false.
    pub(crate) fn begin(&self, send: impl FnOnce() -> bool) -> Option<u64> {
        let mut state = lock(&self.state);
        if !send() {
            return None;
        }
        state.sent += 1;
        Some(state.sent)
    }

    /// Takes an answer. Returns false if no update waits for one.
    pub(crate) fn answer(&self) -> bool {
        let mut state = lock(&self.state);
        if state.answered == state.sent {
            return false;
        }
        state.answered += 1;
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Notes that the broker closes the connection over a secret.
    pub(crate) fn refuse(&self, error: Error) {
        lock(&self.state).refused = Some(error);
    }

    /// Ends all updates with the connection.
    pub(crate) fn end(&self) {
        lock(&self.state).has_ended = true;
        self.changed.notify_all();
    }

    /// Waits for the answer to the update with this number.
    pub(crate) fn wait(&self, number: u64, deadline: Instant) -> Result<(), NoUpdate> {
        let is_open = |state: &UpdatesState| state.answered < number && !state.has_ended;
        let state = wait_while(&self.changed, lock(&self.state), deadline, is_open)
            .ok_or(NoUpdate::Late)?;
        if state.answered >= number {
            return Ok(());
        }
        Err(state.refused.clone().map_or(NoUpdate::Ended, NoUpdate::Refused))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn updates_are_numbered_in_the_order_in_which_they_leave() {
        let updates = SecretUpdates::default();
        let sent = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for sender in 0..4 {
                let (updates, sent) = (&updates, &sent);
                scope.spawn(move || {
                    for _ in 0..100 {
                        let number = updates.begin(|| {
                            lock(sent).push(sender);
                            thread::yield_now();
                            true
                        });
                        let number = usize::try_from(number.unwrap()).unwrap();
                        assert_eq!(lock(sent)[number - 1], sender);
                    }
                });
            }
        });
        assert_eq!(updates.begin(|| false), None);
        assert_eq!(updates.begin(|| true), Some(401));
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(10)
    }

    #[test]
    fn late_answer_belongs_to_the_update_that_timed_out() {
        let updates = SecretUpdates::default();
        assert!(!updates.answer());
        let first = updates.begin(|| true).unwrap();
        assert!(matches!(updates.wait(first, soon()), Err(NoUpdate::Late)));
        let second = updates.begin(|| true).unwrap();
        assert!(updates.answer());
        assert!(matches!(updates.wait(second, soon()), Err(NoUpdate::Late)));
        assert!(updates.answer());
        assert!(updates.wait(second, soon()).is_ok());
        assert!(!updates.answer());
    }

    #[test]
    fn end_of_the_connection_ends_updates_with_the_refusal() {
        let updates = SecretUpdates::default();
        let [first, second] = [(); 2].map(|()| updates.begin(|| true).unwrap());
        assert!(updates.answer());
        updates.refuse(Error::HardError { code: 530, reason: "NOT_ALLOWED".into() });
        updates.end();
        assert!(updates.wait(first, soon()).is_ok());
        assert!(matches!(
            updates.wait(second, soon()),
            Err(NoUpdate::Refused(Error::HardError { code: 530, .. }))
        ));
        let ended = SecretUpdates::default();
        let number = ended.begin(|| true).unwrap();
        ended.end();
        assert!(matches!(ended.wait(number, soon()), Err(NoUpdate::Ended)));
    }
}
