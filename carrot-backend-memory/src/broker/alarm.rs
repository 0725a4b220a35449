//! Publications that the broker does not read while publishers are blocked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use carrot_core::backend::{Content, Event, Role};

use crate::broker::fault_plan::FaultOutcome;
use crate::broker::observers::ConnectorObservers;
use crate::channel::BrokerChannel;
use crate::sync::{Deadline, lock};

/// The limit on held bodies, in bytes: a publication waits for room once they reach it. The AMQP
/// driver holds as much of what it has not sent.
const ROOM: usize = 512 << 10;

/// A publication that is not read yet.
#[derive(Debug)]
pub(crate) struct HeldPublication {
    pub(crate) channel: Arc<BrokerChannel>,
    pub(crate) content: Arc<Content>,
    pub(crate) mandatory: bool,
    pub(crate) fault: FaultOutcome,
}

/// Whether the broker reads the publications of a connection, and those that it does not read yet.
///
/// As on RabbitMQ, the first publication after an alarm notifies the connection. The broker stops
/// reading only from then on.
#[derive(Debug)]
pub(crate) struct PublishGate {
    role: Role,
    is_blocked: AtomicBool,
    state: Mutex<PublishGateState>,
    read: Condvar,
}

#[derive(Debug, Default)]
struct PublishGateState {
    alarm: Option<Arc<str>>,
    is_notified: bool,
    held: VecDeque<HeldPublication>,
    /// The size of their bodies in bytes.
    bytes: usize,
    is_closed: bool,
}

impl PublishGateState {
    /// Notifies the connection of the alarm, the first time. Returns whether this is that time.
    fn notify(
        &mut self,
        role: Role,
        alarm: &Arc<str>,
        observers: Option<&ConnectorObservers>,
    ) -> bool {
        let is_first = !std::mem::replace(&mut self.is_notified, true);
        if let Some(observers) = observers.filter(|_| is_first) {
            observers.add_event(Event::Blocked { role, reason: alarm.to_string() });
        }
        is_first
    }
}

impl PublishGate {
    /// Creates the gate of a connection for `role`, which reads publications.
    pub(crate) fn new(role: Role) -> PublishGate {
        PublishGate {
            role,
            is_blocked: AtomicBool::new(false),
            state: Mutex::default(),
            read: Condvar::new(),
        }
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Acquire)
    }

    /// Stops reading, from the next publication on.
    pub(crate) fn block(&self, reason: &Arc<str>) {
        let mut state = lock(&self.state);
        if !state.is_closed {
            state.alarm = Some(Arc::clone(reason));
            self.is_blocked.store(true, Ordering::Release);
        }
    }

    /// Holds a publication back, or returns it if the broker reads now. The caller has locked the
    /// confirms of its channel.
    pub(crate) fn hold(
        &self,
        held: HeldPublication,
        observers: Option<&ConnectorObservers>,
    ) -> Option<HeldPublication> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return None;
        }
        let Some(alarm) = state.alarm.clone() else { return Some(held) };
        let is_first = state.notify(self.role, &alarm, observers);
        // RabbitMQ stops reading after the header of a message, which is the end of a message
        // without a body.
        if is_first && held.content.body.is_empty() {
            return Some(held);
        }
        state.bytes += held.content.body.len();
        state.held.push_back(held);
        None
    }

    /// Notes a publication whose body has not arrived. Returns whether the broker does not read it.
    pub(crate) fn note_publication(&self, observers: Option<&ConnectorObservers>) -> bool {
        let mut state = lock(&self.state);
        let Some(alarm) = state.alarm.clone() else { return false };
        state.notify(self.role, &alarm, observers);
        true
    }

    /// Waits until publications are read again, if the connection was notified that they are not.
    pub(crate) fn wait_until_unblocked(&self) {
        let mut state = lock(&self.state);
        while state.alarm.is_some() && state.is_notified {
            state = Deadline::NEVER.wait(&self.read, state).0;
        }
    }

    /// Waits until there is room to hold one more publication, of any size. Returns `false` if
    /// `timeout` passed first.
    pub(crate) fn wait_for_room(&self, timeout: Duration) -> bool {
        if !self.is_blocked() {
            return true;
        }
        let deadline = Deadline::after(timeout);
        let mut state = lock(&self.state);
        while state.bytes >= ROOM {
            let passed;
            (state, passed) = deadline.wait(&self.read, state);
            if passed {
                return false;
            }
        }
        true
    }

    /// Returns the oldest held publication. Once none is left, publications are read again.
    pub(crate) fn next_held(
        &self,
        observers: Option<&ConnectorObservers>,
    ) -> Option<HeldPublication> {
        let mut state = lock(&self.state);
        if let Some(held) = state.held.pop_front() {
            state.bytes -= held.content.body.len();
            return Some(held);
        }
        state.alarm = None;
        self.is_blocked.store(false, Ordering::Release);
        if std::mem::take(&mut state.is_notified)
            && let Some(observers) = observers
        {
            observers.add_event(Event::Unblocked { role: self.role });
        }
        drop(state);
        self.read.notify_all();
        None
    }

    /// Drops the held publications because the connection is closed. Adds `event` as its last
    /// event.
    pub(crate) fn lose_held(&self, event: Option<(&ConnectorObservers, Event)>) {
        let mut state = lock(&self.state);
        let lost = std::mem::take(&mut *state);
        state.is_closed = true;
        self.is_blocked.store(false, Ordering::Release);
        if let Some((observers, event)) = event {
            observers.add_event(event);
        }
        drop(state);
        drop(lost);
        self.read.notify_all();
    }

    /// Returns why the connection is blocked, if it was notified of that.
    pub(crate) fn reason(&self) -> Option<String> {
        let state = lock(&self.state);
        state.alarm.as_ref().filter(|_| state.is_notified).map(|alarm| alarm.to_string())
    }

    /// Waits until the publications of `channel`, or of all channels, are read or dropped. Returns
    /// `false` if the deadline passed first.
    pub(crate) fn wait_until_read(
        &self,
        channel: Option<&Arc<BrokerChannel>>,
        deadline: Deadline,
    ) -> bool {
        let mine = |state: &MutexGuard<'_, PublishGateState>| {
            state
                .held
                .iter()
                .any(|held| channel.is_none_or(|channel| Arc::ptr_eq(channel, &held.channel)))
        };
        let mut state = lock(&self.state);
        while mine(&state) {
            let passed;
            (state, passed) = deadline.wait(&self.read, state);
            if passed {
                return false;
            }
        }
        true
    }
}
