//! The deliveries of one subscription, as the contract requires them.

use std::collections::HashSet;
use std::sync::{Arc, Condvar};
use std::time::Duration;

use carrot_core::backend::{ArrivedDeliveries, Delivery, Subscription};
use carrot_core::{Error, Result};
use carrot_link::CallDeadline;
use carrot_listener::wait_until;

use crate::channel::channel_core::{ChannelCore, SessionState};
use crate::channel::channel_guard::ChannelGuard;
use crate::channel::consuming::StartedSubscription;
use crate::channel::fetching::DeliveryOrigin;
use crate::channel::inbox::{SlotArrival, SlotInbox, body_bytes};
use crate::connection::linked_channel::Arrival;
use crate::wire::destination::WireDestination;
use crate::wire::setup_commands::RemoveInfo;

/// The deliveries of one subscription.
#[derive(Debug)]
pub(crate) struct ActiveMqSubscription {
    channel: Arc<ChannelGuard>,
    number: i64,
    changed: Arc<Condvar>,
}

impl ActiveMqSubscription {
    pub(crate) fn new(
        channel: Arc<ChannelGuard>,
        started: StartedSubscription,
    ) -> ActiveMqSubscription {
        ActiveMqSubscription { channel, number: started.number, changed: started.changed }
    }

    /// Waits for the next message.
    fn wait(&self, timeout: Duration) -> Result<Option<TakenArrival>> {
        let deadline = CallDeadline::after(timeout);
        let mut state = self.channel.lock();
        loop {
            state.check()?;
            let Some(inbox) = state.inboxes.get_mut(&self.number) else {
                return Err(Error::closed("subscription"));
            };
            if let Some(arrival) = inbox.pop() {
                let destination = Arc::clone(&inbox.destination);
                let (is_manual, is_gone) = (inbox.is_manual, inbox.is_gone);
                return Ok(Some(self.taken(&mut state, arrival, destination, is_manual, is_gone)));
            }
            if let Some(ended) = &inbox.ended {
                return Err(ended.clone());
            }
            if timeout.is_zero() {
                return Ok(None);
            }
            let passed;
            (state, passed) = wait_until(&self.changed, state, deadline.at());
            if passed {
                return Ok(None);
            }
        }
    }
}

impl ActiveMqSubscription {
    /// Notes a message that leaves the inbox, under the lock that it leaves under: its slot is
    /// neither empty nor without an owner in between.
    fn taken(
        &self,
        state: &mut SessionState,
        arrival: SlotArrival,
        destination: Arc<WireDestination>,
        is_manual: bool,
        is_gone: bool,
    ) -> TakenArrival {
        let SlotArrival { slot, arrival, is_owed } = arrival;
        if is_owed && let Some(message) = &arrival.message.id {
            self.channel.link.send(self.channel.acknowledge(slot, &destination, message));
        }
        let origin = DeliveryOrigin {
            slot,
            subscription: Some(self.number),
            destination: Arc::clone(&destination),
            is_gone,
        };
        let tag = state.tag_taken(origin, &arrival, is_manual);
        TakenArrival { tag, arrival, destination }
    }
}

/// A message that `next` returns, with its tag.
struct TakenArrival {
    tag: u64,
    arrival: Arrival,
    destination: Arc<WireDestination>,
}

impl Subscription for ActiveMqSubscription {
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>> {
        let Some(taken) = self.wait(timeout)? else { return Ok(None) };
        let TakenArrival { tag, arrival, destination } = taken;
        self.channel.read_delivery(tag, &destination, arrival).map(Some)
    }

    fn arrived(&self) -> ArrivedDeliveries {
        let state = self.channel.lock();
        let arrivals =
            state.inboxes.get(&self.number).into_iter().flat_map(|inbox| &inbox.arrivals);
        let sizes = arrivals.map(|arrival| usize::try_from(body_bytes(arrival)).unwrap_or(0));
        ArrivedDeliveries::of_sizes(sizes)
    }

    fn cancel(&self, timeout: Duration) -> Result<()> {
        self.channel.cancel(self.number, CallDeadline::after(timeout))
    }
}

impl Drop for ActiveMqSubscription {
    fn drop(&mut self) {
        self.channel.drop_subscription(self.number);
    }
}

impl SessionState {
    /// Takes the slots of a stopped subscription that will be removed: all but those whose message
    /// a caller has or is about to have, and, unless `all`, those whose message waits.
    fn take_slots(&mut self, subscription: i64, all: bool) -> Vec<i64> {
        let mut kept: HashSet<i64> = self.unsettled().map(|message| message.slot).collect();
        let SessionState { inboxes, slots, .. } = self;
        let Some(inbox) = inboxes.get_mut(&subscription) else { return Vec::new() };
        if !all && inbox.is_manual {
            kept.extend(inbox.arrivals.iter().map(|arrival| arrival.slot));
        }
        // Messages return in order. Those under way are later ones, and fill the slots in order.
        let mut taken: Vec<i64> = inbox.arrivals.iter().map(|arrival| arrival.slot).collect();
        let mut others: Vec<i64> = inbox.slots.iter().copied().collect();
        others.sort_unstable();
        taken.append(&mut others);
        let mut seen = HashSet::new();
        taken.retain(|slot| !kept.contains(slot) && seen.insert(*slot));
        for slot in &taken {
            inbox.slots.remove(slot);
            slots.remove(slot);
        }
        taken
    }
}

impl ChannelCore {
    /// Ends a subscription, and removes its empty slots at the broker.
    fn cancel(&self, subscription: i64, deadline: CallDeadline) -> Result<()> {
        {
            let mut state = self.lock();
            state.check()?;
            let inbox = state.inboxes.get_mut(&subscription);
            let Some(inbox) = inbox.filter(|inbox| inbox.ended.is_none()) else { return Ok(()) };
            inbox.end("the program stopped the consumer");
            self.pay_owed(inbox);
            self.stop_slots(inbox);
        }
        // A message under way to a slot that seems empty would return before earlier ones.
        self.flush("cancel", deadline)?;
        let slots = self.lock().take_slots(subscription, false);
        self.remove_slots(&slots, Some(deadline))
    }

    /// Stops deliveries to the slots of a subscription, which otherwise receive the messages that
    /// other slots return.
    pub(crate) fn stop_slots(&self, inbox: &SlotInbox) {
        for slot in inbox.slots.iter().filter(|_| inbox.is_manual) {
            self.link.send(self.stop_slot(*slot, &inbox.destination));
        }
    }

    /// Ends a subscription that the broker has cancelled at one slot, and removes its other empty
    /// slots without waiting.
    pub(crate) fn end_cancelled(&self, state: &mut SessionState, subscription: i64) {
        let Some(inbox) = state.inboxes.get_mut(&subscription) else { return };
        if !inbox.end("the broker cancelled the consumer") {
            return;
        }
        self.pay_owed(inbox);
        self.stop_slots(inbox);
        let slots = state.take_slots(subscription, false);
        // Without an answer, nothing can fail.
        let _ = self.remove_slots(&slots, None);
    }

    /// Acknowledges what has arrived for a subscription with automatic acknowledgement.
    fn pay_owed(&self, inbox: &mut SlotInbox) {
        for arrival in inbox.arrivals.iter_mut().filter(|arrival| arrival.is_owed) {
            arrival.is_owed = false;
            if let Some(message) = &arrival.arrival.message.id {
                self.link.send(self.acknowledge(arrival.slot, &inbox.destination, message));
            }
        }
    }

    /// Removes the consumers of a queue that is about to be deleted. What has arrived stays.
    pub(crate) fn leave_queue(&self, queue: &WireDestination) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let mut left = Vec::new();
        for inbox in state.inboxes.values_mut().filter(|inbox| *inbox.destination == *queue) {
            inbox.end("the queue was deleted");
            inbox.is_gone = true;
            inbox.arrivals.iter_mut().for_each(|arrival| arrival.is_owed = false);
            left.extend(inbox.slots.drain());
        }
        for message in state.unsettled_mut().filter(|message| *message.destination == *queue) {
            message.is_gone = true;
            left.push(message.slot);
        }
        left.sort_unstable();
        left.dedup();
        for slot in left {
            state.slots.remove(&slot);
            self.link.forget_consumer(slot);
            self.link.send(self.remove_slot(slot, RemoveInfo::DELIVERED));
        }
    }

    /// Removes slots. With a deadline, waits for the answer to the last one.
    fn remove_slots(&self, slots: &[i64], deadline: Option<CallDeadline>) -> Result<()> {
        for (index, slot) in slots.iter().enumerate() {
            self.link.forget_consumer(*slot);
            let removal = self.remove_slot(*slot, RemoveInfo::NOT_DELIVERED);
            match deadline {
                Some(deadline) if index + 1 == slots.len() => {
                    self.command("cancel", removal, deadline)?;
                }
                _ => self.link.send(removal),
            }
        }
        Ok(())
    }

    /// Removes a subscription. What no caller has received returns to the queue, unless it was
    /// acknowledged automatically.
    pub(crate) fn drop_subscription(&self, subscription: i64) {
        let slots = {
            let mut state = self.lock();
            if let Some(inbox) = state.inboxes.get(&subscription).filter(|inbox| !inbox.is_gone) {
                self.stop_slots(inbox);
            }
            let slots = state.take_slots(subscription, true);
            state.inboxes.remove(&subscription);
            slots
        };
        // Without an answer, nothing can fail.
        let _ = self.remove_slots(&slots, None);
    }
}
