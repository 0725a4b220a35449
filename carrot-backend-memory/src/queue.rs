//! One queue: order, unsettled messages, consumers, limits, time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use carrot_core::backend::{Condition, Delivery};
use carrot_core::{Headers, Overflow, Result};

use crate::arguments::Rules;
use crate::broker::Core;
use crate::channel::Channel;
use crate::clock::NEVER;
use crate::consumers::{Consumer, ConsumerKey, Consumers};
use crate::dead_letter::{DeadLetter, Reason};
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
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ready: Ready,
    unacked: usize,
    last_number: u64,
    consumers: Consumers,
    last_used: u64,
    /// When the earliest timer of this queue is due.
    timer: u64,
    gone: bool,
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
    pub(crate) fn new(id: u64, declared: &carrot_core::Queue, name: Arc<str>, owner: Option<u64>, rules: Rules, now: u64) -> Queue {
        let state = State {
            ready: Ready::new(rules.max_priority),
            unacked: 0,
            last_number: 0,
            consumers: Consumers::new(rules.single_active),
            last_used: now,
            timer: NEVER,
            gone: false,
        };
        Queue {
            id,
            name,
            durable: declared.durable && owner.is_none(),
            auto_delete: declared.auto_delete,
            owner,
            arguments: declared.arguments.clone(),
            rules,
            gone: AtomicBool::new(false),
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
        parcel: Parcel,
        expiration: Option<u64>,
        dead: &mut Vec<DeadLetter>,
    ) -> bool {
        let mut state = lock(&self.state);
        if state.gone {
            return true;
        }
        let ttl = match (self.rules.message_ttl, expiration) {
            (Some(queue), Some(message)) => Some(queue.min(message)),
            (queue, message) => queue.or(message),
        };
        let now = if ttl.is_some() || state.ready.has_expiring() { core.clock.now() } else { 0 };
        state.expire(self, core, now, dead);
        if self.rules.overflow != Overflow::DropHead && state.would_overflow(&self.rules, &parcel) {
            if self.rules.overflow == Overflow::RejectPublishDeadLetter {
                self.bury(core, parcel, Reason::MaxLength, dead);
            }
            return false;
        }
        state.last_number += 1;
        let expires = ttl.map_or(NEVER, |ttl| now.saturating_add(ttl).min(NEVER - 1));
        let mut entry = Entry::new(parcel, expires, state.last_number);
        if state.ready.is_empty() {
            match state.offer(self, entry) {
                None => return true,
                Some(back) => entry = back,
            }
        }
        state.ready.push(entry);
        state.drop_head(self, core, dead);
        if expires != NEVER {
            state.expire(self, core, now, dead);
            state.arm(self, core);
        }
        true
    }

    /// Takes the message at the head out, for `channel`.
    pub(crate) fn get(
        self: &Arc<Queue>,
        core: &Arc<Core>,
        channel: &Channel,
        manual: bool,
        dead: &mut Vec<DeadLetter>,
    ) -> Result<Option<Delivery>> {
        let mut state = self.used(core, dead)?;
        let Some(entry) = state.ready.pop() else { return Ok(None) };
        match channel.hand_over(entry, manual.then_some(self)) {
            Ok(delivery) => {
                state.unacked += usize::from(manual);
                state.arm(self, core);
                self.note(core, &state);
                Ok(Some(delivery))
            }
            Err((entry, failure)) => {
                state.ready.put_back_one(entry);
                Err(failure)
            }
        }
    }

    /// How many messages are ready, and how many consumers there are.
    pub(crate) fn counts(self: &Arc<Queue>, core: &Arc<Core>, dead: &mut Vec<DeadLetter>) -> Result<(usize, usize)> {
        let state = self.used(core, dead)?;
        Ok((state.ready.len(), state.consumers.len()))
    }

    /// Locks it for a use that keeps it from expiring.
    fn used(self: &Arc<Queue>, core: &Arc<Core>, dead: &mut Vec<DeadLetter>) -> Result<std::sync::MutexGuard<'_, State>> {
        let mut state = lock(&self.state);
        if state.gone {
            return Err(refusal::no_queue(&self.name));
        }
        if self.rules.expires.is_some() || state.ready.has_expiring() {
            let now = core.clock.now();
            state.last_used = now;
            state.expire(self, core, now, dead);
        }
        Ok(state)
    }

    /// Adds a consumer, and serves it.
    pub(crate) fn add_consumer(self: &Arc<Queue>, core: &Arc<Core>, consumer: Consumer, dead: &mut Vec<DeadLetter>) -> Result<ConsumerKey> {
        let mut state = self.used(core, dead)?;
        if !state.consumers.admits(consumer.exclusive) {
            return Err(refusal::exclusive_use(&self.name));
        }
        let key = state.consumers.add(consumer);
        state.serve(self, core, dead);
        self.note(core, &state);
        Ok(key)
    }

    /// Takes a consumer out; its deliveries stay with its channel.
    pub(crate) fn remove_consumer(self: &Arc<Queue>, core: &Arc<Core>, key: ConsumerKey, dead: &mut Vec<DeadLetter>) -> Fate {
        let mut state = lock(&self.state);
        if state.gone || state.consumers.remove(key).is_none() {
            return Fate::Stays;
        }
        self.after_departure(core, state, dead)
    }

    /// Takes the consumers of a dead channel out, and its unsettled messages, in the order of their delivery, back in.
    pub(crate) fn channel_died(
        self: &Arc<Queue>,
        core: &Arc<Core>,
        consumers: &[ConsumerKey],
        unacked: Vec<Unacked>,
        dead: &mut Vec<DeadLetter>,
    ) -> Fate {
        let mut state = lock(&self.state);
        if state.gone {
            return Fate::Stays;
        }
        let departed = consumers.iter().filter(|key| state.consumers.remove(**key).is_some()).count() > 0;
        state.unacked -= unacked.len();
        if departed && self.auto_delete && state.consumers.is_empty() {
            self.leave(&mut state);
            return Fate::Goes;
        }
        state.put_back(self, core, unacked, dead);
        if departed { self.after_departure(core, state, dead) } else { Fate::Stays }
    }

    fn after_departure(
        self: &Arc<Queue>,
        core: &Arc<Core>,
        mut state: std::sync::MutexGuard<'_, State>,
        dead: &mut Vec<DeadLetter>,
    ) -> Fate {
        if self.auto_delete && state.consumers.is_empty() {
            self.leave(&mut state);
            return Fate::Goes;
        }
        if self.rules.expires.is_some() {
            state.last_used = core.clock.now();
            state.arm(self, core);
        }
        state.serve(self, core, dead);
        self.note(core, &state);
        Fate::Stays
    }

    /// Settles deliveries of this queue that one channel gave out.
    pub(crate) fn settle(
        self: &Arc<Queue>,
        core: &Arc<Core>,
        deliveries: impl IntoIterator<Item = Unacked>,
        settlement: Settlement,
        dead: &mut Vec<DeadLetter>,
    ) {
        let mut state = lock(&self.state);
        if state.gone {
            return;
        }
        let mut back = Vec::new();
        for unacked in deliveries {
            state.unacked -= 1;
            state.consumers.restore(unacked.consumer);
            match settlement {
                Settlement::Ack => {}
                Settlement::Discard => self.bury(core, unacked.entry.parcel, Reason::Rejected, dead),
                Settlement::Requeue => {
                    state.unacked += 1;
                    back.push(unacked);
                }
            }
        }
        state.consumers.unblock();
        if back.is_empty() {
            state.serve(self, core, dead);
        } else {
            state.unacked -= back.len();
            state.put_back(self, core, back, dead);
        }
        self.note(core, &state);
    }

    /// Drops the ready messages; how many there were.
    pub(crate) fn purge(self: &Arc<Queue>, core: &Arc<Core>, dead: &mut Vec<DeadLetter>) -> Result<usize> {
        let mut state = lock(&self.state);
        if state.gone {
            return Err(refusal::no_queue(&self.name));
        }
        state.expire_now(self, core, dead);
        let count = state.ready.clear();
        self.note(core, &state);
        Ok(count)
    }

    /// Marks it as deleted, if `condition` holds; it is to be taken out of the topology. `None` if it was deleted before.
    pub(crate) fn delete(self: &Arc<Queue>, core: &Arc<Core>, condition: Condition, dead: &mut Vec<DeadLetter>) -> Result<Option<Estate>> {
        let mut state = lock(&self.state);
        if state.gone {
            return Ok(None);
        }
        state.expire_now(self, core, dead);
        if condition.if_unused && !state.consumers.is_empty() {
            return Err(refusal::precondition(format_args!("queue '{}' in vhost '/' in use", self.name)));
        }
        if condition.if_empty && !state.ready.is_empty() {
            return Err(refusal::precondition(format_args!("queue '{}' in vhost '/' not empty", self.name)));
        }
        Ok(Some(self.leave(&mut state)))
    }

    /// Does what a timer was set for.
    pub(crate) fn fire(self: &Arc<Queue>, core: &Arc<Core>, due: u64, dead: &mut Vec<DeadLetter>) -> Fate {
        let mut state = lock(&self.state);
        if state.gone || due != state.timer {
            return Fate::Stays;
        }
        state.timer = NEVER;
        let now = core.clock.now();
        state.expire(self, core, now, dead);
        let expired = self.rules.expires.is_some_and(|expires| state.last_used.saturating_add(expires) <= now);
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
            lock(&self.state).arm(self, core);
        }
    }

    /// What is in it, for whoever looks: ready messages, the number of unsettled ones, and the consumers with whether each is served.
    pub(crate) fn look<T>(
        self: &Arc<Queue>,
        core: &Arc<Core>,
        dead: &mut Vec<DeadLetter>,
        view: impl FnOnce(&Ready, usize, &Consumers) -> T,
    ) -> T {
        let mut state = lock(&self.state);
        if !state.gone {
            state.expire_now(self, core, dead);
        }
        view(&state.ready, state.unacked, &state.consumers)
    }

    fn leave(&self, state: &mut State) -> Estate {
        state.gone = true;
        self.gone.store(true, Ordering::Release);
        state.unacked = 0;
        Estate { ready: state.ready.clear(), consumers: state.consumers.clear() }
    }

    fn bury(self: &Arc<Queue>, core: &Core, parcel: Parcel, reason: Reason, dead: &mut Vec<DeadLetter>) {
        if self.rules.dead_letter_exchange.is_some() {
            core.dead_letter_pending();
            dead.push(DeadLetter { parcel, reason, queue: Arc::clone(self) });
        }
    }

    fn note(&self, core: &Core, state: &State) {
        if state.ready.is_empty() && state.unacked == 0 {
            core.note_idle();
        }
    }
}

impl State {
    /// Offers a message to whoever is next; gives it back if nobody has room.
    fn offer(&mut self, queue: &Arc<Queue>, mut entry: Entry) -> Option<Entry> {
        while let Some(key) = self.consumers.next() {
            let Some(consumer) = self.consumers.get(key) else { return Some(entry) };
            let manual = consumer.manual;
            match consumer.channel.deliver(consumer.stream, entry, manual.then_some((queue, key))) {
                Ok(()) => {
                    self.unacked += usize::from(manual);
                    self.consumers.served(key);
                    return None;
                }
                Err(back) => entry = back,
            }
            if !self.consumers.skip(key) {
                break;
            }
        }
        Some(entry)
    }

    /// Serves consumers as long as there are messages and room.
    fn serve(&mut self, queue: &Arc<Queue>, core: &Arc<Core>, dead: &mut Vec<DeadLetter>) {
        if self.ready.is_empty() || self.consumers.is_empty() {
            return;
        }
        let now = if self.ready.has_expiring() { core.clock.now() } else { 0 };
        while self.consumers.next().is_some() {
            self.expire(queue, core, now, dead);
            let Some(entry) = self.ready.pop() else { break };
            if let Some(back) = self.offer(queue, entry) {
                self.ready.put_back_one(back);
                break;
            }
        }
        self.arm(queue, core);
    }

    /// Puts messages back to their old places, marked as redelivered, and serves consumers.
    fn put_back(&mut self, queue: &Arc<Queue>, core: &Arc<Core>, unacked: Vec<Unacked>, dead: &mut Vec<DeadLetter>) {
        let entries = unacked.into_iter().map(|unacked| {
            let mut entry = unacked.entry;
            entry.mark_redelivered();
            entry
        });
        self.ready.put_back(entries.collect());
        self.drop_head(queue, core, dead);
        self.expire_now(queue, core, dead);
        self.serve(queue, core, dead);
        self.arm(queue, core);
    }

    fn would_overflow(&self, rules: &Rules, parcel: &Parcel) -> bool {
        let size = parcel.content.body.len() as u64;
        rules.max_length.is_some_and(|most| self.ready.len() as u64 + 1 > most)
            || rules.max_bytes.is_some_and(|most| self.ready.bytes() + size > most)
    }

    fn drop_head(&mut self, queue: &Arc<Queue>, core: &Core, dead: &mut Vec<DeadLetter>) {
        let rules = &queue.rules;
        if rules.overflow != Overflow::DropHead || !rules.limits_length() {
            return;
        }
        while rules.max_length.is_some_and(|most| self.ready.len() as u64 > most)
            || rules.max_bytes.is_some_and(|most| self.ready.bytes() > most)
        {
            let Some(entry) = self.ready.pop() else { return };
            queue.bury(core, entry.parcel, Reason::MaxLength, dead);
        }
    }

    fn expire_now(&mut self, queue: &Arc<Queue>, core: &Core, dead: &mut Vec<DeadLetter>) {
        if self.ready.has_expiring() {
            self.expire(queue, core, core.clock.now(), dead);
        }
    }

    /// Drops what has expired from the head; what has expired behind a message that has not stays.
    fn expire(&mut self, queue: &Arc<Queue>, core: &Core, now: u64, dead: &mut Vec<DeadLetter>) {
        while self.ready.has_expiring() && self.ready.head().is_some_and(|head| head.expires <= now) {
            let Some(entry) = self.ready.pop() else { return };
            queue.bury(core, entry.parcel, Reason::Expired, dead);
        }
    }

    /// Sets a timer for what happens next, unless one is set for that time or before.
    fn arm(&mut self, queue: &Arc<Queue>, core: &Arc<Core>) {
        let mut due = match self.ready.has_expiring() {
            true => self.ready.head().map_or(NEVER, |head| head.expires),
            false => NEVER,
        };
        if let Some(expires) = queue.rules.expires
            && self.consumers.is_empty()
        {
            due = due.min(self.last_used.saturating_add(expires));
        }
        if due < self.timer {
            self.timer = due;
            core.timers.schedule(due, queue, core);
        }
    }
}
