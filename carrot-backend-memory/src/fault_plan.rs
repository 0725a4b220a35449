//! Carries out the failures that were ordered.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use carrot_core::backend::Content;
use carrot_core::{Error, Result};

use crate::broker::Core;
use crate::channel::Channel;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::faults::Operation;
use crate::sync::lock;

/// The faults ordered from one broker.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    armed: AtomicBool,
    pub(crate) state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) rules: Vec<Rule>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) cleared: u64,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) operation: Operation,
    pub(crate) skip: u32,
    pub(crate) times: u32,
    pub(crate) action: Action,
}

/// Messages that are refused whenever they come.
#[derive(Clone)]
pub(crate) struct Refusal {
    pub(crate) error: Error,
    pub(crate) which: Arc<dyn Fn(&Content) -> bool + Send + Sync>,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Refusal").field("error", &self.error).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    DropConnections,
    Fail(Error),
    Delay(Duration),
    Nack,
    LoseConfirm,
}

/// How an operation is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Proceed,
    Nack,
    LoseConfirm,
}

impl FaultPlan {
    /// Whether anything is ordered.
    pub(crate) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    pub(crate) fn arm(&self, state: &State) {
        self.armed.store(!state.rules.is_empty() || !state.refusals.is_empty(), Ordering::Relaxed);
    }

    /// The error over which a message is refused, if it is.
    pub(crate) fn check(&self, content: &Content) -> Result<()> {
        let refusals = lock(&self.state).refusals.clone();
        refusals
            .into_iter()
            .find(|refusal| (refusal.which)(content))
            .map_or(Ok(()), |refusal| Err(refusal.error))
    }

    /// Lets whoever is held up look again.
    pub(crate) fn wake(&self) {
        drop(lock(&self.state));
        self.changed.notify_all();
    }

    /// Counts an operation: how long it is held up, and what strikes it.
    fn count(&self, operation: Operation) -> (Duration, Option<Action>) {
        let mut state = lock(&self.state);
        let mut delay = Duration::ZERO;
        let mut struck = None;
        state.rules.retain_mut(|rule| {
            if !rule.operation.covers(operation) {
                return true;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                return true;
            }
            match &rule.action {
                Action::Delay(by) => delay = delay.saturating_add(*by),
                _ if struck.is_some() => return true,
                action => struck = Some(action.clone()),
            }
            rule.times -= 1;
            rule.times > 0
        });
        self.arm(&state);
        (delay, struck)
    }

    /// Holds an operation up until its time has come by the broker's clock; false if the call deadline passed before.
    fn hold(
        &self,
        clock: &Clock,
        delay: Duration,
        channel: Option<&Channel>,
        call_timeout: Duration,
    ) -> bool {
        let due = clock.now().saturating_add(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
        let deadline = Instant::now().checked_add(call_timeout);
        let mut state = lock(&self.state);
        let cleared = state.cleared;
        while clock.now() < due
            && state.cleared == cleared
            && channel.is_none_or(|channel| channel.check().is_ok())
        {
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

    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Core {
    /// Lets what was ordered for an operation happen. An error is the operation's own; what it closes is still open.
    pub(crate) fn meet(
        &self,
        operation: Operation,
        channel: Option<&Channel>,
        call_timeout: Duration,
    ) -> Result<Verdict> {
        if !self.faults.is_armed() {
            return Ok(Verdict::Proceed);
        }
        let (delay, struck) = self.faults.count(operation);
        if !delay.is_zero() && !self.faults.hold(&self.clock, delay, channel, call_timeout) {
            return Err(Error::timeout(format!("{operation:?}").to_lowercase(), call_timeout));
        }
        match struck {
            None => {}
            Some(Action::DropConnections) => {
                self.drop_connections(|_| true);
            }
            Some(Action::Fail(error)) => return Err(error),
            Some(Action::Nack) => return Ok(Verdict::Nack),
            Some(Action::LoseConfirm) => return Ok(Verdict::LoseConfirm),
            Some(Action::Delay(_)) => {}
        }
        if let Some(channel) = channel {
            channel.check()?;
        }
        Ok(Verdict::Proceed)
    }

    pub(crate) fn connections(&self) -> Vec<Arc<Connection>> {
        lock(&self.connections).iter().filter_map(|connection| connection.upgrade()).collect()
    }

    /// Cuts the connections that `which` picks; how many were open.
    pub(crate) fn drop_connections(&self, which: impl Fn(&Connection) -> bool) -> usize {
        let connections = self.connections();
        let picked =
            connections.iter().filter(|connection| connection.is_open() && which(connection));
        let cut = || {
            Error::disconnected(format!("{}: the connection was cut, as ordered", self.endpoint()))
        };
        picked.inspect(|connection| connection.fail(cut())).count()
    }
}
