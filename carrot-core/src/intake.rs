//! One run of a consumer: its subscription, and how it ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::backend::{Backend, ConsumeOptions, Subscription};
use crate::consumer::Shared;
use crate::redial::Redial;
use crate::session::{Opened, ends_channel, may_pass};
use crate::{Error, Message, Result, Settlement};

/// So long that it is never reached, and short enough to be added to any point in time.
pub(crate) const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A run of a consumer, shared by the threads that take messages from it. It subscribes again when its connection is lost.
#[derive(Debug)]
pub(crate) struct Intake {
    shared: Arc<Shared>,
    options: ConsumeOptions,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    subscribed: Arc<Subscribed>,
    /// Whether a thread is subscribing again.
    renewing: bool,
    /// When the subscription was lost, until a message came through a new one.
    lost_at: Option<Instant>,
    /// What ended it for good.
    ended: Option<Error>,
}

#[derive(Debug)]
struct Subscribed {
    channel: Arc<dyn Backend>,
    subscription: Arc<dyn Subscription>,
    queue: Arc<str>,
}

impl Intake {
    pub(crate) fn start(shared: &Arc<Shared>, options: &ConsumeOptions) -> Result<Intake> {
        let until = Instant::now() + shared.session.line().call_timeout;
        let attempts = Attempts { until, given_up: &|| false, retried: Error::is_disconnected };
        let subscribed = Arc::new(subscribe(shared, options, &attempts)?);
        let state = Mutex::new(State { subscribed, renewing: false, lost_at: None, ended: None });
        Ok(Intake { shared: Arc::clone(shared), options: options.clone(), state, changed: Condvar::new() })
    }

    /// The next message; `Ok(None)` if none came in time, or the consumer was stopped. What arrives after the stop goes back.
    pub(crate) fn next(&self, timeout: Duration) -> Result<Option<Message>> {
        let deadline = Instant::now() + timeout;
        loop {
            let subscribed = self.subscribed()?;
            match subscribed.subscription.next(deadline.saturating_duration_since(Instant::now())) {
                Ok(Some(delivery)) => {
                    let message = self.shared.message(delivery, &subscribed.channel, &subscribed.queue);
                    if !self.is_stopped() {
                        return Ok(Some(message));
                    }
                    self.give_back(message);
                }
                Ok(None) => return Ok(None),
                Err(_) if self.is_stopped() => return Ok(None),
                Err(error) => {
                    let channel = &subscribed.channel;
                    match &error {
                        Error::Cancelled { .. } if self.shared.redeclares => {
                            let _ = self.shared.session.discard(channel, self.shared.session.line().call_timeout);
                        }
                        error => self.shared.session.failed(channel, error),
                    }
                    if !self.renew(&subscribed, error, deadline)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn subscribed(&self) -> Result<Arc<Subscribed>> {
        let state = self.lock();
        state.ended.clone().map_or_else(|| Ok(Arc::clone(&state.subscribed)), Err)
    }

    /// Subscribes again, or waits for the thread that does; whether that came about before `deadline`.
    fn renew(&self, lost: &Arc<Subscribed>, error: Error, deadline: Instant) -> Result<bool> {
        let mut state = self.lock();
        loop {
            if let Some(error) = &state.ended {
                return Err(error.clone());
            }
            if !Arc::ptr_eq(&state.subscribed, lost) || self.is_stopped() {
                return Ok(true);
            }
            if !state.renewing {
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if !self.is_worth_renewing(&error) {
            state.ended = Some(error.clone());
            return Err(error);
        }
        log::warn!("the consumer of queue {:?} lost its channel and subscribes again: {error}", lost.queue);
        let lost_at = *state.lost_at.get_or_insert_with(Instant::now);
        state.renewing = true;
        drop(state);

        let give_up_at = lost_at + self.shared.give_up_after.unwrap_or(FOREVER).min(FOREVER);
        let attempts = Attempts { until: deadline.min(give_up_at), given_up: &|| self.is_stopped(), retried: may_pass };
        let renewed = subscribe(&self.shared, &self.options, &attempts);

        let mut state = self.lock();
        state.renewing = false;
        let result = match renewed {
            Ok(subscribed) => {
                log::info!("the consumer of queue {:?} has subscribed again after {:?}", subscribed.queue, lost_at.elapsed());
                state.subscribed = Arc::new(subscribed);
                state.lost_at = None;
                Ok(true)
            }
            Err(_) if self.is_stopped() => Ok(true),
            Err(error) if may_pass(&error) && Instant::now() < give_up_at => Ok(false),
            Err(error) => {
                state.ended = Some(error.clone());
                Err(error)
            }
        };
        drop(state);
        self.changed.notify_all();
        result
    }

    fn is_worth_renewing(&self, error: &Error) -> bool {
        match error {
            Error::Cancelled { .. } => self.shared.redeclares,
            Error::Closed { .. } | Error::Authentication { .. } | Error::Backend { .. } => false,
            // Among them: the broker closes a channel whose messages were not settled in time (406).
            error => ends_channel(error),
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.stop.is_stopped()
    }

    pub(crate) fn queue(&self) -> Arc<str> {
        Arc::clone(&self.lock().subscribed.queue)
    }

    pub(crate) fn stop(&self) -> &Arc<Stop> {
        &self.shared.stop
    }

    /// Closes the channel, so that every settlement has reached the broker and everything else goes back; the consumer opens another if
    /// it is used again.
    pub(crate) fn discard(&self, timeout: Duration) -> Result<()> {
        let channel = Arc::clone(&self.lock().subscribed.channel);
        self.shared.session.discard(&channel, timeout)
    }

    /// Tells the broker to send no more; what has arrived can still be taken.
    pub(crate) fn cancel(&self) -> Result<()> {
        let subscription = Arc::clone(&self.lock().subscribed.subscription);
        subscription.cancel()
    }

    /// Gives back whatever arrived and was not taken, after [`cancel`](Intake::cancel).
    pub(crate) fn give_back_rest(&self) -> Result<()> {
        let subscribed = self.subscribed()?;
        while let Some(delivery) = match subscribed.subscription.next(Duration::ZERO) {
            Err(Error::Cancelled { .. }) => Ok(None),
            other => other,
        }? {
            self.give_back(self.shared.message(delivery, &subscribed.channel, &subscribed.queue));
        }
        Ok(())
    }

    fn give_back(&self, mut message: Message) {
        self.shared.stop.given_back.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = message.settle(Settlement::Requeue) {
            log::debug!("a message of queue {:?} was not given back, the broker does it: {error}", message.queue());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long, and after which errors, to try to subscribe.
struct Attempts<'a> {
    until: Instant,
    given_up: &'a dyn Fn() -> bool,
    retried: fn(&Error) -> bool,
}

/// Subscribes on the consumer's channel, or on new ones.
fn subscribe(shared: &Shared, options: &ConsumeOptions, attempts: &Attempts<'_>) -> Result<Subscribed> {
    loop {
        let Opened { channel, state: queue } = shared.session.recover_unless(attempts.until, attempts.given_up)?;
        match channel.consume(&queue, options) {
            Ok(subscription) => {
                let subscription: Arc<dyn Subscription> = Arc::from(subscription);
                shared.stop.watch(&subscription);
                return Ok(Subscribed { channel, subscription, queue });
            }
            Err(error) => {
                shared.session.failed(&channel, &error);
                if !(attempts.retried)(&error) || Instant::now() >= attempts.until {
                    return Err(error);
                }
                shared.session.line().redial.failed(&error);
            }
        }
    }
}

/// What stops the runs of a consumer.
#[derive(Debug)]
pub(crate) struct Stop {
    redial: Arc<Redial>,
    stopped: AtomicBool,
    subscriptions: Mutex<Vec<Weak<dyn Subscription>>>,
    given_back: AtomicU64,
}

impl Stop {
    pub(crate) fn new(redial: &Arc<Redial>) -> Stop {
        Stop { redial: Arc::clone(redial), stopped: AtomicBool::new(false), subscriptions: Mutex::default(), given_back: AtomicU64::new(0) }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(crate) fn given_back(&self) -> u64 {
        self.given_back.load(Ordering::Relaxed)
    }

    /// Marks the consumer as stopped; its subscriptions have to be cancelled yet.
    pub(crate) fn mark(&self) {
        self.stopped.store(true, Ordering::Release);
        self.redial.wake();
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
