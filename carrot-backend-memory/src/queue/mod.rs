//! One queue: order, unsettled messages, consumers, limits and time.

pub(crate) mod arguments;
pub(crate) mod consumers;
pub(crate) mod context;
pub(crate) mod dead_letter;
pub(crate) mod delayed;
pub(crate) mod held;
pub(crate) mod memory;
pub(crate) mod message;
pub(crate) mod ready;
pub(crate) mod sink;
pub(crate) mod state;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use carrot_core::backend::{Content, DeleteIf};
use carrot_core::{Error, Headers, Result};

use crate::clock::NEVER;
use crate::errors;
use crate::queue::arguments::{QueueKind, QueueRules};
use crate::queue::consumers::QueueConsumer;
use crate::queue::context::{QueueContext, QueueId};
use crate::queue::message::{QueuedMessage, RoutedMessage};
use crate::queue::sink::{ConsumerKey, UnackedMessage};
use crate::queue::state::{QueueState, ReturnCause, SettleAction};
use crate::sync::lock;

/// A queue. Its declaration never changes; everything else is under its lock.
///
/// After every method that changes the queue, the caller sends dead letters on, with no lock held.
#[derive(Debug)]
pub(crate) struct BrokerQueue {
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    /// The connection that has the queue to itself.
    pub(crate) owner: Option<u64>,
    pub(crate) arguments: Headers,
    rules: Arc<QueueRules>,
    context: Arc<QueueContext>,
    is_deleted: AtomicBool,
    state: Mutex<QueueState>,
}

/// Whether a queue deleted itself, and must be removed from the topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum QueueFate {
    Kept,
    Deleted,
}

/// The messages and consumers of a deleted queue.
#[derive(Debug)]
pub(crate) struct DeletedQueue {
    /// The number of ready messages.
    pub(crate) ready: usize,
    pub(crate) consumers: Vec<QueueConsumer>,
}

impl BrokerQueue {
    pub(crate) fn new(
        id: QueueId,
        declared: &carrot_core::Queue,
        owner: Option<u64>,
        rules: QueueRules,
        context: &Arc<QueueContext>,
    ) -> BrokerQueue {
        let rules = Arc::new(rules);
        BrokerQueue {
            id: id.number,
            name: Arc::clone(&id.name),
            durable: declared.durable && owner.is_none(),
            auto_delete: declared.auto_delete,
            owner,
            arguments: declared.arguments.clone(),
            rules: Arc::clone(&rules),
            context: Arc::clone(context),
            is_deleted: AtomicBool::new(false),
            state: Mutex::new(QueueState::new(id, rules, Arc::clone(context))),
        }
    }

    pub(crate) fn kind(&self) -> QueueKind {
        self.rules.kind
    }

    /// Whether the queue was deleted. It stays in the topology until the deleting thread removes
    /// it.
    pub(crate) fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Acquire)
    }

    /// Adds a message, which expires after `expiration` microseconds at the latest. Returns whether
    /// the queue accepts it.
    pub(crate) fn enqueue(&self, message: RoutedMessage, expiration: Option<u64>) -> bool {
        lock(&self.state).enqueue(message, expiration)
    }

    /// Notes the acknowledgement of one delivery.
    pub(crate) fn acknowledge(&self, consumer: ConsumerKey) {
        lock(&self.state).acknowledge(consumer);
    }

    /// Takes the message at the head out, and calls `deliver` with it, with what the consumer sees
    /// of it, and with the number of ready messages that remain.
    ///
    /// # Errors
    /// The error of `deliver`, which gives the message back.
    pub(crate) fn get<T>(
        &self,
        manual: bool,
        deliver: impl FnOnce(
            QueuedMessage,
            Option<Arc<Content>>,
            usize,
        ) -> Result<T, Box<(QueuedMessage, Error)>>,
    ) -> Result<Option<T>> {
        let mut state = lock(&self.state);
        self.note_use(&mut state)?;
        if let (QueueKind::Quorum { .. }, true) = (self.rules.kind, self.rules.single_active) {
            let kind = self.context.rules.quorum.type_in_refusal;
            return Err(errors::no_get_beside_single_active_consumer(&self.name, kind));
        }
        let Some(message) = state.ready.pop() else { return Ok(None) };
        let shown = state.shown(&message, true);
        match deliver(message, shown, state.ready.len()) {
            Ok(delivery) => {
                state.note_fetched(manual);
                state.expire_head();
                state.note_if_idle();
                Ok(Some(delivery))
            }
            Err(returned) => {
                let (message, failure) = *returned;
                state.ready.put_back_one(message);
                Err(failure)
            }
        }
    }

    /// Returns the numbers of ready messages and of consumers.
    pub(crate) fn counts(&self) -> Result<(usize, usize)> {
        let mut state = lock(&self.state);
        self.note_use(&mut state)?;
        Ok((state.ready.len(), state.announced_consumers()))
    }

    /// Notes a use that keeps the queue from expiring.
    fn note_use(&self, state: &mut QueueState) -> Result<()> {
        if state.is_deleted {
            return Err(errors::no_queue(&self.name));
        }
        if self.rules.expires.is_some() {
            state.last_used = self.context.clock.now();
        }
        Ok(())
    }

    /// Adds a consumer, calls `added` with its key, and serves it.
    pub(crate) fn add_consumer(
        &self,
        consumer: QueueConsumer,
        added: impl FnOnce(ConsumerKey),
    ) -> Result<ConsumerKey> {
        let mut state = lock(&self.state);
        self.note_use(&mut state)?;
        // A quorum queue does not know exclusive consumers.
        if self.rules.kind == QueueKind::Classic && !state.consumers.admits(consumer.exclusive) {
            return Err(errors::exclusive_use(&self.name));
        }
        let key = state.consumers.add(consumer);
        added(key);
        state.serve();
        state.note_if_idle();
        Ok(key)
    }

    /// Serves the consumers whose channel had no room, and has room again.
    pub(crate) fn resume(&self) {
        let mut state = lock(&self.state);
        if !state.is_deleted {
            state.consumers.unblock();
            state.serve();
            state.note_if_idle();
        }
    }

    /// Removes a consumer. Its deliveries stay with its channel.
    pub(crate) fn remove_consumer(&self, key: ConsumerKey) -> QueueFate {
        let mut state = lock(&self.state);
        if state.is_deleted || state.consumers.remove(key).is_none() {
            return QueueFate::Kept;
        }
        self.after_removal(&mut state)
    }

    /// Removes the consumers of a closed channel, and requeues its unsettled messages in the order
    /// of delivery.
    pub(crate) fn release_channel(
        &self,
        consumers: &[ConsumerKey],
        unacked: Vec<UnackedMessage>,
        cause: ReturnCause,
    ) -> QueueFate {
        let mut state = lock(&self.state);
        if state.is_deleted {
            return QueueFate::Kept;
        }
        let has_removed =
            consumers.iter().filter(|key| state.consumers.remove(**key).is_some()).count() > 0;
        state.note_released(&unacked);
        if has_removed && self.auto_delete && state.consumers.is_empty() {
            self.mark_deleted(&mut state);
            return QueueFate::Deleted;
        }
        if self.rules.single_active
            && self.rules.kind == QueueKind::Classic
            && self.context.rules.activates_before_requeue
        {
            state.serve();
        }
        state.requeue(unacked.into_iter().map(|unacked| unacked.message), cause);
        if has_removed {
            return self.after_removal(&mut state);
        }
        state.note_if_idle();
        QueueFate::Kept
    }

    fn after_removal(&self, state: &mut QueueState) -> QueueFate {
        if self.auto_delete && state.consumers.is_empty() {
            self.mark_deleted(state);
            return QueueFate::Deleted;
        }
        if self.rules.expires.is_some() {
            state.last_used = self.context.clock.now();
            state.set_timer();
        }
        state.serve();
        state.note_if_idle();
        QueueFate::Kept
    }

    /// Settles deliveries of this queue, all of one channel.
    pub(crate) fn settle(&self, deliveries: Vec<UnackedMessage>, action: SettleAction) {
        let mut state = lock(&self.state);
        if !state.is_deleted {
            state.settle(deliveries, action);
            state.note_if_idle();
        }
    }

    /// Drops the ready and the delayed messages. Returns how many there were.
    pub(crate) fn purge(&self) -> Result<usize> {
        let mut state = lock(&self.state);
        if state.is_deleted {
            return Err(errors::no_queue(&self.name));
        }
        let count = state.ready.clear() + state.delayed.clear();
        state.note_if_idle();
        Ok(count)
    }

    /// Marks the queue as deleted if `condition` holds. Returns `None` if it was deleted before.
    ///
    /// The caller takes the queue out of the topology.
    pub(crate) fn delete(&self, condition: DeleteIf) -> Result<Option<DeletedQueue>> {
        let mut state = lock(&self.state);
        if state.is_deleted {
            return Ok(None);
        }
        if let (QueueKind::Quorum { .. }, true) = (self.rules.kind, condition != DeleteIf::ALWAYS) {
            return Err(errors::conditional_delete(&self.name, condition));
        }
        if condition.if_unused && !state.consumers.is_empty() {
            return Err(errors::precondition(format_args!(
                "queue '{}' in vhost '/' in use",
                self.name
            )));
        }
        if condition.if_empty && !state.ready.is_empty() {
            return Err(errors::precondition(format_args!(
                "queue '{}' in vhost '/' not empty",
                self.name
            )));
        }
        Ok(Some(self.mark_deleted(&mut state)))
    }

    /// Handles a timer that was set for `due`: expires messages, and the queue itself.
    pub(crate) fn handle_timer(&self, due: u64) -> QueueFate {
        let mut state = lock(&self.state);
        if state.is_deleted || due != state.timer {
            return QueueFate::Kept;
        }
        state.timer = NEVER;
        let now = self.context.clock.now();
        state.end_delays(now);
        state.expire_head();
        let expired = self
            .rules
            .expires
            .is_some_and(|expires| state.last_used.saturating_add(expires) <= now);
        if expired && state.consumers.is_empty() {
            self.mark_deleted(&mut state);
            return QueueFate::Deleted;
        }
        state.set_timer();
        state.note_if_idle();
        QueueFate::Kept
    }

    /// Sets the first timer of a new queue.
    pub(crate) fn start(&self) {
        if self.rules.expires.is_some() {
            lock(&self.state).set_timer();
        }
    }

    /// Calls `view` with the messages and the consumers.
    pub(crate) fn inspect<T>(&self, view: impl FnOnce(&QueueState) -> T) -> T {
        view(&lock(&self.state))
    }

    fn mark_deleted(&self, state: &mut QueueState) -> DeletedQueue {
        state.is_deleted = true;
        self.is_deleted.store(true, Ordering::Release);
        state.unacked = 0;
        state.delayed.clear();
        DeletedQueue { ready: state.ready.clear(), consumers: state.consumers.clear() }
    }
}
