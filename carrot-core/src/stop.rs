use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::Result;
use crate::backend::Subscription;
use crate::session::Line;

#[cfg(doc)]
use crate::Error;

/// What stops the runs of a consumer.
#[derive(Debug)]
pub(crate) struct Stop {
    line: Line,
    stopped: AtomicBool,
    subscriptions: Mutex<Vec<Weak<dyn Subscription>>>,
    given_back: AtomicU64,
}

impl Stop {
    pub(crate) fn new(line: &Line) -> Stop {
        Stop { line: line.clone(), stopped: AtomicBool::new(false), subscriptions: Mutex::default(), given_back: AtomicU64::new(0) }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(crate) fn given_back(&self) -> u64 {
        self.given_back.load(Ordering::Relaxed)
    }

    pub(crate) fn count_given_back(&self) {
        self.given_back.fetch_add(1, Ordering::Relaxed);
    }

    /// Marks the consumer as stopped; its subscriptions have to be cancelled yet.
    pub(crate) fn mark(&self) {
        self.stopped.store(true, Ordering::Release);
        self.line.wake();
    }

    /// Marks the consumer as stopped, and cancels every subscription; the first error is told, but all are cancelled.
    pub(crate) fn stop(&self) -> Result<()> {
        self.mark();
        let subscriptions: Vec<_> = self.lock().drain(..).filter_map(|subscription| subscription.upgrade()).collect();
        subscriptions.iter().map(|subscription| subscription.cancel()).fold(Ok(()), Result::and)
    }

    /// Has a subscription cancelled by the stop, at once if that came before.
    pub(crate) fn watch(&self, subscription: &Arc<dyn Subscription>) {
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
