//! One open channel, as the broker sees it.

pub(crate) mod confirms;
pub(crate) mod inbox;
pub(crate) mod inbox_sink;
pub(crate) mod output;
pub(crate) mod peer;
pub(crate) mod pending;
pub(crate) mod unacked;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use carrot_core::backend::{ArrivedDeliveries, Content, Delivery, DeliveryTag, Outcome};
use carrot_core::{Error, Result};

use crate::channel::confirms::ChannelConfirms;
use crate::channel::inbox::{PeerConsumer, SubscriptionInbox};
use crate::channel::output::ChannelOutput;
use crate::channel::pending::PendingSettlements;
use crate::channel::unacked::{UnackedByTag, UnackedDelivery};
use crate::errors;
use crate::queue::BrokerQueue;
use crate::queue::message::QueuedMessage;
use crate::queue::sink::{ConsumerKey, UnackedMessage};
use crate::sync::{Deadline, lock};

/// How often a thread that waits for a delivery lets other threads run before it sleeps. Waking a
/// thread takes longer than publishing a message.
const YIELDS: u32 = 8;

/// A channel: delivery tags, unsettled deliveries, inboxes of subscriptions, confirms, and the
/// first error.
#[derive(Debug)]
pub(crate) struct BrokerChannel {
    pub(crate) id: u64,
    is_confirming: AtomicBool,
    is_closed: AtomicBool,
    state: Mutex<BrokerChannelState>,
    /// Locked while a publication is handled, which keeps the order of one channel's
    /// publications.
    pub(crate) confirms: Mutex<ChannelConfirms>,
    confirmed: Condvar,
}

#[derive(Debug, Default)]
struct BrokerChannelState {
    failure: Option<Error>,
    last_tag: u64,
    unacked: UnackedByTag,
    /// Sorted by id.
    inboxes: Vec<SubscriptionInbox>,
    last_inbox: u64,
    last_queue: Option<Arc<str>>,
    reply_to: Option<Arc<str>>,
    /// The settlements of a transaction that is not committed.
    pending: PendingSettlements,
    /// The maximum number of unacknowledged deliveries of all consumers; `None` for no limit.
    prefetch: Option<usize>,
    /// Whether a message was not delivered for lack of room.
    lacked_room: bool,
    /// Whether deliveries wait until settlements are carried out, because the channel has a
    /// prefetch. Otherwise the queue of the settled delivery would always take the room.
    is_settling: bool,
    /// How often the queues of the consumers were served again after a lack of room.
    resumed: usize,
}

/// One thread's wait for a delivery.
struct DeliveryWait {
    timeout: Duration,
    /// Set when the thread first sleeps.
    deadline: Option<Deadline>,
    /// How often the thread let other threads run.
    yielded: u32,
}

/// The deliveries that a closed channel leaves to its queues.
#[derive(Debug)]
pub(crate) struct ClosedChannel {
    pub(crate) consumers: Vec<(Arc<BrokerQueue>, ConsumerKey)>,
    pub(crate) unacked: Vec<UnackedDelivery>,
    pub(crate) reply_to: Option<Arc<str>>,
    /// Whether a driver closes the channel, and not the broker. It rejects the deliveries first, so
    /// that none of them counts as failed.
    pub(crate) given_back: bool,
}

impl BrokerChannel {
    pub(crate) fn new(id: u64, is_confirming: bool) -> BrokerChannel {
        BrokerChannel {
            id,
            is_confirming: AtomicBool::new(is_confirming),
            is_closed: AtomicBool::new(false),
            state: Mutex::default(),
            confirms: Mutex::default(),
            confirmed: Condvar::new(),
        }
    }

    /// Creates a channel of a session, without confirms.
    pub(crate) fn for_peer(id: u64, output: Arc<dyn ChannelOutput>) -> BrokerChannel {
        let confirms = Mutex::new(ChannelConfirms::for_peer(output));
        BrokerChannel { confirms, ..BrokerChannel::new(id, false) }
    }

    /// Whether publications are confirmed.
    pub(crate) fn is_confirming(&self) -> bool {
        self.is_confirming.load(Ordering::Acquire)
    }

    /// Confirms publications from the next one on.
    pub(crate) fn select_confirms(&self) {
        let confirms = lock(&self.confirms);
        self.is_confirming.store(true, Ordering::Release);
        drop(confirms);
    }

    /// Fails with the channel's first error, if the channel is closed.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_closed.load(Ordering::Acquire) { self.failure() } else { Ok(()) }
    }

    #[cold]
    fn failure(&self) -> Result<()> {
        lock(&self.state).failure.clone().map_or(Ok(()), Err)
    }

    /// Closes the channel, or returns `None` if it was closed before. The caller holds no lock.
    pub(crate) fn fail(&self, error: Error) -> Option<ClosedChannel> {
        let mut state = lock(&self.state);
        if state.failure.is_some() {
            return None;
        }
        let given_back = matches!(error, Error::Closed { .. });
        state.failure = Some(error);
        self.is_closed.store(true, Ordering::Release);
        let pending = state.pending.take_all();
        state.unacked.restore(pending);
        let unacked = state.unacked.take_all();
        let consumers = state.inboxes.iter_mut().filter_map(SubscriptionInbox::close).collect();
        let reply_to = state.reply_to.take();
        drop(state);
        // A thread that checked the channel before now waits for its confirm, so the notification
        // reaches it.
        drop(lock(&self.confirms));
        self.confirmed.notify_all();
        Some(ClosedChannel { consumers, unacked, reply_to, given_back })
    }

    /// Wakes the threads that wait for a confirm.
    pub(crate) fn notify_confirmed(&self) {
        self.confirmed.notify_all();
    }

    /// Waits for the broker's answer to one publication.
    pub(crate) fn wait_for_confirm(&self, tag: u64, timeout: Duration) -> Result<Outcome> {
        let deadline = Deadline::after(timeout);
        let mut confirms = lock(&self.confirms);
        loop {
            if let Some(outcome) = confirms.take(tag) {
                return Ok(outcome);
            }
            if self.is_closed.load(Ordering::Acquire) {
                drop(confirms);
                self.check()?;
                return Err(Error::closed("channel"));
            }
            let passed;
            (confirms, passed) = deadline.wait(&self.confirmed, confirms);
            if passed {
                return Err(Error::timeout("confirm", timeout));
            }
        }
    }

    /// Returns a message that was fetched with `get` as a delivery. The caller of `get` sees
    /// `shown`, if present.
    ///
    /// With `queue`, the delivery must be settled. Calls `delivered` before any later delivery of
    /// the channel.
    ///
    /// # Errors
    /// The message and the channel's first error, if the channel is closed.
    pub(crate) fn deliver_fetched(
        &self,
        message: QueuedMessage,
        shown: Option<Arc<Content>>,
        queue: Option<&Arc<BrokerQueue>>,
        delivered: impl FnOnce(&Delivery),
    ) -> Result<Delivery, Box<(QueuedMessage, Error)>> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            let failure = failure.clone();
            return Err(Box::new((message, failure)));
        }
        let source = queue.map(|queue| (Arc::clone(queue), ConsumerKey::NONE));
        let delivery = state.deliver(message, shown, source);
        delivered(&delivery);
        Ok(delivery)
    }

    /// Puts a direct reply into an inbox, if that exists.
    ///
    /// The reply carries the tag of the next delivery. Unless it `uses_tag`, that delivery has the
    /// same tag.
    pub(crate) fn deliver_reply(&self, inbox: u64, content: Arc<Content>, uses_tag: bool) {
        let mut state = lock(&self.state);
        if state.failure.is_none()
            && let Some(index) = state.find(inbox)
        {
            let tag = DeliveryTag(state.last_tag + 1);
            state.last_tag += u64::from(uses_tag);
            let waiter = state.inboxes[index].add(Delivery::new(tag, content));
            drop(state);
            waiter.inspect(|arrived| arrived.notify_one());
        }
    }

    /// Takes a delivery out for settlement. Returns `None` for an unknown tag, over which the
    /// caller closes the channel.
    pub(crate) fn take(&self, tag: DeliveryTag) -> Result<Option<UnackedDelivery>> {
        let mut state = lock(&self.state);
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(state.unacked.take(tag.0)),
        }
    }

    /// Takes a delivery and all earlier ones out for settlement, as [`take`](BrokerChannel::take).
    ///
    /// Deliveries that still lie in an inbox stay: no consumer has seen them.
    pub(crate) fn take_up_to(
        &self,
        tag: DeliveryTag,
    ) -> Result<Option<Vec<(u64, UnackedDelivery)>>> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let mut unseen: Vec<u64> =
            state.inboxes.iter().flat_map(SubscriptionInbox::unseen).collect();
        unseen.sort_unstable();
        Ok(state.unacked.take_up_to(tag.0, &unseen))
    }

    /// Adds an inbox for the deliveries of a queue, or for direct replies if `queue` is `None`.
    ///
    /// With `peer`, the deliveries go there instead.
    pub(crate) fn open_inbox(
        &self,
        queue: Option<&Arc<BrokerQueue>>,
        peer: Option<PeerConsumer>,
    ) -> Result<(u64, Arc<Condvar>)> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.last_inbox += 1;
        let id = state.last_inbox;
        let arrived = Arc::new(Condvar::new());
        state.inboxes.push(SubscriptionInbox::new(id, queue.cloned(), Arc::clone(&arrived), peer));
        Ok((id, arrived))
    }

    /// Notes the consumer that fills an inbox.
    pub(crate) fn attach_consumer(&self, inbox: u64, consumer: ConsumerKey) -> Result<()> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        if let Some(index) = state.find(inbox) {
            state.inboxes[index].consumer = Some(consumer);
        }
        Ok(())
    }

    /// Ends a subscription. The deliveries in its inbox can still be taken.
    ///
    /// Returns the consumer that filled the inbox, unless the subscription had ended before.
    pub(crate) fn end_subscription(
        &self,
        inbox: u64,
        queue: &str,
        reason: &'static str,
    ) -> Option<(Arc<BrokerQueue>, ConsumerKey)> {
        let mut state = lock(&self.state);
        let index = state.find(inbox)?;
        let inbox = &mut state.inboxes[index];
        inbox
            .ended
            .get_or_insert_with(|| Error::Cancelled { queue: queue.into(), reason: reason.into() });
        inbox.arrived.notify_all();
        inbox.take_consumer()
    }

    /// Removes an inbox. Returns the deliveries that no thread took from it.
    pub(crate) fn remove_inbox(&self, inbox: u64) -> Vec<UnackedDelivery> {
        let mut state = lock(&self.state);
        let Some(index) = state.find(inbox) else { return Vec::new() };
        let inbox = state.inboxes.remove(index);
        inbox.unseen().filter_map(|tag| state.unacked.take(tag)).collect()
    }

    /// Waits for the next delivery of a subscription.
    pub(crate) fn next(
        &self,
        inbox: u64,
        arrived: &Condvar,
        timeout: Duration,
    ) -> Result<Option<Delivery>> {
        let mut wait = DeliveryWait { timeout, deadline: None, yielded: 0 };
        let mut state = lock(&self.state);
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            let Some(index) = state.find(inbox) else { return Err(Error::closed("subscription")) };
            let found = &mut state.inboxes[index];
            if let Some(delivery) = found.deliveries.pop_front() {
                let waiter = found.waiter();
                drop(state);
                waiter.inspect(|arrived| arrived.notify_one());
                return Ok(Some(delivery));
            }
            if let Some(ended) = &found.ended {
                return Err(ended.clone());
            }
            let passed;
            (state, passed) = self.wait_for_arrival(state, index, arrived, &mut wait);
            if passed {
                return Ok(None);
            }
        }
    }

    /// Returns the deliveries in an inbox.
    pub(crate) fn arrived(&self, inbox: u64) -> ArrivedDeliveries {
        let state = lock(&self.state);
        let found = state.find(inbox).and_then(|index| state.inboxes.get(index));
        let deliveries = found.into_iter().flat_map(|inbox| &inbox.deliveries);
        ArrivedDeliveries::of_sizes(deliveries.map(|delivery| delivery.content.body.len()))
    }

    /// Waits until something may have arrived in an inbox. Returns whether the timeout had passed
    /// before.
    fn wait_for_arrival<'a>(
        &'a self,
        mut state: MutexGuard<'a, BrokerChannelState>,
        index: usize,
        arrived: &Condvar,
        wait: &mut DeliveryWait,
    ) -> (MutexGuard<'a, BrokerChannelState>, bool) {
        if wait.timeout.is_zero() {
            return (state, true);
        }
        let found = &mut state.inboxes[index];
        let inbox = found.id;
        if wait.yielded < YIELDS && !found.searching {
            wait.yielded += 1;
            found.searching = true;
            drop(state);
            thread::yield_now();
            state = lock(&self.state);
            if let Some(index) = state.find(inbox) {
                state.inboxes[index].searching = false;
            }
            return (state, false);
        }
        found.waiting += 1;
        let passed;
        let deadline = *wait.deadline.get_or_insert_with(|| Deadline::after(wait.timeout));
        (state, passed) = deadline.wait(arrived, state);
        if let Some(index) = state.find(inbox) {
            state.inboxes[index].note_wake_up();
        }
        (state, passed)
    }

    /// Returns the queue that an empty name stands for: the one declared last on this channel.
    pub(crate) fn last_queue(&self) -> Result<Arc<str>> {
        let last = lock(&self.state).last_queue.clone();
        last.ok_or_else(|| Error::NotFound {
            reason: "NOT_FOUND - no previously declared queue".into(),
        })
    }

    pub(crate) fn set_last_queue(&self, name: &str) {
        let mut state = lock(&self.state);
        if state.last_queue.as_deref() != Some(name) {
            state.last_queue = Some(name.into());
        }
    }

    /// Returns the name to which direct replies for this channel are sent, if the channel consumes
    /// them.
    pub(crate) fn reply_to(&self) -> Option<Arc<str>> {
        lock(&self.state).reply_to.clone()
    }

    /// Sets or clears [`reply_to`](BrokerChannel::reply_to).
    pub(crate) fn set_reply_to(&self, name: Option<Arc<str>>) -> Result<()> {
        let mut state = lock(&self.state);
        if name.is_some() && state.reply_to.is_some() {
            return Err(errors::precondition("reply consumer already set"));
        }
        state.reply_to = name;
        Ok(())
    }

    /// Calls `each` with the unsettled deliveries, those of a transaction that is not committed
    /// included.
    pub(crate) fn each_unacked(&self, mut each: impl FnMut(DeliveryTag, &UnackedDelivery)) {
        let state = lock(&self.state);
        let unacked = state.unacked.iter().chain(state.pending.iter());
        unacked.for_each(|(tag, unacked)| each(DeliveryTag(tag), unacked));
    }
}

impl BrokerChannelState {
    fn find(&self, inbox: u64) -> Option<usize> {
        self.inboxes.binary_search_by_key(&inbox, |inbox| inbox.id).ok()
    }

    /// Whether a delivery to an inbox is possible now. A full prefetch of the channel stops all
    /// consumers but those of quorum queues, and counts only deliveries that must be settled.
    fn has_room(&self, index: usize) -> bool {
        let held = self.unacked.consumed() + self.pending.consumed();
        let is_full = self.is_settling || self.prefetch.is_some_and(|most| held >= most);
        let inbox = &self.inboxes[index];
        (!is_full || inbox.is_of_quorum_queue()) && inbox.has_room()
    }

    /// Creates a delivery of a message. With `source`, the delivery must be settled.
    fn deliver(
        &mut self,
        mut message: QueuedMessage,
        shown: Option<Arc<Content>>,
        source: Option<(Arc<BrokerQueue>, ConsumerKey)>,
    ) -> Delivery {
        self.last_tag += 1;
        let tag = self.last_tag;
        let redelivered = message.is_redelivered();
        let content = match source {
            Some((queue, consumer)) => {
                let content = shown.unwrap_or_else(|| message.message.reference());
                let delivery = UnackedMessage { consumer, message };
                self.unacked.push(tag, UnackedDelivery { queue, delivery });
                content
            }
            None => shown.unwrap_or(message.message.content),
        };
        Delivery::new(DeliveryTag(tag), content).with_redelivered(redelivered)
    }
}
