use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crate::consumer::failure::FailurePolicy;
use crate::consumer::subscribed::RunSubscription;
use crate::error::Result;
use crate::recovery::effects::ends_connection;
use crate::recovery::shared::ConnectionShared;

#[cfg(doc)]
use crate::error::Error;

/// What stops the runs of a consumer.
#[derive(Debug)]
pub(crate) struct Stop {
    connection: ConnectionShared,
    policy: Arc<FailurePolicy>,
    stopped: AtomicBool,
    subscriptions: Mutex<Vec<Weak<RunSubscription>>>,
    /// Whether everything that nobody has handled has gone back.
    returned: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(crate) fn new(connection: &ConnectionShared, policy: &Arc<FailurePolicy>) -> Stop {
        Stop {
            connection: connection.clone(),
            policy: Arc::clone(policy),
            stopped: AtomicBool::new(false),
            subscriptions: Mutex::default(),
            returned: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// After a stop: waits until everything that nobody has handled has gone back; whether it has
    /// before `deadline`.
    pub(crate) fn wait_until_returned(&self, deadline: Instant) -> bool {
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        while !*returned {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            returned =
                self.changed.wait_timeout(returned, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Marks the consumer as stopped; its subscriptions have to be cancelled yet.
    pub(crate) fn mark(&self) {
        self.stopped.store(true, Ordering::Release);
        self.connection.wake();
        self.policy.clock().wake();
    }

    /// Marks the consumer as stopped, cancels every subscription, and gives back what nobody has
    /// handled. Returns the first error, but cancels all.
    pub(crate) fn stop(&self) -> Result<()> {
        self.mark();
        let subscriptions: Vec<_> =
            self.lock().drain(..).filter_map(|subscription| subscription.upgrade()).collect();
        // With its connection, a consumer has ended at the broker too.
        let cancel = |subscription: &Arc<RunSubscription>| {
            subscription
                .cancel(self.connection.call_timeout)
                .or_else(|error| if ends_connection(&error) { Ok(()) } else { Err(error) })
        };
        let cancelled = subscriptions.iter().map(cancel).fold(Ok(()), Result::and);
        // After the cancelling: the broker must not send to this consumer again what goes back now.
        self.policy.release();
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
        cancelled
    }

    /// Has a subscription cancelled by the stop, at once if that came before.
    pub(crate) fn watch(&self, subscription: &Arc<RunSubscription>) {
        {
            let mut subscriptions = self.lock();
            subscriptions.retain(|subscription| subscription.strong_count() > 0);
            subscriptions.push(Arc::downgrade(subscription));
        }
        if self.is_stopped()
            && let Err(error) = subscription.cancel(self.connection.call_timeout)
        {
            log::debug!("a consumer that was stopped before it started was not cancelled: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<RunSubscription>>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops a consumer from anywhere: another thread, a handler, a signal handler's thread. Made by
/// [`Consumer::stop_handle`](crate::Consumer::stop_handle); clones stop the same consumer.
///
/// ```no_run
/// # fn example(mut consumer: carrot::Consumer) -> carrot::Result<()> {
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
    /// Ends every run of the consumer: [`wait`](crate::Consumer::wait) returns,
    /// [`messages`](crate::Consumer::messages) ends, workers end. What is being handled is
    /// finished; what has arrived and was not yet handed out goes back to the queue. The consumer
    /// stays stopped: a later run ends at once.
    ///
    /// Blocks for one round trip, the connection's call timeout at most; not until the runs have
    /// ended. A second call does nothing.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the broker did not answer the cancelling. The runs end all the same. A
    /// connection that is lost is no error: the consumer has ended with it.
    pub fn stop(&self) -> Result<()> {
        self.stop.stop()
    }

    /// Whether the consumer was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }
}
