//! One run of a consumer: its subscription, and how it ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::backend::{Backend, ConsumeOptions, Subscription};
use crate::consumer::Shared;
use crate::{Error, Message, Result, Settlement};

/// So long that it is never reached, and short enough to be added to any point in time.
pub(crate) const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A running subscription of a consumer, shared by the threads that take messages from it.
#[derive(Debug)]
pub(crate) struct Intake {
    shared: Arc<Shared>,
    channel: Arc<dyn Backend>,
    subscription: Arc<dyn Subscription>,
    queue: Arc<str>,
}

impl Intake {
    pub(crate) fn start(shared: &Arc<Shared>, options: &ConsumeOptions) -> Result<Intake> {
        let (channel, queue, subscription) = shared.session.with_channel(|opened| {
            let subscription = opened.channel.consume(&opened.state, options)?;
            Ok((Arc::clone(&opened.channel), Arc::clone(&opened.state), subscription))
        })?;
        let subscription: Arc<dyn Subscription> = Arc::from(subscription);
        shared.stop.watch(&subscription);
        Ok(Intake { shared: Arc::clone(shared), channel, subscription, queue })
    }

    /// The next message; `Ok(None)` if none came in time, or the consumer was stopped. What arrives after the stop goes back.
    pub(crate) fn next(&self, timeout: Duration) -> Result<Option<Message>> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.subscription.next(left) {
                Ok(Some(delivery)) => {
                    let message = self.shared.message(delivery, &self.channel, &self.queue);
                    if !self.is_stopped() {
                        return Ok(Some(message));
                    }
                    self.give_back(message);
                }
                Ok(None) => return Ok(None),
                Err(Error::Cancelled { .. }) if self.is_stopped() => return Ok(None),
                Err(error) => {
                    self.shared.session.failed(&self.channel, &error);
                    return Err(error);
                }
            }
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.stop.is_stopped()
    }

    pub(crate) fn queue(&self) -> &Arc<str> {
        &self.queue
    }

    pub(crate) fn stop(&self) -> &Arc<Stop> {
        &self.shared.stop
    }

    /// Closes the channel, so that every settlement has reached the broker and everything else goes back; the consumer opens another if
    /// it is used again.
    pub(crate) fn discard(&self, timeout: Duration) -> Result<()> {
        self.shared.session.discard(&self.channel, timeout)
    }

    /// Tells the broker to send no more; what has arrived can still be taken.
    pub(crate) fn cancel(&self) -> Result<()> {
        self.subscription.cancel()
    }

    /// Gives back whatever arrived and was not taken, after [`cancel`](Intake::cancel).
    pub(crate) fn give_back_rest(&self) -> Result<()> {
        while let Some(delivery) = match self.subscription.next(Duration::ZERO) {
            Err(Error::Cancelled { .. }) => Ok(None),
            other => other,
        }? {
            self.give_back(self.shared.message(delivery, &self.channel, &self.queue));
        }
        Ok(())
    }

    fn give_back(&self, mut message: Message) {
        self.shared.stop.given_back.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = message.settle(Settlement::Requeue) {
            log::debug!("a message of queue {:?} was not given back, the broker does it: {error}", self.queue);
        }
    }
}

/// What stops the runs of a consumer.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: AtomicBool,
    subscriptions: Mutex<Vec<Weak<dyn Subscription>>>,
    given_back: AtomicU64,
}

impl Stop {
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(crate) fn given_back(&self) -> u64 {
        self.given_back.load(Ordering::Relaxed)
    }

    /// Marks the consumer as stopped; its subscriptions have to be cancelled yet.
    pub(crate) fn mark(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Marks the consumer as stopped, and cancels every subscription; the first error is told, but all are cancelled.
    pub(crate) fn stop(&self) -> Result<()> {
        self.mark();
        let subscriptions: Vec<_> = self.lock().drain(..).filter_map(|subscription| subscription.upgrade()).collect();
        subscriptions.iter().map(|subscription| subscription.cancel()).fold(Ok(()), Result::and)
    }

    /// Has a subscription cancelled by the stop, at once if that came before.
    fn watch(&self, subscription: &Arc<dyn Subscription>) {
        {
            let mut subscriptions = self.lock();
            subscriptions.retain(|subscription| subscription.strong_count() > 0);
            subscriptions.push(Arc::downgrade(subscription));
        }
        if self.is_stopped()
            && let Err(error) = subscription.cancel()
        {
            log::debug!("a consumer that was stopped before it started was not cancelled: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn Subscription>>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops a consumer from anywhere: another thread, a handler, a signal handler's thread. Made by
/// [`Consumer::stop_handle`](crate::Consumer::stop_handle); clones stop the same consumer.
///
/// ```no_run
/// # fn example(mut consumer: carrot_core::Consumer) -> carrot_core::Result<()> {
/// let stop = consumer.stop_handle();
/// std::thread::spawn(move || {
///     std::thread::sleep(std::time::Duration::from_secs(60));
///     stop.stop()
/// });
/// consumer.wait()?; // returns after a minute
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct StopHandle {
    pub(crate) stop: Arc<Stop>,
}

impl StopHandle {
    /// Ends every run of the consumer: [`wait`](crate::Consumer::wait) returns, [`messages`](crate::Consumer::messages) ends, workers
    /// end. What is being handled is finished; what has arrived and was not yet handed out goes back to the queue. The consumer stays
    /// stopped: a later run ends at once.
    ///
    /// Blocks for one round trip, the connection's call timeout at most; not until the runs have ended. A second call does nothing.
    ///
    /// # Errors
    /// The broker's answer to the cancelling: [`Error::Timeout`], [`Error::Disconnected`]. The runs end all the same.
    pub fn stop(&self) -> Result<()> {
        self.stop.stop()
    }

    /// Whether the consumer was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }
}
