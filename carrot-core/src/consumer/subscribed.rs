//! One subscription of a run, and how it ends: what nobody has handled goes back before the channel
//! closes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Acknowledgement, Backend, Subscription};
use crate::consumer::message::Message;
use crate::consumer::message::{DeliverySource, Disposition};
use crate::error::Result;

/// What became of the messages of one run that nobody handled.
#[derive(Debug, Default)]
pub(crate) struct UnhandledCounts {
    given_back: AtomicU64,
    lost: AtomicU64,
}

impl UnhandledCounts {
    pub(crate) fn given_back(&self) -> u64 {
        self.given_back.load(Ordering::Acquire)
    }

    pub(crate) fn count_given_back(&self) {
        self.given_back.fetch_add(1, Ordering::AcqRel);
    }

    /// With automatic acknowledgement.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }
}

#[derive(Debug)]
pub(crate) struct RunSubscription {
    pub(crate) channel: Arc<dyn Backend>,
    pub(crate) subscription: Arc<dyn Subscription>,
    pub(crate) queue: Arc<str>,
    /// Whether it gave a message.
    pub(crate) gave: AtomicBool,
    /// Until when it is the only suspect that is subscribed.
    pub(crate) alone_until: Option<Instant>,
    source: Arc<DeliverySource>,
    unhandled: Arc<UnhandledCounts>,
    returning: Mutex<Returning>,
}

#[derive(Debug, Default)]
struct Returning {
    /// What workers took after the stop. A message that goes back before the broker has stopped
    /// sending comes again at once.
    taken: Vec<Message>,
    /// Whether the broker has stopped sending, and everything has gone back.
    done: bool,
}

impl RunSubscription {
    pub(crate) fn new(
        source: Arc<DeliverySource>,
        subscription: Arc<dyn Subscription>,
        unhandled: Arc<UnhandledCounts>,
    ) -> RunSubscription {
        RunSubscription {
            channel: Arc::clone(&source.channel),
            queue: Arc::clone(&source.queue),
            subscription,
            gave: AtomicBool::new(false),
            alone_until: None,
            source,
            unhandled,
            returning: Mutex::default(),
        }
    }

    /// Tells the broker to send no more, and gives back whatever has arrived and nobody has
    /// handled, by nack.
    ///
    /// Blocks for one round trip, the call timeout at most. A second call does nothing.
    ///
    /// # Errors
    /// What the cancelling gives. What has arrived goes back all the same, by the broker if the
    /// channel is gone.
    pub(crate) fn cancel(&self, timeout: Duration) -> Result<()> {
        let cancelled = self.subscription.cancel(timeout);
        loop {
            let taken = std::mem::take(&mut self.lock().taken);
            taken.into_iter().for_each(|message| self.give_back(message));
            match self.subscription.next(Duration::ZERO) {
                // What goes back to a consumer that could not be cancelled would come again.
                Ok(Some(_)) if cancelled.is_err() => break,
                Ok(Some(delivery)) => {
                    self.give_back(Message::new(delivery, Arc::clone(&self.source)))
                }
                Ok(None) | Err(_) => break,
            }
        }
        let mut returning = self.lock();
        returning.done = true;
        let taken = std::mem::take(&mut returning.taken);
        drop(returning);
        taken.into_iter().for_each(|message| self.give_back(message));
        cancelled
    }

    /// Takes a message that arrived after the stop, and requeues it once the broker sends no more.
    pub(crate) fn take_back(&self, message: Message) {
        let mut returning = self.lock();
        if returning.done {
            drop(returning);
            self.give_back(message);
        } else {
            returning.taken.push(message);
        }
    }

    fn give_back(&self, mut message: Message) {
        let counter = match self.source.acknowledgement {
            Acknowledgement::Manual => &self.unhandled.given_back,
            Acknowledgement::Automatic => &self.unhandled.lost,
        };
        counter.fetch_add(1, Ordering::AcqRel);
        if let Err(error) = message.settle(Disposition::Return) {
            log::debug!(
                "a message of queue {:?} was not given back, the broker does it: {error}",
                message.queue()
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Returning> {
        self.returning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "subscribed_tests.rs"]
mod tests;
