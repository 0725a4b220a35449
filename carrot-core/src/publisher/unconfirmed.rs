//! What a publisher has not heard of yet, and what nobody has been told.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::publisher::in_flight::{Attempt, InFlight};
use crate::publisher::window::Window;
use crate::recovery::effects::has_a_cause;
use crate::recovery::isolation::Isolation;

/// The messages that have no answer yet, and the failures that nobody was told.
#[derive(Debug)]
pub(crate) struct UnconfirmedMessages {
    pub(crate) window: Window,
    /// Failures of messages whose receipt is gone.
    unclaimed: Mutex<Vec<Error>>,
    /// The last loss that one of the messages may have caused.
    pub(crate) last_loss: Mutex<Option<Loss>>,
    pub(crate) isolation: Arc<Isolation>,
}

/// The loss of a channel.
#[derive(Debug)]
pub(crate) struct Loss {
    channel: Weak<dyn Backend>,
    pub(crate) error: Error,
}

impl Loss {
    pub(crate) fn new(channel: &Arc<dyn Backend>, error: &Error) -> Loss {
        Loss { channel: Arc::downgrade(channel), error: error.clone() }
    }

    pub(crate) fn is_of(&self, channel: &Arc<dyn Backend>) -> bool {
        std::ptr::addr_eq(self.channel.as_ptr(), Arc::as_ptr(channel))
    }
}

impl UnconfirmedMessages {
    pub(crate) fn new(window: Window, isolation: Arc<Isolation>) -> UnconfirmedMessages {
        UnconfirmedMessages {
            window,
            unclaimed: Mutex::default(),
            last_loss: Mutex::default(),
            isolation,
        }
    }

    /// Records the fate of a message. Whoever sees it finds that there is room in its place, and
    /// its failure where it belongs.
    pub(crate) fn resolve(&self, message: &InFlight, fate: Result<()>) {
        let mut unclaimed = None;
        message.resolve(fate, |failure| {
            // In this order: a flush that finds it gone takes the failure.
            unclaimed = failure.cloned();
            self.unclaimed().extend(unclaimed.clone());
            self.window.leave(message);
        });
        if let Some(error) = unclaimed {
            warn(&error);
        }
    }

    /// Says that the receipt of a message is gone.
    pub(crate) fn abandon(&self, message: &InFlight) {
        if let Err(error) = message.abandon() {
            warn(&error);
            self.unclaimed().push(error);
        }
    }

    /// The failures of messages whose receipt is gone, for somebody to be told at last.
    pub(crate) fn take_unclaimed(&self) -> Vec<Error> {
        mem::take(&mut *self.unclaimed())
    }

    fn unclaimed(&self) -> MutexGuard<'_, Vec<Error>> {
        self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what was on a channel before `channel` and has no answer, in the old order, before
    /// anything new can be sent. Messages that may have caused the loss of a channel are the
    /// oldest; each is sent alone. What is past its deadline is not sent any more.
    pub(crate) fn send_again(&self, channel: &Arc<dyn Backend>, until: Instant) -> Result<()> {
        let mut trials = None;
        for message in
            self.window.messages().iter().filter(|message| message.is_elsewhere_than(channel))
        {
            let now = Instant::now();
            if now >= message.deadline {
                continue;
            }
            if message.is_suspect() {
                let trials = trials.get_or_insert_with(|| {
                    let trials = self.isolation.begin();
                    self.isolation.wait_for_answers(self, until);
                    trials
                });
                self.send_alone(trials, message, channel, until)?;
                continue;
            }
            match channel.publish(&message.publication(), until.saturating_duration_since(now)) {
                Ok(tag) => message.sent(Attempt { channel: Arc::clone(channel), tag }),
                Err(error @ Error::Invalid { .. }) => self.resolve(message, Err(error)),
                // What was just sent is the cause, not the set-up.
                Err(error) if has_a_cause(&error) => {
                    self.note_loss(channel, &error, &|| true);
                    return Err(Error::disconnected(error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn warn(unclaimed: &Error) {
    log::warn!("a message whose receipt was dropped was not confirmed: {unclaimed}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::backend::Content;

    fn backlog_of(messages: usize, bytes: usize) -> UnconfirmedMessages {
        UnconfirmedMessages::new(Window::new(messages, bytes), Arc::default())
    }

    fn message(bytes: usize, sequence: u64) -> InFlight {
        let timeout = Duration::from_secs(20);
        let content = Arc::new(Content::new("", "", vec![0; bytes]));
        InFlight::new(content, false, timeout, Instant::now() + timeout, sequence)
    }

    fn enter(unconfirmed: &UnconfirmedMessages, bytes: usize) -> Option<Arc<InFlight>> {
        unconfirmed.window.enter(bytes, |sequence| message(bytes, sequence))
    }

    #[test]
    fn who_sees_a_message_resolved_finds_room_and_its_failure() {
        let unconfirmed = backlog_of(1, 1);
        for _ in 0..5_000 {
            let first = enter(&unconfirmed, 1).unwrap();
            assert!(enter(&unconfirmed, 1).is_none());
            unconfirmed.abandon(&first);
            thread::scope(|scope| {
                let seer = scope.spawn(|| {
                    while !first.is_resolved() {
                        thread::yield_now();
                    }
                    (enter(&unconfirmed, 1), unconfirmed.take_unclaimed().len())
                });
                unconfirmed.resolve(&first, Err(Error::Refused));
                let (second, failures) = seer.join().unwrap();
                assert_eq!(failures, 1);
                unconfirmed.resolve(&second.unwrap(), Ok(()));
            });
        }
    }

    #[test]
    fn who_finds_that_a_message_has_left_finds_its_failure() {
        let unconfirmed = backlog_of(1, 1);
        for _ in 0..5_000 {
            let message = enter(&unconfirmed, 1).unwrap();
            unconfirmed.abandon(&message);
            thread::scope(|scope| {
                let seer = scope.spawn(|| {
                    while !unconfirmed.window.messages().is_empty() {
                        thread::yield_now();
                    }
                    unconfirmed.take_unclaimed().len()
                });
                unconfirmed.resolve(&message, Err(Error::Refused));
                assert_eq!(seer.join().unwrap(), 1);
            });
        }
    }

    #[test]
    fn a_large_message_does_not_starve_behind_small_ones() {
        let unconfirmed = backlog_of(10, 100);
        let oldest = enter(&unconfirmed, 60).unwrap();
        assert!(enter(&unconfirmed, 50).is_none());
        let ticket = unconfirmed.window.waiting.ticket(Instant::now()).unwrap();
        assert!(enter(&unconfirmed, 1).is_none(), "it would fit, but another one waits");
        let full = unconfirmed
            .window
            .enter_with_ticket(&ticket, 50, |sequence| message(50, sequence))
            .unwrap_err();
        assert!(Arc::ptr_eq(&full.oldest, &oldest));
        unconfirmed.resolve(&oldest, Ok(()));
        unconfirmed
            .window
            .enter_with_ticket(&ticket, 50, |sequence| message(50, sequence))
            .unwrap();
        drop(ticket);
        assert!(enter(&unconfirmed, 50).is_some());
        assert!(enter(&unconfirmed, 1).is_none(), "full");
    }
}
