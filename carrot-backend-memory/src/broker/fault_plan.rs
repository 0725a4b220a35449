//! The faults that a test has planned for one broker.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use carrot_core::backend::{Content, Delivery};
use carrot_core::{Error, Properties, Result};

use crate::channel::confirms::ConfirmAnswer;
use crate::clock::BrokerClock;
use crate::sync::lock;

/// An operation into which a fault can be injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`Connector::open`](carrot_core::backend::Connector::open), when it opens a new connection.
    Connect,
    /// [`Connector::open`](carrot_core::backend::Connector::open), also on an existing connection.
    Open,
    /// [`Backend::declare`](carrot_core::backend::Backend::declare).
    Declare,
    /// [`Backend::delete`](carrot_core::backend::Backend::delete).
    Delete,
    /// [`Backend::publish`](carrot_core::backend::Backend::publish).
    Publish,
    /// [`Backend::confirm`](carrot_core::backend::Backend::confirm), before it looks for the
    /// answer.
    Confirm,
    /// [`Backend::get`](carrot_core::backend::Backend::get).
    Get,
    /// [`Backend::consume`](carrot_core::backend::Backend::consume).
    Consume,
    /// [`Subscription::next`](carrot_core::backend::Subscription::next), before it looks for a
    /// delivery.
    Next,
    /// [`Backend::ack`](carrot_core::backend::Backend::ack).
    Ack,
    /// [`Backend::reject`](carrot_core::backend::Backend::reject).
    Reject,
    /// [`Connector::update_secret`](carrot_core::backend::Connector::update_secret), once for each
    /// open connection.
    UpdateSecret,
    /// Any of these on an open channel, except `Confirm` and `Next`, which only wait, and whose
    /// number is random.
    Any,
}

impl Operation {
    pub(crate) fn covers(self, other: Operation) -> bool {
        match self {
            Operation::Any => !matches!(
                other,
                Operation::Connect
                    | Operation::Open
                    | Operation::Confirm
                    | Operation::Next
                    | Operation::UpdateSecret
            ),
            operation => operation == other,
        }
    }
}

/// The faults planned for one broker.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    armed: AtomicBool,
    pub(crate) state: Mutex<FaultPlanState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct FaultPlanState {
    pub(crate) rules: Vec<FaultRule>,
    pub(crate) refusals: Vec<MessageRefusal>,
    pub(crate) unreadable: Vec<UnreadableMessages>,
    pub(crate) cleared: u64,
}

#[derive(Debug)]
pub(crate) struct FaultRule {
    pub(crate) operation: Operation,
    pub(crate) skip: u32,
    pub(crate) times: u32,
    pub(crate) action: FaultAction,
}

/// Messages that are refused until the plan is cleared.
#[derive(Clone)]
pub(crate) struct MessageRefusal {
    pub(crate) error: Error,
    pub(crate) which: Arc<dyn Fn(&Content) -> bool + Send + Sync>,
}

impl fmt::Debug for MessageRefusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MessageRefusal").field("error", &self.error).finish_non_exhaustive()
    }
}

/// Messages that cannot be read until the plan is cleared.
#[derive(Clone)]
pub(crate) struct UnreadableMessages {
    pub(crate) reason: Arc<str>,
    pub(crate) which: Arc<dyn Fn(&Content) -> bool + Send + Sync>,
}

impl fmt::Debug for UnreadableMessages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UnreadableMessages")
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
pub(crate) enum FaultAction {
    DropConnections,
    Fail(Error),
    Delay(Duration),
    Nack,
    LoseConfirm,
}

/// How an operation continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultOutcome {
    Proceed,
    Nack,
    LoseConfirm,
}

impl FaultOutcome {
    /// Publishes a message, as far as the fault lets it. Returns the answer.
    pub(crate) fn apply(
        self,
        publish: impl FnOnce() -> Result<ConfirmAnswer>,
    ) -> Result<ConfirmAnswer> {
        match self {
            FaultOutcome::Nack => Ok(ConfirmAnswer::Refused),
            FaultOutcome::LoseConfirm => publish().map(|_| ConfirmAnswer::Lost),
            FaultOutcome::Proceed => publish(),
        }
    }
}

impl FaultPlan {
    /// Whether any fault is planned.
    pub(crate) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    pub(crate) fn arm(&self, state: &FaultPlanState) {
        let is_empty =
            state.rules.is_empty() && state.refusals.is_empty() && state.unreadable.is_empty();
        self.armed.store(!is_empty, Ordering::Relaxed);
    }

    /// Fails with the error planned for a message, if one is.
    pub(crate) fn check(&self, content: &Content) -> Result<()> {
        let refusals = lock(&self.state).refusals.clone();
        refusals
            .into_iter()
            .find(|refusal| (refusal.which)(content))
            .map_or(Ok(()), |refusal| Err(refusal.error))
    }

    /// Removes the properties of a delivery that was made unreadable.
    pub(crate) fn garble(&self, delivery: Delivery) -> Delivery {
        let unreadable = lock(&self.state).unreadable.clone();
        let content = &*delivery.content;
        let Some(garbled) = unreadable.into_iter().find(|messages| (messages.which)(content))
        else {
            return delivery;
        };
        let content = Content { properties: Properties::new(), ..content.clone() };
        Delivery::new(delivery.tag, Arc::new(content))
            .with_redelivered(delivery.redelivered)
            .with_unreadable(garbled.reason)
    }

    /// Wakes the delayed operations, which check their conditions again.
    pub(crate) fn wake(&self) {
        drop(lock(&self.state));
        self.changed.notify_all();
    }

    /// Counts an operation. Returns its delay, and the action planned for it.
    pub(crate) fn take(&self, operation: Operation) -> (Duration, Option<FaultAction>) {
        let mut state = lock(&self.state);
        let mut delay = Duration::ZERO;
        let mut planned = None;
        state.rules.retain_mut(|rule| {
            if !rule.operation.covers(operation) {
                return true;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                return true;
            }
            match &rule.action {
                FaultAction::Delay(by) => delay = delay.saturating_add(*by),
                _ if planned.is_some() => return true,
                action => planned = Some(action.clone()),
            }
            rule.times -= 1;
            rule.times > 0
        });
        self.arm(&state);
        (delay, planned)
    }

    /// Delays an operation by the broker's clock, as long as `is_open` holds. Returns `false` if
    /// `call_timeout`, in real time, passed first.
    pub(crate) fn delay(
        &self,
        clock: &BrokerClock,
        delay: Duration,
        is_open: impl Fn() -> bool,
        call_timeout: Duration,
    ) -> bool {
        let due = clock.now().saturating_add(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
        let deadline = Instant::now().checked_add(call_timeout);
        let mut state = lock(&self.state);
        let cleared = state.cleared;
        while clock.now() < due && state.cleared == cleared && is_open() {
            let mut wait = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if wait.is_zero() {
                return false;
            }
            if clock.is_real() {
                wait = wait.min(Duration::from_micros(due - clock.now().min(due)));
            }
            state = self.wait(state, wait);
        }
        true
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, FaultPlanState>,
        most: Duration,
    ) -> MutexGuard<'a, FaultPlanState> {
        self.changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
    }
}
