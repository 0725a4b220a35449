//! What changes of a queue, under its lock: who is served, what comes back, what is dropped.

use std::sync::Arc;

use carrot_core::Overflow;

use crate::arguments::{Kind, Rules};
use crate::arrivals::Arrivals;
use crate::broker::Core;
use crate::clock::NEVER;
use crate::consumers::Consumers;
use crate::dead_letter::Reason;
use crate::queue::Queue;
use crate::ready::{Entry, Parcel, Precedence, Ready};
use crate::unacked::Unacked;

/// What changes of a queue. Every method is to be followed by sending dead letters on, once the lock is released.
#[derive(Debug)]
pub(crate) struct QueueState {
    pub(crate) ready: Ready,
    pub(crate) unacked: usize,
    pub(crate) last_number: u64,
    pub(crate) consumers: Consumers,
    pub(crate) last_used: u64,
    /// When the earliest timer of this queue is due.
    pub(crate) timer: u64,
    pub(crate) gone: bool,
    /// Room for what arrives; empty.
    fetched: Vec<Parcel>,
}

impl QueueState {
    pub(crate) fn new(rules: &Rules, now: u64) -> QueueState {
        QueueState {
            ready: Ready::new(match (rules.kind, rules.max_priority) {
                (Kind::Quorum { .. }, _) => Precedence::First,
                (Kind::Classic, Some(highest)) => Precedence::Priority(highest),
                (Kind::Classic, None) => Precedence::None,
            }),
            unacked: 0,
            last_number: 0,
            consumers: Consumers::new(rules.single_active),
            last_used: now,
            timer: NEVER,
            gone: false,
            fetched: Vec::new(),
        }
    }

    /// Takes in what has arrived. To be asked whenever `ready` may have become empty, since it says to publishers whether it has.
    pub(crate) fn has_ready(&mut self, queue: &Queue) -> bool {
        if self.ready.is_empty() {
            self.fetch(&queue.arrivals, true);
        }
        !self.ready.is_empty()
    }

    /// Takes in what has arrived; if that is nothing, and `last` says so, nothing more arrives but through the lock.
    pub(crate) fn fetch(&mut self, arrivals: &Arrivals, last: bool) {
        if !arrivals.is_open() {
            return;
        }
        arrivals.fetch(&mut self.fetched, last);
        for parcel in self.fetched.drain(..) {
            self.last_number += 1;
            self.ready.push(Entry::new(parcel, NEVER, self.last_number));
        }
    }

    /// Offers a message to whoever is next; gives it back if nobody has room.
    pub(crate) fn offer(&mut self, queue: &Arc<Queue>, mut entry: Entry) -> Option<Entry> {
        while let Some(key) = self.consumers.next() {
            let Some(consumer) = self.consumers.get(key) else { return Some(entry) };
            let manual = consumer.manual;
            let shown = queue.shown(&entry, false);
            match consumer.channel.deliver(
                consumer.stream,
                entry,
                shown,
                manual.then_some((queue, key)),
            ) {
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
    pub(crate) fn serve(&mut self, queue: &Arc<Queue>, core: &Arc<Core>) {
        if self.consumers.is_empty() {
            return;
        }
        if queue.can_wait() {
            return self.serve_alone(queue);
        }
        // Whether a consumer has room is asked only when there is a message for it: who has none loses its place in the line.
        while self.has_ready(queue) && self.consumers.next().is_some() {
            let Some(entry) = self.ready.pop() else { break };
            if let Some(back) = self.offer(queue, entry) {
                self.ready.put_back_one(back);
                break;
            }
            self.expire_head(queue, core);
        }
    }

    /// Gives the only consumer room again for what it has acknowledged and not told of.
    pub(crate) fn collect(&mut self, queue: &Arc<Queue>) {
        let Some((key, consumer)) = self.consumers.alone() else { return };
        let owed = consumer.channel.collect(consumer.stream);
        self.unacked -= owed as usize;
        self.consumers.restore(key, owed);
        self.consumers.unblock();
        self.serve_alone(queue);
    }

    /// Serves the only consumer, if there is nothing but its room to mind.
    pub(crate) fn serve_alone(&mut self, queue: &Arc<Queue>) {
        let mut busy = false;
        loop {
            if self.ready.is_empty() {
                self.fetch(&queue.arrivals, !(busy && queue.can_wait()));
            }
            if self.ready.is_empty() {
                return;
            }
            // A message for which it has no room costs it its place in the line, should another come.
            let Some((key, consumer)) = self.consumers.next().and_then(|_| self.consumers.alone())
            else {
                return;
            };
            let (manual, most) = (consumer.manual, consumer.room());
            let ready = &mut self.ready;
            let delivered;
            (delivered, busy) = consumer.channel.deliver_all(
                consumer.stream,
                most,
                || ready.pop(),
                manual.then_some((queue, key)),
            );
            if delivered == 0 {
                return;
            }
            self.consumers.served_alone(key, delivered);
            self.unacked += if manual { delivered as usize } else { 0 };
        }
    }

    /// Puts messages back, marked as redelivered, and serves consumers: to their old places; in a quorum queue to the front in the order of
    /// their return, or to the end if they were `refused` and nothing limits how often that happens.
    pub(crate) fn put_back(
        &mut self,
        queue: &Arc<Queue>,
        core: &Arc<Core>,
        unacked: Vec<Unacked>,
        refused: bool,
    ) {
        let mut entries = Vec::with_capacity(unacked.len());
        for mut entry in unacked.into_iter().map(|unacked| unacked.entry) {
            entry.count_return();
            if let Kind::Quorum { delivery_limit } = queue.rules.kind {
                if delivery_limit.is_some_and(|limit| entry.returns > limit) {
                    queue.bury(core, entry.parcel, Reason::DeliveryLimit);
                    continue;
                }
                self.last_number += 1;
                entry.number = self.last_number;
                entry.first = delivery_limit.is_some() || !refused;
            }
            entries.push(entry);
        }
        self.ready.put_back(entries);
        self.drop_head(queue, core);
        self.expire_head(queue, core);
        self.serve(queue, core);
    }

    pub(crate) fn would_overflow(&self, rules: &Rules, parcel: &Parcel) -> bool {
        let size = parcel.content.body.len() as u64;
        rules.max_length.is_some_and(|most| self.ready.len() as u64 + 1 > most)
            || rules.max_bytes.is_some_and(|most| self.ready.bytes() + size > most)
    }

    /// Drops what exceeds the limits; whether there was any such.
    pub(crate) fn drop_head(&mut self, queue: &Arc<Queue>, core: &Core) -> bool {
        let rules = &queue.rules;
        if rules.overflow != Overflow::DropHead || !rules.limits_length() {
            return false;
        }
        let mut dropped = false;
        while rules.max_length.is_some_and(|most| self.ready.len() as u64 > most)
            || rules.max_bytes.is_some_and(|most| self.ready.bytes() > most)
        {
            let Some(entry) = self.ready.pop() else { break };
            queue.bury(core, entry.parcel, Reason::MaxLength);
            dropped = true;
        }
        dropped
    }

    /// Drops what has expired from the head, and sets a timer for the next; what has expired behind a message that has not stays.
    pub(crate) fn expire_head(&mut self, queue: &Arc<Queue>, core: &Arc<Core>) {
        if !self.ready.has_expiring() {
            return;
        }
        let now = core.clock.now();
        while self.ready.head().is_some_and(|head| head.expires <= now) {
            let Some(entry) = self.ready.pop() else { return };
            queue.bury(core, entry.parcel, Reason::Expired);
        }
        self.has_ready(queue);
        self.arm(queue, core);
    }

    /// Sets a timer for what happens next, unless one is set for that time or before.
    pub(crate) fn arm(&mut self, queue: &Arc<Queue>, core: &Arc<Core>) {
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
