//! One subscription of a run, and its end. Unhandled messages are requeued before the channel
//! closes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::backend::{Acknowledgement, Backend, Subscription};
use crate::consumer::disposition::Disposition;
use crate::consumer::figures::RunFigures;
use crate::consumer::held_bytes::SubscriptionWindow;
use crate::consumer::message::{DeliverySource, Message};
use crate::error::Result;
use crate::statistics::registry::Registered;

/// The numbers of a run's unhandled messages, among its figures. Each object that counts for the
/// run holds this.
#[derive(Debug, Default)]
pub(crate) struct UnhandledCounts {
    figures: Registered<RunFigures>,
}

impl UnhandledCounts {
    pub(crate) fn new(figures: Registered<RunFigures>) -> UnhandledCounts {
        UnhandledCounts { figures }
    }

    pub(crate) fn figures(&self) -> &RunFigures {
        &self.figures
    }

    pub(crate) fn requeued_unhandled(&self) -> u64 {
        self.figures.requeued_unhandled.load(Ordering::Acquire)
    }

    pub(crate) fn count_requeued_unhandled(&self) {
        self.figures.requeued_unhandled.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns the number of messages lost with automatic acknowledgement.
    pub(crate) fn lost(&self) -> u64 {
        self.figures.lost.load(Ordering::Acquire)
    }
}

#[derive(Debug)]
pub(crate) struct RunSubscription {
    pub(crate) channel: Arc<dyn Backend>,
    pub(crate) subscription: Arc<dyn Subscription>,
    pub(crate) queue: Arc<str>,
    /// Counts the messages that the program holds.
    pub(crate) window: Arc<SubscriptionWindow>,
    source: Arc<DeliverySource>,
    unhandled: Arc<UnhandledCounts>,
    returning: Mutex<Returning>,
}

#[derive(Debug, Default)]
struct Returning {
    /// Messages that workers took after the stop. A message that is requeued while the broker still
    /// sends is redelivered at once.
    taken: Vec<Message>,
    /// Whether the broker has stopped sending, and everything was requeued.
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
            window: Arc::default(),
            source,
            unhandled,
            returning: Mutex::default(),
        }
    }

    /// Returns the next subscription of the same run, on the same channel.
    pub(crate) fn followed_by(&self, subscription: Arc<dyn Subscription>) -> RunSubscription {
        let (source, unhandled) = (Arc::clone(&self.source), Arc::clone(&self.unhandled));
        RunSubscription::new(source, subscription, unhandled)
    }

    /// Cancels at the broker, and requeues with nack the messages that have arrived and are
    /// unhandled.
    ///
    /// Blocks for one round trip, at most for the call timeout. A second call does nothing.
    ///
    /// # Errors
    /// The error of the cancel. Arrived messages are requeued nevertheless, by the broker if the
    /// channel was lost.
    pub(crate) fn cancel(&self, timeout: Duration) -> Result<()> {
        self.window.close();
        let cancelled = self.subscription.cancel(timeout);
        loop {
            let taken = std::mem::take(&mut self.lock().taken);
            taken.into_iter().for_each(|message| self.requeue(message));
            match self.subscription.next(Duration::ZERO) {
                // Messages requeued to a consumer that could not be cancelled would be redelivered
                // to it.
                Ok(Some(_)) if cancelled.is_err() => break,
                Ok(Some(delivery)) => {
                    self.requeue(Message::new(delivery, Arc::clone(&self.source)))
                }
                Ok(None) | Err(_) => break,
            }
        }
        let mut returning = self.lock();
        returning.done = true;
        let taken = std::mem::take(&mut returning.taken);
        drop(returning);
        taken.into_iter().for_each(|message| self.requeue(message));
        cancelled
    }

    /// Takes a message that arrived after the stop. Requeues the message once the broker has
    /// stopped sending.
    pub(crate) fn take_back(&self, message: Message) {
        let mut returning = self.lock();
        if returning.done {
            drop(returning);
            self.requeue(message);
        } else {
            returning.taken.push(message);
        }
    }

    fn requeue(&self, mut message: Message) {
        let counter = match self.source.acknowledgement {
            Acknowledgement::Manual => &self.unhandled.figures.requeued_unhandled,
            Acknowledgement::Automatic => &self.unhandled.figures.lost,
        };
        counter.fetch_add(1, Ordering::AcqRel);
        if let Err(error) = message.settle(Disposition::Return) {
            log::debug!(
                "requeueing an unhandled message failed, the broker requeues it: {error} \
                 queue={:?}",
                message.queue()
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Returning> {
        self.returning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunSubscription {
    /// Sends the settlements that wait.
    fn drop(&mut self) {
        self.window.close();
    }
}

#[cfg(test)]
#[path = "subscribed_tests.rs"]
mod tests;
