//! The unconfirmed messages of a publisher, and failures that were not reported yet.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crate::backend::Backend;
use crate::deadline;
use crate::error::{Error, Result};
use crate::publish_layer::layer::PublishLayers;
use crate::publisher::in_flight::{Attempt, InFlight};
use crate::publisher::recovery_waits::RecoveryWaits;
use crate::publisher::window::{PublishFailure, Window};
use crate::recovery::effects::has_a_cause;
use crate::recovery::isolation::Isolation;
use crate::statistics::PublishingSum;
use crate::statistics::registry::Figures;

/// The unconfirmed messages of a publisher, and failures that were not reported yet.
#[derive(Debug)]
pub(crate) struct UnconfirmedMessages {
    pub(crate) window: Window,
    /// The layers of the publisher.
    pub(crate) layers: PublishLayers,
    /// Failures of messages whose confirmation was dropped.
    unclaimed: Mutex<Vec<Error>>,
    /// The last loss that one of the messages may have caused.
    pub(crate) last_loss: Mutex<Option<Loss>>,
    /// Notified when the last loss has been examined.
    pub(crate) loss_examined: Condvar,
    pub(crate) isolation: Arc<Isolation>,
    /// The threads that wait for a channel.
    pub(crate) recoveries: RecoveryWaits,
    /// The number of times that a message was sent again.
    resent: AtomicU64,
    pub(crate) without_confirm: SentWithoutConfirm,
}

/// The messages of a publisher without confirms.
#[derive(Debug, Default)]
pub(crate) struct SentWithoutConfirm {
    sent: AtomicU64,
    failed: AtomicU64,
}

impl SentWithoutConfirm {
    pub(crate) fn count<T>(&self, sent: &Result<T>) {
        match sent {
            Ok(_) => self.sent.fetch_add(1, Ordering::Relaxed),
            // Such a message was not sent.
            Err(Error::Invalid { .. }) => 0,
            Err(_) => self.failed.fetch_add(1, Ordering::Relaxed),
        };
    }
}

impl Figures for UnconfirmedMessages {
    type Sum = PublishingSum;

    fn add_to(&self, sum: &mut PublishingSum) {
        self.window.add_to(sum);
        let SentWithoutConfirm { sent, failed } = &self.without_confirm;
        let (sent, failed) = (sent.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
        sum.statistics.published += sent + failed;
        sum.statistics.without_confirm += sent;
        sum.statistics.failed += failed;
        sum.statistics.resent += self.resent.load(Ordering::Relaxed);
    }
}

/// The loss of a channel.
#[derive(Debug)]
pub(crate) struct Loss {
    channel: Weak<dyn Backend>,
    pub(crate) error: Error,
    /// Whether the message that certainly caused the loss has failed, if there is one.
    pub(crate) is_examined: bool,
}

impl Loss {
    pub(crate) fn new(channel: &Arc<dyn Backend>, error: &Error) -> Loss {
        Loss { channel: Arc::downgrade(channel), error: error.clone(), is_examined: false }
    }

    pub(crate) fn is_of(&self, channel: &Arc<dyn Backend>) -> bool {
        std::ptr::addr_eq(self.channel.as_ptr(), Arc::as_ptr(channel))
    }
}

impl UnconfirmedMessages {
    pub(crate) fn new(
        window: Window,
        layers: PublishLayers,
        isolation: Arc<Isolation>,
    ) -> UnconfirmedMessages {
        UnconfirmedMessages {
            window,
            layers,
            unclaimed: Mutex::default(),
            last_loss: Mutex::default(),
            loss_examined: Condvar::new(),
            isolation,
            recoveries: RecoveryWaits::default(),
            resent: AtomicU64::new(0),
            without_confirm: SentWithoutConfirm::default(),
        }
    }

    /// Records that a message was sent again.
    #[cold]
    pub(crate) fn sent_again(&self, message: &InFlight, attempt: Attempt) {
        self.resent.fetch_add(1, Ordering::Relaxed);
        message.sent(attempt);
    }

    /// Records the outcome of a message. A thread that sees the outcome also sees the room in the
    /// window and the unclaimed failure.
    pub(crate) fn resolve(&self, message: &InFlight, outcome: Result<()>) {
        if !message.decide(&outcome, &self.layers) {
            return;
        }
        let mut unclaimed = None;
        let failure_kind = PublishFailure::of(&outcome);
        message.resolve(outcome, |failure| {
            // The failure is stored first: a flush that finds no message in the window must find
            // the failure.
            unclaimed = failure.cloned();
            self.unclaimed().extend(unclaimed.clone());
            self.window.leave(message, failure_kind);
        });
        self.recoveries.wake();
        if let Some(error) = unclaimed {
            warn(&error);
        }
    }

    /// Records that the confirmation of a message was dropped.
    pub(crate) fn abandon(&self, message: &InFlight) {
        if let Err(error) = message.abandon() {
            warn(&error);
            self.unclaimed().push(error);
        }
    }

    /// Takes the failures of messages whose confirmation was dropped, to report them.
    pub(crate) fn take_unclaimed(&self) -> Vec<Error> {
        mem::take(&mut *self.unclaimed())
    }

    fn unclaimed(&self) -> MutexGuard<'_, Vec<Error>> {
        self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the unconfirmed messages of earlier channels on `channel`, in publish order,
    /// before any new message. Suspects of the loss of a channel are the oldest, and each is sent
    /// alone. Messages past their deadline are not sent.
    pub(crate) fn send_again(&self, channel: &Arc<dyn Backend>, until: Instant) -> Result<()> {
        let mut suspect_sends = None;
        for message in
            self.window.messages().iter().filter(|message| message.is_elsewhere_than(channel))
        {
            if Instant::now() >= message.deadline {
                continue;
            }
            if let Err(error) = message.declare_again(until.min(message.deadline)) {
                log::debug!("waiting queues of a delayed message were not found: {error}");
                if Instant::now() >= message.deadline {
                    continue;
                }
            }
            if message.is_suspect() {
                let sends = suspect_sends.get_or_insert_with(|| {
                    let sends = self.isolation.begin();
                    self.isolation.wait_for_answers(self, until);
                    sends
                });
                self.send_alone(sends, message, channel, until)?;
                continue;
            }
            match channel.publish(&message.publication(), deadline::left(until)) {
                Ok(tag) => {
                    self.sent_again(message, Attempt { channel: Arc::clone(channel), tag });
                }
                Err(error @ Error::Invalid { .. }) => self.resolve(message, Err(error)),
                // The cause is a message that was just sent, not the set-up.
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
    log::warn!("unconfirmed message whose confirmation was dropped: {unclaimed}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::backend::Content;

    fn unconfirmed_messages(messages: usize, bytes: usize) -> UnconfirmedMessages {
        UnconfirmedMessages::new(
            Window::new(messages, bytes),
            PublishLayers::default(),
            Arc::default(),
        )
    }

    fn message(bytes: usize, sequence: u64) -> InFlight {
        let timeout = Duration::from_secs(20);
        let content = Arc::new(Content::new("", "", vec![0; bytes]));
        InFlight::new(content, false, timeout, Instant::now() + timeout, sequence, None)
    }

    fn enter(unconfirmed: &UnconfirmedMessages, bytes: usize) -> Option<Arc<InFlight>> {
        unconfirmed.window.enter(bytes, |sequence| message(bytes, sequence))
    }

    #[test]
    fn a_resolved_message_has_left_the_window_and_reported_its_failure() {
        let unconfirmed = unconfirmed_messages(1, 1);
        for _ in 0..5_000 {
            let first = enter(&unconfirmed, 1).unwrap();
            assert!(enter(&unconfirmed, 1).is_none());
            unconfirmed.abandon(&first);
            thread::scope(|scope| {
                let observer = scope.spawn(|| {
                    while !first.is_resolved() {
                        thread::yield_now();
                    }
                    (enter(&unconfirmed, 1), unconfirmed.take_unclaimed().len())
                });
                unconfirmed.resolve(&first, Err(Error::Refused));
                let (second, failures) = observer.join().unwrap();
                assert_eq!(failures, 1);
                unconfirmed.resolve(&second.unwrap(), Ok(()));
            });
        }
    }

    #[test]
    fn a_message_that_left_the_window_has_reported_its_failure() {
        let unconfirmed = unconfirmed_messages(1, 1);
        for _ in 0..5_000 {
            let message = enter(&unconfirmed, 1).unwrap();
            unconfirmed.abandon(&message);
            thread::scope(|scope| {
                let observer = scope.spawn(|| {
                    while !unconfirmed.window.messages().is_empty() {
                        thread::yield_now();
                    }
                    unconfirmed.take_unclaimed().len()
                });
                unconfirmed.resolve(&message, Err(Error::Refused));
                assert_eq!(observer.join().unwrap(), 1);
            });
        }
    }

    #[test]
    fn a_waiting_large_message_is_not_starved_by_small_ones() {
        let unconfirmed = unconfirmed_messages(10, 100);
        let oldest = enter(&unconfirmed, 60).unwrap();
        assert!(enter(&unconfirmed, 50).is_none());
        let ticket = unconfirmed.window.waiting.ticket(Instant::now()).unwrap();
        assert!(enter(&unconfirmed, 1).is_none(), "it would fit, but another message waits");
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
