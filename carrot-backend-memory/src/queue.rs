//! One queue: order, unsettled messages, consumers, limits, time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use carrot_core::backend::{Content, DeleteIf, Delivery};
use carrot_core::{Headers, Overflow, Result};

use crate::arguments::{Kind, Rules};
use crate::arrivals::Arrivals;
use crate::broker::Core;
use crate::channel::Channel;
use crate::clock::NEVER;
use crate::consumers::{Consumer, ConsumerKey, Consumers};
use crate::dead_letter::{DeadLetter, Reason};
use crate::queue_state::QueueState;
use crate::ready::{Entry, Parcel, Ready};
use crate::refusal;
use crate::sync::lock;
use crate::unacked::Unacked;

/// A queue. What was said when it was declared never changes; everything else is under its lock.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    /// The connection that it is exclusive to.
    pub(crate) owner: Option<u64>,
    pub(crate) arguments: Headers,
    pub(crate) rules: Rules,
    gone: AtomicBool,
    can_wait: AtomicBool,
    pub(crate) arrivals: Arrivals,
    state: Mutex<QueueState>,
}

/// A consumer whose channel died, and how many acknowledgements of it the queue has not been told of.
#[derive(Debug)]
pub(crate) struct Departed {
    pub(crate) key: ConsumerKey,
    pub(crate) owed: u32,
}

/// How a delivery is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settlement {
    Ack,
    Requeue,
    Discard,
}

/// Whether the queue went away with its last consumer, and is to be taken out of the topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Fate {
    Stays,
    Goes,
}

/// What is left of a queue that was deleted.
#[derive(Debug)]
pub(crate) struct Estate {
    pub(crate) ready: usize,
    pub(crate) consumers: Vec<Consumer>,
}

impl Queue {
    pub(crate) fn new(
        id: u64,
        declared: &carrot_core::Queue,
        name: Arc<str>,
        owner: Option<u64>,
        rules: Rules,
        now: u64,
    ) -> Queue {
        let state = QueueState::new(&rules, now);
        Queue {
            id,
            name,
            durable: declared.durable && owner.is_none(),
            auto_delete: declared.auto_delete,
            owner,
            arguments: declared.arguments.clone(),
            rules,
            gone: AtomicBool::new(false),
            can_wait: AtomicBool::new(false),
            arrivals: Arrivals::default(),
            state: Mutex::new(state),
        }
    }

    /// Whether it was deleted; it may still be in the topology for a moment.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Takes a message in; whether it did not refuse it.
    pub(crate) fn enqueue(
        self: &Arc<Queue>,
        core: &Arc<Core>,
        mut parcel: Parcel,
        expiration: Option<u64>,
    ) -> bool {
        if expiration.is_none() {
            match self.arrivals.leave(parcel) {
                None => return true,
                Some(back) => parcel = back,
            }
        }
        let mut state = if expiration.is_some() { self.lock_exactly() } else { lock(&self.state) };
        if state.gone {
            return true;
        }
        if self.arrivals.is_open() {
            state.fetch(&self.arrivals, false);
            if self.can_wait() {
                state.serve_alone(self);
            }
        }
        let ttl = match (self.rules.message_ttl, expiration) {
            (Some(queue), Some(message)) => Some(queue.min(message)),
            (queue, message) => queue.or(message),
        };
        if self.rules.overflow != Overflow::DropHead && state.would_overflow(&self.rules, &parcel) {
            if self.rules.overflow == Overflow::RejectPublishDeadLetter {
                self.bury(core, parcel, Reason::MaxLength);
            }
            return false;
        }
        state.last_number += 1;
        let expires = ttl.map_or(NEVER, |ttl| core.clock.now().saturating_add(ttl).min(NEVER - 1));
        let mut entry = Entry::new(parcel, expires, state.last_number);
        if state.ready.is_empty() {
            match state.offer(self, entry) {
                None => return true,
                Some(back) => entry = back,
            }
        }
        let classic = self.rules.kind == Kind::Classic;
        if classic && self.rules.message_ttl == Some(0) && self.rules.dead_letter_exchange.is_none()
        {
            return true;
        }
        state.ready.push(entry);
        if self.rules.is_plain() {
            self.arrivals.open();
        }
        let dropped = state.drop_head(self, core);
        // A classic queue looks whether its head has expired only if this made another message the head, as far as it can tell cheaply.
        let alone = state.ready.len() == 1;
        if !classic || ((dropped || alone) && !(dropped && alone && expires == NEVER)) {
            state.expire_head(self, core);
        }
        true
    }

    /// Takes the message at the head out, for `channel`.
    pub(crate) fn get(
        self: &Arc<Queue>,
        core: &Arc<Core>,
        channel: &Channel,
        manual: bool,
    ) -> Result<Option<Delivery>> {
        let mut state = self.used(core, self.lock())?;
        let Some(entry) = state.ready.pop() else { return Ok(None) };
        let shown = self.shown(&entry, true);
        match channel.hand_over(entry, shown, manual.then_some(self)) {
            Ok(delivery) => {
                state.unacked += usize::from(manual);
                state.has_ready(self);
                state.expire_head(self, core);
                self.note(core, &state);
                Ok(Some(delivery))
            }
            Err(returned) => {
                let (entry, failure) = *returned;
                state.ready.put_back_one(entry);
                Err(failure)
            }
        }
    }

    /// How many messages are ready, and how many consumers there are.
    pub(crate) fn counts(self: &Arc<Queue>, core: &Arc<Core>) -> Result<(usize, usize)> {
        let state = self.used(core, self.lock())?;
        Ok((state.ready.len(), state.consumers.len()))
    }

    /// Locks it, with all in it that has arrived, and with all acknowledgements.
    fn lock(self: &Arc<Queue>) -> MutexGuard<'_, QueueState> {
        let mut state = lock(&self.state);
        state.fetch(&self.arrivals, false);
        if self.can_wait() {
            state.collect(self);
        }
        state
    }

    /// Locks it to change something about its consumers or the kind of its messages: until that is done, acknowledgements are told at once.
    fn lock_exactly(self: &Arc<Queue>) -> MutexGuard<'_, QueueState> {
        let mut state = lock(&self.state);
        state.fetch(&self.arrivals, false);
        if self.can_wait.swap(false, Ordering::AcqRel) {
            state.collect(self);
        }
        state
    }

    /// Whether it can wait to be told of acknowledgements: nobody but its only consumer could see the difference.
    pub(crate) fn can_wait(&self) -> bool {
        self.can_wait.load(Ordering::Acquire)
    }

    /// Finds out whether it [`can_wait`](Queue::can_wait) now.
    fn review(&self, state: &QueueState) {
        let can_wait = !state.gone
            && self.rules.is_plain()
            && !state.ready.has_expiring()
            && state.consumers.len() == 1;
        self.can_wait.store(can_wait, Ordering::Release);
    }

    /// Takes in what it has not looked at yet, and serves its only consumer.
    pub(crate) fn collect(self: &Arc<Queue>) {
        drop(self.lock());
    }

    /// Notes a use that keeps it from expiring.
    fn used<'a>(
        &self,
        core: &Core,
        mut state: MutexGuard<'a, QueueState>,
    ) -> Result<MutexGuard<'a, QueueState>> {
        if state.gone {
            return Err(refusal::no_queue(&self.name));
        }
        if self.rules.expires.is_some() {
            state.last_used = core.clock.now();
        }
        Ok(state)
    }

    /// Adds a consumer, and serves it.
    pub(crate) fn add_consumer(
        self: &Arc<Queue>,
        core: &Arc<Core>,
        consumer: Consumer,
    ) -> Result<ConsumerKey> {
        let mut state = self.used(core, self.lock_exactly())?;
        if !state.consumers.admits(consumer.exclusive) {
            self.review(&state);
            return Err(refusal::exclusive_use(&self.name));
        }
        let key = state.consumers.add(consumer);
        self.review(&state);
        state.serve(self, core);
        self.note(core, &state);
        Ok(key)
    }

    /// Takes a consumer out; its deliveries stay with its channel.
    pub(crate) fn remove_consumer(self: &Arc<Queue>, core: &Arc<Core>, key: ConsumerKey) -> Fate {
        let mut state = self.lock_exactly();
        if state.gone || state.consumers.remove(key).is_none() {
            self.review(&state);
            return Fate::Stays;
        }
        self.after_departure(core, state)
    }

    /// Takes the consumers of a dead channel out, and its unsettled messages, in the order of their delivery, back in.
    pub(crate) fn channel_died(
        self: &Arc<Queue>,
        core: &Arc<Core>,
        consumers: &[Departed],
        unacked: Vec<Unacked>,
    ) -> Fate {
        let mut state = self.lock_exactly();
        if state.gone {
            return Fate::Stays;
        }
        let departed = consumers
            .iter()
            .filter(|departed| state.consumers.remove(departed.key).is_some())
            .count()
            > 0;
        state.unacked -=
            unacked.len() + consumers.iter().map(|departed| departed.owed as usize).sum::<usize>();
        if departed && self.auto_delete && state.consumers.is_empty() {
            self.leave(&mut state);
            return Fate::Goes;
        }
        state.put_back(self, core, unacked, false);
        if departed {
            return self.after_departure(core, state);
        }
        self.review(&state);
        Fate::Stays
    }

    fn after_departure(
        self: &Arc<Queue>,
        core: &Arc<Core>,
        mut state: MutexGuard<'_, QueueState>,
    ) -> Fate {
        if self.auto_delete && state.consumers.is_empty() {
            self.leave(&mut state);
            return Fate::Goes;
        }
        if self.rules.expires.is_some() {
            state.last_used = core.clock.now();
            state.arm(self, core);
        }
        self.review(&state);
        state.serve(self, core);
        self.note(core, &state);
        Fate::Stays
    }

    /// Takes note of one delivery's acknowledgement; what was delivered is the caller's to drop.
    ///
    /// With `others`, there are more that it has not been told of.
    pub(crate) fn acknowledge(
        self: &Arc<Queue>,
        core: &Arc<Core>,
        consumer: ConsumerKey,
        others: bool,
    ) {
        let mut state = lock(&self.state);
        if state.gone {
            return;
        }
        state.unacked -= 1;
        state.consumers.restore(consumer, 1);
        if others && self.can_wait() {
            state.collect(self);
        }
        state.consumers.unblock();
        state.serve(self, core);
        self.note(core, &state);
    }

    /// Settles deliveries of this queue that one channel gave out.
    pub(crate) fn settle(
        self: &Arc<Queue>,
        core: &Arc<Core>,
        deliveries: impl IntoIterator<Item = Unacked>,
        settlement: Settlement,
    ) {
        let mut state = self.lock_exactly();
        if state.gone {
            return;
        }
        let mut back = Vec::new();
        let mut discarded = Vec::new();
        for unacked in deliveries {
            state.unacked -= 1;
            state.consumers.restore(unacked.consumer, 1);
            match settlement {
                Settlement::Ack => {}
                Settlement::Discard if self.rules.dead_letter_exchange.is_some() => {
                    discarded.push(unacked.entry)
                }
                Settlement::Discard => {}
                Settlement::Requeue => {
                    state.unacked += 1;
                    back.push(unacked);
                }
            }
        }
        state.ready.sort_by_precedence(&mut discarded);
        discarded.into_iter().for_each(|entry| self.bury(core, entry.parcel, Reason::Rejected));
        state.consumers.unblock();
        if back.is_empty() {
            state.serve(self, core);
        } else {
            state.unacked -= back.len();
            state.put_back(self, core, back, true);
        }
        self.review(&state);
        self.note(core, &state);
    }

    /// Drops the ready messages; how many there were.
    pub(crate) fn purge(self: &Arc<Queue>, core: &Arc<Core>) -> Result<usize> {
        let mut state = self.lock();
        if state.gone {
            return Err(refusal::no_queue(&self.name));
        }
        let count = state.ready.clear();
        state.has_ready(self);
        self.note(core, &state);
        Ok(count)
    }

    /// Marks it as deleted, if `condition` holds; it is to be taken out of the topology. `None` if it was deleted before.
    pub(crate) fn delete(self: &Arc<Queue>, condition: DeleteIf) -> Result<Option<Estate>> {
        let mut state = self.lock();
        if state.gone {
            return Ok(None);
        }
        if let (Kind::Quorum { .. }, true) = (self.rules.kind, condition != DeleteIf::ALWAYS) {
            return Err(refusal::conditional_delete(&self.name, condition));
        }
        if condition.if_unused && !state.consumers.is_empty() {
            return Err(refusal::precondition(format_args!(
                "queue '{}' in vhost '/' in use",
                self.name
            )));
        }
        if condition.if_empty && !state.ready.is_empty() {
            return Err(refusal::precondition(format_args!(
                "queue '{}' in vhost '/' not empty",
                self.name
            )));
        }
        Ok(Some(self.leave(&mut state)))
    }

    /// Does what a timer was set for.
    pub(crate) fn fire(self: &Arc<Queue>, core: &Arc<Core>, due: u64) -> Fate {
        let mut state = self.lock();
        if state.gone || due != state.timer {
            return Fate::Stays;
        }
        state.timer = NEVER;
        let now = core.clock.now();
        state.expire_head(self, core);
        let expired = self
            .rules
            .expires
            .is_some_and(|expires| state.last_used.saturating_add(expires) <= now);
        if expired && state.consumers.is_empty() {
            self.leave(&mut state);
            return Fate::Goes;
        }
        state.arm(self, core);
        self.note(core, &state);
        Fate::Stays
    }

    /// Sets the timer of a queue just made.
    pub(crate) fn start(self: &Arc<Queue>, core: &Arc<Core>) {
        if self.rules.expires.is_some() {
            self.lock().arm(self, core);
        }
    }

    /// What is in it, for whoever looks: ready messages, the number of unsettled ones, and the consumers with whether each is served.
    pub(crate) fn look<T>(
        self: &Arc<Queue>,
        view: impl FnOnce(&Ready, usize, &Consumers) -> T,
    ) -> T {
        let state = self.lock();
        view(&state.ready, state.unacked, &state.consumers)
    }

    /// What a receiver sees of a message, if that is not what was published: a quorum queue tells how often it came back, always with `got`,
    /// else once it has.
    pub(crate) fn shown(&self, entry: &Entry, got: bool) -> Option<Arc<Content>> {
        if self.rules.kind == Kind::Classic || !(got || entry.redelivered()) {
            return None;
        }
        let mut content = Content::clone(&entry.parcel.content);
        content.properties =
            content.properties.with_header("x-delivery-count", i64::from(entry.returns));
        Some(Arc::new(content))
    }

    fn leave(&self, state: &mut QueueState) -> Estate {
        state.gone = true;
        self.gone.store(true, Ordering::Release);
        self.can_wait.store(false, Ordering::Release);
        state.unacked = 0;
        let mut ready = state.ready.clear();
        while state.has_ready(self) {
            ready += state.ready.clear();
        }
        Estate { ready, consumers: state.consumers.clear() }
    }

    pub(crate) fn bury(self: &Arc<Queue>, core: &Core, parcel: Parcel, reason: Reason) {
        if self.rules.dead_letter_exchange.is_some() {
            core.outbox.push(DeadLetter { parcel, reason, queue: Arc::clone(self) });
        }
    }

    fn note(&self, core: &Core, state: &QueueState) {
        if state.ready.is_empty() && state.unacked == 0 {
            core.note_idle();
        }
    }
}
