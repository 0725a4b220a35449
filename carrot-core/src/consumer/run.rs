//! One run of a consumer: its subscription, and how it ends.

mod cancelled;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{ConsumeOptions, Subscription};
use crate::consumer::counters::RunCounters;
use crate::consumer::failure::FailurePolicy;
use crate::consumer::message::DeliverySource;
use crate::consumer::message::Message;
use crate::consumer::report::Report;
use crate::consumer::shared::ConsumerShared;
use crate::consumer::stop::Stop;
use crate::consumer::subscribed::{RunSubscription, UnhandledCounts};
use crate::deadline::{self, FOREVER};
use crate::error::{Error, Result};
use crate::recovery::channel::Opened;
use crate::recovery::effects::{ends_channel, may_pass};
use crate::recovery::hard_closes::HardCloses;
use crate::recovery::poison_search::Suspicion;

/// How often a run subscribes once more after the broker has cancelled it and then refused its
/// subscription by closing the connection. RabbitMQ 4.3 does so while a quorum queue is being
/// deleted: it cancels the consumers some milliseconds before the queue is gone.
const LOOKS_WHILE_GOING: u32 = 2;

/// A run of a consumer, shared by the threads that take messages from it. It subscribes again when
/// its connection is lost.
#[derive(Debug)]
pub(crate) struct ConsumerRun {
    shared: Arc<ConsumerShared>,
    _guard: RunGuard,
    options: ConsumeOptions,
    unhandled: Arc<UnhandledCounts>,
    state: Mutex<RunState>,
    /// Counts the changes of what a [`CachedSubscription`] shows.
    version: AtomicU64,
    changed: Condvar,
}

/// Counts a run for as long as it lives.
#[derive(Debug)]
struct RunGuard(Arc<ConsumerShared>);

impl RunGuard {
    fn new(shared: &Arc<ConsumerShared>) -> RunGuard {
        shared.runs.fetch_add(1, Ordering::AcqRel);
        RunGuard(Arc::clone(shared))
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        self.0.runs.fetch_sub(1, Ordering::AcqRel);
    }
}

#[derive(Debug)]
struct RunState {
    subscribed: Arc<RunSubscription>,
    /// Whether a thread is subscribing again.
    renewing: bool,
    /// When the subscription was lost, while there is none.
    lost_at: Option<Instant>,
    suspicion: Suspicion,
    /// The losses since the last subscription that its declarations may have caused.
    losses: HardCloses,
    /// What ended it for good.
    ended: Option<Error>,
}

/// What one thread knows of the subscription, so that it need not ask for it, under a lock that all
/// share, for each message.
#[derive(Debug, Default)]
pub(crate) struct CachedSubscription(Option<CacheEntry>);

#[derive(Debug)]
struct CacheEntry {
    version: u64,
    subscribed: Arc<RunSubscription>,
    /// ConsumerShared by the messages of this thread alone.
    source: Arc<DeliverySource>,
}

impl ConsumerRun {
    pub(crate) fn start(
        shared: &Arc<ConsumerShared>,
        options: &ConsumeOptions,
    ) -> Result<ConsumerRun> {
        let guard = RunGuard::new(shared);
        let until = deadline::after(shared.channel.connection().call_timeout);
        let attempts = Attempts { until, given_up: &|| false, retried: Error::is_disconnected };
        let unhandled = Arc::default();
        let subscribed = Arc::new(subscribe(
            shared,
            options,
            &unhandled,
            &attempts,
            &mut HardCloses::default(),
        )?);
        shared.stop.watch(&subscribed);
        let state = Mutex::new(RunState {
            subscribed,
            renewing: false,
            lost_at: None,
            suspicion: Suspicion::default(),
            losses: HardCloses::of_a_run(),
            ended: None,
        });
        Ok(ConsumerRun {
            shared: Arc::clone(shared),
            _guard: guard,
            options: options.clone(),
            unhandled,
            state,
            version: AtomicU64::new(0),
            changed: Condvar::new(),
        })
    }

    /// The next message; `Ok(None)` if none came in time, or the consumer was stopped. What arrives
    /// after the stop goes back.
    pub(crate) fn next(
        &self,
        cached: &mut CachedSubscription,
        timeout: Duration,
    ) -> Result<Option<Message>> {
        // The clock is asked for it only if it can come.
        let mut deadline = (timeout < FOREVER).then(|| deadline::after(timeout));
        let mut left = timeout;
        loop {
            let CacheEntry { subscribed, source, .. } = self.look(cached)?;
            match subscribed.subscription.next(left) {
                Ok(Some(delivery)) => {
                    let message = Message::new(delivery, Arc::clone(source));
                    if !subscribed.gave.load(Ordering::Relaxed) {
                        subscribed.gave.store(true, Ordering::Release);
                    }
                    self.shared.channel.mark_working(&subscribed.channel);
                    if !self.is_stopped() {
                        return Ok(Some(message));
                    }
                    subscribed.take_back(message);
                    return Ok(None);
                }
                Ok(None) => return Ok(None),
                Err(_) if self.is_stopped() => return Ok(None),
                Err(error) => {
                    let channel = &subscribed.channel;
                    match &error {
                        Error::Cancelled { .. } if self.shared.redeclares => {
                            let _ = self
                                .shared
                                .channel
                                .discard(channel, self.shared.channel.connection().call_timeout);
                        }
                        error => self.shared.channel.failed(channel, error),
                    }
                    let deadline = *deadline.get_or_insert_with(|| deadline::after(timeout));
                    if !self.renew(subscribed, error, deadline)? {
                        return Ok(None);
                    }
                }
            }
            left = deadline
                .map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// Brings a cached up to date.
    fn look<'a>(
        &self,
        CachedSubscription(seen): &'a mut CachedSubscription,
    ) -> Result<&'a CacheEntry> {
        let version = self.version.load(Ordering::Acquire);
        let current = match seen.take().filter(|seen| seen.version == version) {
            Some(current) => current,
            None => {
                let subscribed = self.subscribed()?;
                let source = self.shared.source(&subscribed.channel, &subscribed.queue);
                CacheEntry { version, subscribed, source }
            }
        };
        Ok(seen.insert(current))
    }

    fn subscribed(&self) -> Result<Arc<RunSubscription>> {
        let state = self.lock();
        state.ended.clone().map_or_else(|| Ok(Arc::clone(&state.subscribed)), Err)
    }

    /// Subscribes again, or waits for the thread that does; whether that came about before
    /// `deadline`.
    fn renew(&self, lost: &Arc<RunSubscription>, error: Error, deadline: Instant) -> Result<bool> {
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
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.suspicion.note(&error, lost.gave.load(Ordering::Acquire), lost.alone_until);
        if !self.is_worth_renewing(&error) || state.suspicion.is_poison() {
            self.end(&mut state, &error);
            return Err(error);
        }
        let is_first = state.lost_at.is_none();
        let lost_at = *state.lost_at.get_or_insert_with(Instant::now);
        state.renewing = true;
        let suspect = state.suspicion.is_suspect();
        let mut losses = std::mem::replace(&mut state.losses, HardCloses::of_a_run());
        drop(state);
        log::warn!(
            "the consumer of queue {:?} lost its subscription and subscribes again: {error}",
            lost.queue
        );
        // Workers that wait with a message of the lost channel need not wait for it.
        self.policy().clock().wake();

        let give_up_at = lost_at + self.shared.give_up_after.unwrap_or(FOREVER).min(FOREVER);
        let attempts = Attempts {
            until: deadline.min(give_up_at),
            given_up: &|| self.is_stopped(),
            retried: may_pass,
        };
        let is_cancelled = matches!(error, Error::Cancelled { .. });
        if is_cancelled && is_first {
            self.postpone(&error);
        }
        let mut going = 0..LOOKS_WHILE_GOING;
        let renewed = loop {
            if is_cancelled {
                // Before the subscription, which can cost the channel: any thread may open the next
                // one.
                self.shared.channel.mark_deleted();
            }
            let renewed = self.ensure_queue(&error, lost, &attempts).and_then(|()| match suspect {
                true => self.subscribe_alone(&attempts, &mut losses),
                false => {
                    subscribe(&self.shared, &self.options, &self.unhandled, &attempts, &mut losses)
                }
            });
            match renewed {
                Err(refused @ Error::HardError { .. })
                    if is_cancelled && going.next().is_some() =>
                {
                    self.postpone(&refused)
                }
                renewed => break renewed,
            }
        };

        let mut state = self.lock();
        state.renewing = false;
        let result = match renewed {
            Ok(subscribed) => {
                if is_cancelled {
                    self.shared.channel.unmark_deleted();
                }
                let subscribed = Arc::new(subscribed);
                state.subscribed = Arc::clone(&subscribed);
                self.version.fetch_add(1, Ordering::Release);
                state.lost_at = None;
                drop(state);
                self.changed.notify_all();
                log::info!(
                    "the consumer of queue {:?} has subscribed again after {:?}",
                    subscribed.queue,
                    lost_at.elapsed()
                );
                self.shared.stop.watch(&subscribed);
                return Ok(true);
            }
            Err(_) if self.is_stopped() => Ok(true),
            Err(error) if may_pass(&error) && Instant::now() < give_up_at => {
                state.losses = losses;
                Ok(false)
            }
            Err(renewal) => {
                // The queue is gone, which is why the broker cancelled the consumer.
                let error = if matches!(
                    (&error, &renewal),
                    (Error::Cancelled { .. }, Error::NotFound { .. })
                ) {
                    error
                } else {
                    renewal
                };
                self.end(&mut state, &error);
                Err(error)
            }
        };
        drop(state);
        self.changed.notify_all();
        result
    }

    fn end(&self, state: &mut RunState, error: &Error) {
        state.ended = Some(error.clone());
        self.version.fetch_add(1, Ordering::Release);
        self.policy().clock().wake();
    }

    /// Subscribes while no other suspect does.
    fn subscribe_alone(
        &self,
        attempts: &Attempts<'_>,
        losses: &mut HardCloses,
    ) -> Result<RunSubscription> {
        let poison_search = &self.shared.channel.connection().poison_search;
        let suspect = poison_search.enter(attempts.until, attempts.given_up);
        let suspect = suspect
            .ok_or_else(|| Error::timeout("waiting for other consumers to subscribe", FOREVER))?;
        let mut subscribed =
            subscribe(&self.shared, &self.options, &self.unhandled, attempts, losses)?;
        subscribed.alone_until = Some(suspect.subscribed());
        Ok(subscribed)
    }

    fn is_worth_renewing(&self, error: &Error) -> bool {
        match error {
            Error::Cancelled { .. } => true,
            Error::Closed { .. }
            | Error::Authentication { .. }
            | Error::Backend { .. }
            | Error::HardError { .. } => false,
            // Among them: the broker closes a channel whose messages were not settled in time
            // (406).
            error => ends_channel(error),
        }
    }

    /// Whether an error has ended the run.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended.is_some()
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

    /// Closes the channel, so that every settlement has reached the broker and everything else goes
    /// back; the consumer opens another if it is used again.
    pub(crate) fn discard(&self, timeout: Duration) -> Result<()> {
        let channel = Arc::clone(&self.lock().subscribed.channel);
        self.shared.channel.discard(&channel, timeout)
    }

    /// Tells the broker to send no more, and gives back whatever has arrived and was not taken.
    pub(crate) fn cancel(&self) -> Result<()> {
        let subscribed = Arc::clone(&self.lock().subscribed);
        subscribed.cancel(self.shared.channel.connection().call_timeout)
    }

    /// Takes a message that a worker had when the consumer was stopped, and requeues it once the
    /// broker sends no more.
    pub(crate) fn take_back(&self, message: Message) {
        let subscribed = Arc::clone(&self.lock().subscribed);
        subscribed.take_back(message);
    }

    /// How the messages of the run went so far, those included that nobody handled.
    pub(crate) fn report(&self, counters: &RunCounters) -> Report {
        let mut report = counters.report();
        report.given_back += self.unhandled.given_back();
        report.lost += self.unhandled.lost();
        report
    }

    pub(crate) fn unhandled(&self) -> &Arc<UnhandledCounts> {
        &self.unhandled
    }

    pub(crate) fn policy(&self) -> &Arc<FailurePolicy> {
        &self.shared.policy
    }

    fn lock(&self) -> MutexGuard<'_, RunState> {
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
///
/// # Errors
/// The last attempt's; [`Error::HardError`] if `losses` says that the declarations or the
/// subscription make the broker close the connection.
fn subscribe(
    shared: &ConsumerShared,
    options: &ConsumeOptions,
    unhandled: &Arc<UnhandledCounts>,
    attempts: &Attempts<'_>,
    losses: &mut HardCloses,
) -> Result<RunSubscription> {
    loop {
        let Opened { channel, state: queue } =
            shared.channel.recover_unless(attempts.until, attempts.given_up, losses)?;
        let timeout = shared.channel.connection().call_timeout;
        match channel.consume(&queue, options, timeout) {
            Ok(subscription) => {
                let subscription: Arc<dyn Subscription> = Arc::from(subscription);
                return Ok(RunSubscription::new(
                    shared.source(&channel, &queue),
                    subscription,
                    Arc::clone(unhandled),
                ));
            }
            Err(error) => {
                shared.channel.failed(&channel, &error);
                if let Some(refused) = losses.note(&error) {
                    return Err(refused);
                }
                if !(attempts.retried)(&error) || Instant::now() >= attempts.until {
                    return Err(error);
                }
                shared.channel.postpone(&error);
            }
        }
    }
}
