//! One open connection: its channels, its user, its exclusive queues.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use carrot_core::backend::{Content, DeleteIf, Event, Role};
use carrot_core::{Error, Result};

use crate::broker::alarm::{HeldPublication, PublishGate};
use crate::broker::fault_plan::FaultOutcome;
use crate::broker::observers::ConnectorObservers;
use crate::broker::publish::KeptMessage;
use crate::broker::{BrokerShared, OpenConnection};
use crate::channel::BrokerChannel;
use crate::channel::confirms::{ChannelConfirms, ConfirmAnswer};
use crate::channel::output::{ChannelEvent, ChannelOutput};
use crate::errors;
use crate::sync::lock;

/// A connection. It closes when it fails, and when its last user drops it.
#[derive(Debug)]
pub(crate) struct BrokerConnection {
    pub(crate) shared: Arc<BrokerShared>,
    pub(crate) id: u64,
    role: Role,
    user: Arc<str>,
    name: Arc<str>,
    /// Whether the connection ever declared an exclusive queue.
    has_exclusive_queues: AtomicBool,
    /// The observers of the connector, while the connector exists.
    observers: Weak<ConnectorObservers>,
    pub(crate) gate: PublishGate,
    state: Mutex<BrokerConnectionState>,
}

#[derive(Debug, Default)]
struct BrokerConnectionState {
    failure: Option<Error>,
    channels: Vec<Weak<BrokerChannel>>,
}

impl BrokerConnection {
    /// Opens a connection. The caller notifies the observers, once it holds no lock.
    pub(crate) fn open(
        shared: &Arc<BrokerShared>,
        role: Role,
        user: &Arc<str>,
        name: &Arc<str>,
        observers: &Arc<ConnectorObservers>,
    ) -> Arc<BrokerConnection> {
        observers.add_event(Event::Connected { role });
        let connection = Arc::new(BrokerConnection {
            shared: Arc::clone(shared),
            id: shared.next_id(),
            role,
            user: Arc::clone(user),
            name: Arc::clone(name),
            has_exclusive_queues: AtomicBool::new(false),
            observers: Arc::downgrade(observers),
            gate: PublishGate::new(role),
            state: Mutex::default(),
        });
        let alarms = lock(&shared.alarms);
        let weak: Weak<BrokerConnection> = Arc::downgrade(&connection);
        let mut connections = lock(&shared.connections);
        connections.retain(|other| other.strong_count() > 0);
        connections.push(weak);
        drop(connections);
        if let Some(reason) = alarms.reason() {
            connection.gate.block(&reason);
        }
        drop(alarms);
        connection
    }

    pub(crate) fn open_channel(&self, is_confirming: bool) -> Result<Arc<BrokerChannel>> {
        self.add_channel(|id| BrokerChannel::new(id, is_confirming))
    }

    fn add_channel(&self, create: impl FnOnce(u64) -> BrokerChannel) -> Result<Arc<BrokerChannel>> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let channel = Arc::new(create(self.shared.next_id()));
        if state.channels.len() == state.channels.capacity() {
            state.channels.retain(|channel| channel.strong_count() > 0);
        }
        state.channels.push(Arc::downgrade(&channel));
        Ok(channel)
    }

    /// Opens a channel of a session, whose events go to `output`.
    pub(crate) fn open_peer_channel(
        &self,
        output: Arc<dyn ChannelOutput>,
    ) -> Result<Arc<BrokerChannel>> {
        self.add_channel(|id| BrokerChannel::for_peer(id, output))
    }

    /// Closes the connection, as [`fail`](OpenConnection::fail). `channel` fails with `cause`
    /// itself, the other channels with what follows from it.
    ///
    /// Closes the channels first, then deletes the exclusive queues. Then notifies the observers,
    /// unless this program closed the connection.
    pub(crate) fn fail_because_of(&self, channel: Option<&Arc<BrokerChannel>>, cause: &Error) {
        let error = errors::for_other_channels(cause);
        let mut state = lock(&self.state);
        if state.failure.is_some() {
            return;
        }
        state.failure = Some(error.clone());
        let channels = std::mem::take(&mut state.channels);
        let observers = self.observers.upgrade().filter(|_| !matches!(error, Error::Closed { .. }));
        // Under the lock: observers receive the loss before the next connection.
        let event = Event::Disconnected { role: self.role, error: error.clone() };
        self.gate.lose_held(observers.as_deref().map(|observers| (observers, event)));
        drop(state);
        for other in channels.iter().filter_map(Weak::upgrade) {
            let is_cause = channel.is_some_and(|channel| Arc::ptr_eq(channel, &other));
            if let Some(closed) = other.fail(if is_cause { cause } else { &error }.clone()) {
                self.shared.release_channel(closed);
            }
        }
        self.delete_exclusive_queues();
        self.shared.faults.wake();
        if let Some(observers) = observers {
            observers.notify();
        }
    }

    /// Notes that a peer publishes. Returns whether publishers are blocked, of which the connection
    /// is notified then. The caller holds no lock.
    pub(crate) fn note_publication(&self) -> bool {
        self.shared.context.memory.enforce_limits();
        if !self.gate.is_blocked() {
            return false;
        }
        let observers = self.observers.upgrade();
        let is_blocked = self.gate.note_publication(observers.as_deref());
        if let Some(observers) = observers {
            observers.notify();
        }
        is_blocked
    }

    /// Publishes a message of a channel, or holds it back while publishers are blocked.
    ///
    /// The caller passes the lock of the channel's confirms.
    pub(crate) fn publish(
        &self,
        channel: &Arc<BrokerChannel>,
        confirms: MutexGuard<'_, ChannelConfirms>,
        content: &Arc<Content>,
        mandatory: bool,
        fault: FaultOutcome,
    ) {
        if !self.gate.is_blocked() {
            return self.read(channel, confirms, content, mandatory, fault);
        }
        let publication = HeldPublication {
            channel: Arc::clone(channel),
            content: Arc::clone(content),
            mandatory,
            fault,
        };
        let observers = self.observers.upgrade();
        match self.gate.hold(publication, observers.as_deref()) {
            Some(_) => self.read(channel, confirms, content, mandatory, fault),
            None => drop(confirms),
        }
        if let Some(observers) = observers {
            observers.notify();
        }
    }

    /// Publishes a message that a transaction kept.
    pub(crate) fn publish_kept(
        &self,
        channel: &Arc<BrokerChannel>,
        message: KeptMessage,
        mandatory: bool,
        fault: FaultOutcome,
    ) {
        let confirms = lock(&channel.confirms);
        let content = Arc::clone(&message.published);
        let answer = fault.apply(|| self.shared.publish_kept(message, mandatory));
        self.answer(channel, confirms, &content, answer);
    }

    fn read(
        &self,
        channel: &Arc<BrokerChannel>,
        confirms: MutexGuard<'_, ChannelConfirms>,
        content: &Arc<Content>,
        mandatory: bool,
        fault: FaultOutcome,
    ) {
        let publish = || self.shared.publish(channel, &self.user, content, mandatory);
        self.answer(channel, confirms, content, fault.apply(publish));
    }

    /// Answers a publication, or fails its channel.
    fn answer(
        &self,
        channel: &Arc<BrokerChannel>,
        mut confirms: MutexGuard<'_, ChannelConfirms>,
        content: &Arc<Content>,
        answer: Result<ConfirmAnswer>,
    ) {
        match answer {
            Ok(answer) => {
                confirms.answer(answer, content, channel.is_confirming());
            }
            Err(error) => {
                let output = confirms.output();
                drop(confirms);
                if let Some(closed) = channel.fail(error.clone()) {
                    self.shared.release_channel(closed);
                    if let Some(output) = output {
                        output.send(ChannelEvent::Failed { error });
                    }
                }
            }
        }
    }

    /// Notes that the connection has an exclusive queue. Deletes the queue at once if the
    /// connection is closed.
    pub(crate) fn note_exclusive_queue(&self) {
        self.has_exclusive_queues.store(true, Ordering::SeqCst);
        if !self.is_open() {
            self.delete_exclusive_queues();
        }
    }

    fn delete_exclusive_queues(&self) {
        if !self.has_exclusive_queues.load(Ordering::SeqCst) {
            return;
        }
        let owned: Vec<_> = self
            .shared
            .topology()
            .queues()
            .filter(|queue| queue.owner == Some(self.id))
            .cloned()
            .collect();
        for queue in owned {
            if let Ok(Some(deleted)) = queue.delete(DeleteIf::ALWAYS) {
                self.shared.remove_queue(&queue, deleted);
            }
            self.shared.send_dead_letters();
        }
    }
}

impl OpenConnection for BrokerConnection {
    fn name(&self) -> &str {
        &self.name
    }

    fn user(&self) -> &str {
        &self.user
    }

    fn is_open(&self) -> bool {
        lock(&self.state).failure.is_none()
    }

    fn fail(&self, error: Error) {
        self.fail_because_of(None, &error);
    }

    fn block(&self, reason: &Arc<str>) {
        self.gate.block(reason);
    }

    fn unblock(&self) {
        let observers = self.observers.upgrade();
        while let Some(held) = self.gate.next_held(observers.as_deref()) {
            let HeldPublication { channel, content, mandatory, fault } = held;
            let is_refused = channel.check().is_err_and(|error| error.is_channel_error());
            if !is_refused {
                self.read(&channel, lock(&channel.confirms), &content, mandatory, fault);
                channel.notify_confirmed();
            }
        }
    }

    fn notify_observers(&self) {
        if let Some(observers) = self.observers.upgrade() {
            observers.notify();
        }
    }

    fn channels(&self) -> Vec<Arc<BrokerChannel>> {
        lock(&self.state).channels.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Drop for BrokerConnection {
    fn drop(&mut self) {
        self.fail(Error::closed("connection"));
    }
}
