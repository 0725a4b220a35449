//! The new subscription of a run after the loss of the last one.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use crate::consumer::run::{ConsumerRun, RunState, SubscriptionLoss};
use crate::consumer::subscribe::{Attempts, subscribe};
use crate::consumer::subscribed::RunSubscription;
use crate::deadline::FOREVER;
use crate::error::{Error, Result};
use crate::recovery::effects::{ends_channel, may_pass};
use crate::recovery::hard_closes::HardCloses;

/// The maximum number of new subscriptions after the broker has cancelled a run and then closed the
/// connection over its subscription. RabbitMQ 4.3 does so for a quorum queue, whose consumers it
/// cancels some milliseconds before it deletes the queue.
const MAX_SUBSCRIPTIONS_DURING_DELETION: u32 = 2;

impl ConsumerRun {
    /// Subscribes again, or waits for the thread that does. Returns whether a subscription exists
    /// before `deadline`.
    pub(super) fn renew(
        &self,
        lost: &Arc<RunSubscription>,
        error: Error,
        deadline: Instant,
    ) -> Result<bool> {
        let mut state = match self.enter_renewal(lost, deadline)? {
            ControlFlow::Continue(state) => state,
            ControlFlow::Break(has_subscription) => return Ok(has_subscription),
        };
        let is_first = state.loss.is_none();
        if is_first && !self.is_worth_renewing(&error) {
            self.end(&mut state, &error);
            return Err(error);
        }
        let loss = state.loss.get_or_insert_with(|| SubscriptionLoss { at: Instant::now(), error });
        let SubscriptionLoss { at: lost_at, error } = loss.clone();
        state.renewing = true;
        let mut losses = std::mem::replace(&mut state.losses, HardCloses::of_a_run());
        drop(state);
        log::warn!(
            "subscription of a consumer was lost, subscribing again: {error} queue={:?}",
            lost.queue
        );
        // Workers that wait with a message of the lost channel need not wait any longer.
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
        let options = self.current_options();
        let mut retries = 0..MAX_SUBSCRIPTIONS_DURING_DELETION;
        let renewed = loop {
            if is_cancelled {
                // Marked before the subscription, which can cost the channel: any thread may open
                // the next one.
                self.shared.channel.mark_deleted();
            }
            let renewed = self.ensure_queue(&error, lost, &attempts).and_then(|()| {
                if is_cancelled {
                    self.lose_deliveries(&lost.channel, attempts.until);
                }
                let stream = self.stream.as_ref();
                subscribe(&self.shared, &options, stream, &self.unhandled, &attempts, &mut losses)
            });
            match renewed {
                Err(refused @ Error::HardError { .. })
                    if is_cancelled && retries.next().is_some() =>
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
                let subscribed = self.replace(state, subscribed);
                self.policy().end_lost();
                log::info!(
                    "consumer subscribed again: queue={:?} outage={:?}",
                    subscribed.queue,
                    lost_at.elapsed()
                );
                return Ok(true);
            }
            Err(_) if self.is_stopped() => Ok(true),
            Err(error) if may_pass(&error) && Instant::now() < give_up_at => {
                state.losses = losses;
                Ok(false)
            }
            Err(renewal) => {
                // The broker cancelled the consumer because the queue was deleted.
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

    /// Waits while another thread subscribes again. Breaks with whether a subscription exists, or
    /// the consumer was stopped, before `deadline`; else the caller has to subscribe.
    pub(super) fn enter_renewal(
        &self,
        lost: &Arc<RunSubscription>,
        deadline: Instant,
    ) -> Result<ControlFlow<bool, MutexGuard<'_, RunState>>> {
        let mut state = self.lock();
        loop {
            if let Some(error) = &state.ended {
                return Err(error.clone());
            }
            if !Arc::ptr_eq(&state.subscribed, lost) || self.is_stopped() {
                return Ok(ControlFlow::Break(true));
            }
            if !state.renewing {
                return Ok(ControlFlow::Continue(state));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(ControlFlow::Break(false));
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Passes a new subscription to the threads of the run.
    pub(super) fn replace(
        &self,
        mut state: MutexGuard<'_, RunState>,
        subscribed: RunSubscription,
    ) -> Arc<RunSubscription> {
        let subscribed = Arc::new(subscribed);
        self.count_held(&subscribed);
        state.subscribed = Arc::clone(&subscribed);
        self.version.fetch_add(1, Ordering::Release);
        state.loss = None;
        drop(state);
        self.changed.notify_all();
        self.shared.stop.watch(&subscribed);
        subscribed
    }

    fn end(&self, state: &mut RunState, error: &Error) {
        state.ended = Some(error.clone());
        self.version.fetch_add(1, Ordering::Release);
        self.policy().clock().wake();
    }

    fn is_worth_renewing(&self, error: &Error) -> bool {
        match error {
            Error::Cancelled { .. } => true,
            Error::Closed { .. }
            | Error::Authentication { .. }
            | Error::Backend { .. }
            | Error::HardError { .. } => false,
            // Includes the channel error 406, which the broker sends when messages were not settled
            // in time.
            error => ends_channel(error),
        }
    }
}
