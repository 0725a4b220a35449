//! A new subscription on the same channel, with another prefetch.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::backend::{ConsumeOptions, Delivery, Subscription};
use crate::consumer::held_bytes::HeldBytesLimit;
use crate::consumer::message::Message;
use crate::consumer::run::ConsumerRun;
use crate::consumer::subscribed::RunSubscription;
use crate::error::{Error, Result};

impl ConsumerRun {
    /// Counts a message that the run returns. Cancels the subscription if its prefetch has to
    /// change; its threads then take the messages that have arrived, and subscribe again.
    pub(super) fn hold(&self, message: &mut Message, subscribed: &RunSubscription) {
        let Some(limit) = &self.held_bytes else { return };
        message.count_in(&subscribed.window);
        if !limit.observe(&subscribed.window, subscribed.subscription.arrived()) {
            return;
        }
        self.unhandled.figures().prefetch_changes.fetch_add(1, Ordering::Relaxed);
        let timeout = self.shared.channel.connection().call_timeout;
        if let Err(error) = subscribed.subscription.cancel(timeout) {
            log::debug!(
                "cancelling a subscription to change its prefetch failed: {error} queue={:?}",
                subscribed.queue
            );
        }
        subscribed.window.close();
    }

    /// Counts what a subscription holds, if the run has a bound.
    pub(super) fn count_held(&self, subscribed: &RunSubscription) {
        if self.held_bytes.is_some() {
            self.unhandled.figures().count_held(&subscribed.subscription, &subscribed.window);
        }
    }

    /// Returns the next delivery. Sends the settlements that wait for a full window if no delivery
    /// has arrived.
    pub(super) fn receive(
        &self,
        subscribed: &RunSubscription,
        timeout: Duration,
    ) -> Result<Option<Delivery>> {
        if let Some(position) = &self.stream {
            return position.receive(&*subscribed.subscription, timeout);
        }
        if self.held_bytes.is_some() && subscribed.window.is_withholding() {
            match subscribed.subscription.next(Duration::ZERO) {
                Ok(None) => subscribed.window.abandon(),
                arrived => return arrived,
            }
        }
        subscribed.subscription.next(timeout)
    }

    /// Returns the options of the next subscription.
    pub(super) fn current_options(&self) -> ConsumeOptions {
        let prefetch = self.held_bytes.as_ref().map(HeldBytesLimit::prefetch);
        let configured = self.options.prefetch;
        let options =
            ConsumeOptions { prefetch: prefetch.unwrap_or(configured), ..self.options.clone() };
        self.resume_options(options)
    }

    /// Subscribes again after [`hold`](Self::hold) has cancelled the subscription, or waits for the
    /// thread that does. Returns whether a subscription exists before `deadline`.
    pub(super) fn change_prefetch(
        &self,
        ended: &Arc<RunSubscription>,
        cancelled: Error,
        deadline: Instant,
    ) -> Result<bool> {
        let mut state = match self.enter_renewal(ended, deadline)? {
            ControlFlow::Continue(state) => state,
            ControlFlow::Break(has_subscription) => return Ok(has_subscription),
        };
        state.renewing = true;
        drop(state);
        if let Some(limit) = &self.held_bytes {
            limit.choose(&ended.window);
        }
        let options = self.current_options();
        let timeout = self.shared.channel.connection().call_timeout;
        let subscribed = ended.channel.consume(&ended.queue, &options, timeout);
        let mut state = self.lock();
        state.renewing = false;
        match subscribed {
            Ok(subscription) => {
                let subscription: Arc<dyn Subscription> = Arc::from(subscription);
                self.replace(state, ended.followed_by(subscription));
                log::debug!(
                    "consumer changed its prefetch to {}: queue={:?}",
                    options.prefetch,
                    ended.queue
                );
                Ok(true)
            }
            Err(error) => {
                drop(state);
                self.changed.notify_all();
                self.shared.channel.failed(&ended.channel, &error);
                // The queue was deleted meanwhile: the run ends as after a cancel by the broker.
                let cause = match error {
                    Error::NotFound { .. } => cancelled,
                    error => error,
                };
                self.renew(ended, cause, deadline)
            }
        }
    }
}
