use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crate::consumer::failure::FailurePolicy;
use crate::consumer::subscribed::RunSubscription;
use crate::error::Result;
use crate::recovery::effects::ends_connection;
use crate::recovery::shared::ConnectionShared;

#[allow(unused_imports, reason = "documentation links to it")]
use crate::error::Error;

/// Stops the runs of a consumer.
#[derive(Debug)]
pub(crate) struct Stop {
    connection: ConnectionShared,
    policy: Arc<FailurePolicy>,
    stopped: AtomicBool,
    subscriptions: Mutex<Vec<Weak<RunSubscription>>>,
    /// Whether all unhandled messages were requeued.
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

    /// After a stop, waits until all unhandled messages were requeued. Returns whether that
    /// happened before `deadline`.
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

    /// Marks the consumer as stopped. Does not cancel its subscriptions yet.
    pub(crate) fn mark(&self) {
        self.stopped.store(true, Ordering::Release);
        self.connection.wake();
        self.policy.clock().wake();
    }

    /// Marks the consumer as stopped, cancels every subscription, and requeues the unhandled
    /// messages. Returns the first error, but cancels all.
    pub(crate) fn stop(&self) -> Result<()> {
        self.mark();
        let subscriptions: Vec<_> =
            self.lock().drain(..).filter_map(|subscription| subscription.upgrade()).collect();
        // A lost connection has ended the consumer at the broker, too.
        let cancel = |subscription: &Arc<RunSubscription>| {
            subscription
                .cancel(self.connection.call_timeout)
                .or_else(|error| if ends_connection(&error) { Ok(()) } else { Err(error) })
        };
        let cancelled = subscriptions.iter().map(cancel).fold(Ok(()), Result::and);
        // Releases the messages after the cancel, because the broker would redeliver them to this
        // consumer otherwise.
        self.policy.release();
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
        cancelled
    }

    /// Registers a subscription for cancelling by the stop. Cancels at once if the consumer is
    /// stopped.
    pub(crate) fn watch(&self, subscription: &Arc<RunSubscription>) {
        {
            let mut subscriptions = self.lock();
            subscriptions.retain(|subscription| subscription.strong_count() > 0);
            subscriptions.push(Arc::downgrade(subscription));
        }
        if self.is_stopped()
            && let Err(error) = subscription.cancel(self.connection.call_timeout)
        {
            log::debug!("cancelling a stopped consumer failed: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<RunSubscription>>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops a consumer from another thread, a handler, or the thread of a signal handler. Returned by
/// [`Consumer::stop_handle`](crate::Consumer::stop_handle). Clones stop the same consumer.
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
    /// Ends every run of the consumer: [`wait`](crate::Consumer::wait) returns, and
    /// [`messages`](crate::Consumer::messages) and workers end.
    ///
    /// Running handlers finish. Prefetched messages are requeued. The consumer stays stopped, and a
    /// later run ends at once. A second call does nothing.
    ///
    /// Blocks for one round trip, at most for the connection's call timeout. Does not wait for the
    /// runs to end.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker did not answer the cancel. The runs end nevertheless.
    ///
    /// A lost connection is no error, because the consumer has ended with it.
    pub fn stop(&self) -> Result<()> {
        self.stop.stop()
    }

    /// Returns whether the consumer was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }
}
