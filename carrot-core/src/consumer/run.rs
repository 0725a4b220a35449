//! One run of a consumer: its subscription, and its end.

mod cancelled;
mod prefetch_change;
mod renewal;
mod stream;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Acknowledgement, ConsumeOptions};
use crate::consumer::counters::RunCounters;
use crate::consumer::failure::FailurePolicy;
use crate::consumer::figures::DeliveryCount;
use crate::consumer::held_bytes::HeldBytesLimit;
use crate::consumer::layer::HandleLayers;
use crate::consumer::message::{DeliverySource, Message};
use crate::consumer::report::Report;
use crate::consumer::shared::ConsumerShared;
use crate::consumer::stop::Stop;
use crate::consumer::stream_position::StreamPosition;
use crate::consumer::subscribe::{Attempts, subscribe};
use crate::consumer::subscribed::{RunSubscription, UnhandledCounts};
use crate::deadline::{self, FOREVER};
use crate::error::{Error, Result};
use crate::recovery::hard_closes::HardCloses;

/// A run of a consumer, shared by the threads that receive its messages. Subscribes again after its
/// connection is lost.
#[derive(Debug)]
pub(crate) struct ConsumerRun {
    shared: Arc<ConsumerShared>,
    _guard: RunGuard,
    options: ConsumeOptions,
    unhandled: Arc<UnhandledCounts>,
    held_bytes: Option<HeldBytesLimit>,
    /// The position in a stream.
    stream: Option<Arc<StreamPosition>>,
    state: Mutex<RunState>,
    /// The version of the data in a [`CachedSubscription`].
    version: AtomicU64,
    changed: Condvar,
}

/// Counts a run while it lives.
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
    /// The loss of the last subscription, while there is no other.
    loss: Option<SubscriptionLoss>,
    /// The losses after the last subscription that its declarations may have caused.
    losses: HardCloses,
    /// The error that ended the run.
    ended: Option<Error>,
}

/// The loss of a subscription.
#[derive(Debug, Clone)]
struct SubscriptionLoss {
    at: Instant,
    /// The first error. Later calls on the lost channel fail with other errors.
    error: Error,
}

/// One thread's copy of the subscription. Saves the lock that all threads share, for each message.
#[derive(Debug, Default)]
pub(crate) struct CachedSubscription(Option<CacheEntry>);

#[derive(Debug)]
struct CacheEntry {
    version: u64,
    subscribed: Arc<RunSubscription>,
    /// Shared only by the messages of this thread.
    source: Arc<DeliverySource>,
    /// Counts the messages of this thread.
    delivered: Arc<DeliveryCount>,
}

impl ConsumerRun {
    pub(crate) fn start(
        shared: &Arc<ConsumerShared>,
        options: &ConsumeOptions,
    ) -> Result<ConsumerRun> {
        let guard = RunGuard::new(shared);
        let until = deadline::after(shared.channel.connection().call_timeout);
        let attempts = Attempts { until, given_up: &|| false, retried: Error::is_disconnected };
        let registry = &shared.channel.connection().figures.consuming;
        let unhandled = Arc::new(UnhandledCounts::new(registry.register(Arc::default())));
        let stream = shared.is_stream.then(Arc::default);
        let mut losses = HardCloses::default();
        let subscribed = Arc::new(shared.with_queue(|| {
            subscribe(shared, options, stream.as_ref(), &unhandled, &attempts, &mut losses)
        })?);
        shared.stop.watch(&subscribed);
        let state = Mutex::new(RunState {
            subscribed,
            renewing: false,
            loss: None,
            losses: HardCloses::of_a_run(),
            ended: None,
        });
        let run = ConsumerRun {
            shared: Arc::clone(shared),
            _guard: guard,
            options: options.clone(),
            unhandled,
            held_bytes: match options.acknowledgement {
                Acknowledgement::Manual => {
                    shared.max_held_bytes.map(|bytes| HeldBytesLimit::new(bytes, options.prefetch))
                }
                Acknowledgement::Automatic => None,
            },
            stream,
            state,
            version: AtomicU64::new(0),
            changed: Condvar::new(),
        };
        run.count_held(&run.lock().subscribed);
        Ok(run)
    }

    /// Returns the next message; `None` if none arrived in time or the consumer was stopped.
    /// Messages that arrive after the stop are requeued.
    pub(crate) fn next(
        &self,
        cached: &mut CachedSubscription,
        timeout: Duration,
    ) -> Result<Option<Message>> {
        // Reads the clock only if the timeout can pass.
        let mut deadline = (timeout < FOREVER).then(|| deadline::after(timeout));
        let mut left = timeout;
        loop {
            let CacheEntry { subscribed, source, delivered, .. } = self.current(cached)?;
            match self.receive(subscribed, left) {
                Ok(Some(delivery)) => {
                    let mut message = Message::new(delivery, Arc::clone(source));
                    self.shared.channel.mark_working(&subscribed.channel);
                    if self.is_stopped() {
                        subscribed.take_back(message);
                        return Ok(None);
                    }
                    if !self.was_handled(&message) {
                        self.hold(&mut message, subscribed);
                        delivered.add_one();
                        return Ok(Some(message));
                    }
                    self.skip(message);
                    deadline = Some(deadline.unwrap_or_else(|| deadline::after(timeout)));
                }
                Ok(None) => return Ok(None),
                Err(_) if self.is_stopped() => return Ok(None),
                Err(error @ Error::Cancelled { .. }) if subscribed.window.is_ending() => {
                    let deadline = *deadline.get_or_insert_with(|| deadline::after(timeout));
                    if !self.change_prefetch(subscribed, error, deadline)? {
                        return Ok(None);
                    }
                }
                Err(error) => {
                    self.shared.channel.failed(&subscribed.channel, &error);
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

    /// Returns the entry of `cached`, renewed if it is outdated.
    fn current<'a>(
        &self,
        CachedSubscription(cached): &'a mut CachedSubscription,
    ) -> Result<&'a CacheEntry> {
        let version = self.version.load(Ordering::Acquire);
        let current = match cached.take() {
            Some(current) if current.version == version => current,
            outdated => {
                let subscribed = self.subscribed()?;
                let (channel, queue) = (&subscribed.channel, &subscribed.queue);
                let source = self.shared.source(channel, queue, self.stream.as_ref());
                let delivered = outdated.map_or_else(
                    || self.unhandled.figures().delivery_count(),
                    |outdated| outdated.delivered,
                );
                CacheEntry { version, subscribed, source, delivered }
            }
        };
        Ok(cached.insert(current))
    }

    fn subscribed(&self) -> Result<Arc<RunSubscription>> {
        let state = self.lock();
        state.ended.clone().map_or_else(|| Ok(Arc::clone(&state.subscribed)), Err)
    }

    /// Returns whether an error has ended the run.
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

    /// Closes the channel, so every settlement has reached the broker and all other messages are
    /// requeued. The consumer opens another channel if it is used again.
    pub(crate) fn discard(&self, timeout: Duration) -> Result<()> {
        let channel = Arc::clone(&self.lock().subscribed.channel);
        self.shared.channel.discard(&channel, timeout)
    }

    /// Cancels the subscription, and requeues the messages that have arrived and were not taken.
    pub(crate) fn cancel(&self) -> Result<()> {
        let subscribed = Arc::clone(&self.lock().subscribed);
        subscribed.cancel(self.shared.channel.connection().call_timeout)
    }

    /// Takes a message that a worker held when the consumer was stopped. Requeues the message once
    /// the broker has stopped sending.
    pub(crate) fn take_back(&self, message: Message) {
        let subscribed = Arc::clone(&self.lock().subscribed);
        subscribed.take_back(message);
    }

    /// Returns the numbers of the run's messages so far, including the unhandled ones.
    pub(crate) fn report(&self, counters: &RunCounters) -> Report {
        let mut report = counters.report();
        report.requeued_unhandled += self.unhandled.requeued_unhandled();
        report.lost += self.unhandled.lost();
        report
    }

    /// Returns a number that changes with the subscription.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn acknowledgement(&self) -> Acknowledgement {
        self.options.acknowledgement
    }

    /// Returns the prefetch of the current subscription.
    pub(crate) fn prefetch(&self) -> u16 {
        self.held_bytes.as_ref().map_or(self.options.prefetch, HeldBytesLimit::prefetch)
    }

    /// Returns the bytes that the run may hold, if they are limited.
    pub(crate) fn max_held_bytes(&self) -> Option<u64> {
        self.held_bytes.as_ref().map(HeldBytesLimit::bytes)
    }

    pub(crate) fn unhandled(&self) -> &Arc<UnhandledCounts> {
        &self.unhandled
    }

    pub(crate) fn policy(&self) -> &Arc<FailurePolicy> {
        &self.shared.policy
    }

    pub(crate) fn layers(&self) -> &HandleLayers {
        &self.shared.layers
    }

    fn lock(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
