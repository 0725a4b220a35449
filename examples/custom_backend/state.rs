//! The queues, channels and consumers of the broker.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use carrot::backend::{
    Acknowledgement, ArrivedDeliveries, ConsumeOptions, Content, DeleteIf, Delivery, DeliveryTag,
    Extent, Outcome,
};
use carrot::{Error, Queue, Result};

#[derive(Debug, Default)]
pub(crate) struct State {
    queues: HashMap<String, ShelfQueue>,
    pub(crate) channels: HashMap<u64, Channel>,
    pub(crate) consumers: BTreeMap<u64, Consumer>,
    last_number: u64,
}

#[derive(Debug)]
struct ShelfQueue {
    /// Distinguishes the queue from a deleted queue of the same name.
    id: u64,
    durable: bool,
    /// Ready messages by their position. A requeued message returns to its old position.
    ready: BTreeMap<u64, Item>,
    /// The consumers, in the order of their turns. A consumer whose turn came while it had no room
    /// is missing.
    turns: VecDeque<u64>,
}

#[derive(Debug, Clone)]
struct Item {
    content: Arc<Content>,
    redelivered: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Channel {
    connector: u64,
    pub(crate) confirms: bool,
    /// The first error, which ended the channel.
    pub(crate) dead: Option<Error>,
    pub(crate) published: u64,
    /// The answers that `confirm` has not returned yet.
    pub(crate) outcomes: BTreeMap<u64, Outcome>,
    delivered: u64,
    unsettled: BTreeMap<u64, Unsettled>,
}

#[derive(Debug)]
struct Unsettled {
    queue: String,
    queue_id: u64,
    position: u64,
    item: Item,
    consumer: Option<u64>,
    /// Whether `get` or `next` has returned the delivery.
    received: bool,
}

#[derive(Debug)]
pub(crate) struct Consumer {
    channel: u64,
    queue: String,
    options: ConsumeOptions,
    arrived: VecDeque<Delivery>,
    pub(crate) cancelled: bool,
    /// Whether the consumer had no room when its turn came.
    skipped: bool,
}

/// Queues and messages.
impl State {
    pub(crate) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Creates a queue, or compares the declaration with the queue that exists.
    pub(crate) fn declare(&mut self, channel: u64, queue: &Queue) -> Result<()> {
        self.channel(channel)?;
        let id = self.number();
        let (ready, turns) = (BTreeMap::new(), VecDeque::new());
        let new = ShelfQueue { id, durable: queue.durable, ready, turns };
        let found = self.queues.entry(queue.name.clone()).or_insert(new);
        if found.durable == queue.durable {
            return Ok(());
        }
        let reason = format!("queue {:?} has another durability", queue.name);
        Err(self.fail(channel, Error::PreconditionFailed { reason }))
    }

    pub(crate) fn ready_count(&mut self, channel: u64, queue: &str) -> Result<usize> {
        Ok(self.queue(channel, queue)?.ready.len())
    }

    /// Deletes a queue and ends its consumers. Returns the number of ready messages.
    pub(crate) fn delete(&mut self, channel: u64, name: &str, only: DeleteIf) -> Result<usize> {
        self.channel(channel)?;
        let Some(queue) = self.queues.get(name) else { return Ok(0) };
        let count = queue.ready.len();
        let is_used = only.if_unused && self.consumer_count(name) > 0;
        if is_used || (only.if_empty && count > 0) {
            let reason = format!("queue {name:?} is in use or not empty");
            return Err(self.fail(channel, Error::PreconditionFailed { reason }));
        }
        self.queues.remove(name);
        self.consumers
            .values_mut()
            .filter(|consumer| consumer.queue == name)
            .for_each(|consumer| consumer.cancelled = true);
        Ok(count)
    }

    pub(crate) fn purge(&mut self, channel: u64, name: &str) -> Result<usize> {
        Ok(std::mem::take(&mut self.queue(channel, name)?.ready).len())
    }

    /// Enqueues a message. Returns whether the queue exists.
    pub(crate) fn enqueue(&mut self, name: &str, content: &Arc<Content>) -> bool {
        let position = self.number();
        let Some(queue) = self.queues.get_mut(name) else { return false };
        let item = Item { content: Arc::clone(content), redelivered: false };
        queue.ready.insert(position, item);
        true
    }

    fn queue(&mut self, channel: u64, name: &str) -> Result<&mut ShelfQueue> {
        self.channel(channel)?;
        if !self.queues.contains_key(name) {
            let reason = format!("no queue {name:?}");
            return Err(self.fail(channel, Error::NotFound { reason }));
        }
        self.queues.get_mut(name).ok_or_else(|| Error::closed("queue"))
    }

    /// Returns a message to its old position, unless its queue was deleted.
    fn requeue(&mut self, unsettled: Unsettled) {
        let queue = self.queues.get_mut(&unsettled.queue);
        if let Some(queue) = queue.filter(|queue| queue.id == unsettled.queue_id) {
            queue.ready.insert(unsettled.position, Item { redelivered: true, ..unsettled.item });
        }
    }
}

/// Channels and settlements.
impl State {
    /// Opens a channel. Returns its number.
    pub(crate) fn open(&mut self, connector: u64, confirms: bool) -> u64 {
        let id = self.number();
        self.channels.insert(id, Channel { connector, confirms, ..Channel::default() });
        id
    }

    /// Ends all channels of a connector.
    pub(crate) fn close(&mut self, connector: u64) {
        let of_connector = |(_, channel): &(&u64, &Channel)| channel.connector == connector;
        let channels = self.channels.iter().filter(of_connector).map(|(id, _)| *id);
        for channel in channels.collect::<Vec<_>>() {
            self.fail(channel, Error::closed("connection"));
        }
    }

    /// Returns a channel, or the error that ended it.
    pub(crate) fn channel(&mut self, id: u64) -> Result<&mut Channel> {
        let channel = self.channels.get_mut(&id).ok_or_else(|| Error::closed("channel"))?;
        channel.dead.clone().map_or(Ok(channel), Err)
    }

    /// Ends a channel: its consumers end, and its unacknowledged deliveries return to their queues.
    pub(crate) fn fail(&mut self, id: u64, error: Error) -> Error {
        self.consumers.retain(|_, consumer| consumer.channel != id);
        let Some(channel) = self.channels.get_mut(&id) else { return error };
        let unsettled = std::mem::take(&mut channel.unsettled);
        channel.dead.get_or_insert(error.clone());
        unsettled.into_values().for_each(|unsettled| self.requeue(unsettled));
        error
    }

    /// Removes the deliveries that a settlement covers from the channel: those that a caller has
    /// received. A wrong tag ends the channel, which the next call reports.
    fn settled(&mut self, id: u64, tag: DeliveryTag, extent: Extent) -> Result<Vec<Unsettled>> {
        let channel =
            self.channel(id).map_err(|cause| Error::Stale { source: Some(Arc::new(cause)) })?;
        let is_known = channel.unsettled.get(&tag.0).is_some_and(|unsettled| unsettled.received);
        let all = tag.0 == 0 && extent == Extent::UpTo;
        if !is_known && !all {
            let reason = format!("unknown delivery tag {}", tag.0);
            self.fail(id, Error::PreconditionFailed { reason });
            return Ok(Vec::new());
        }
        let is_covered = |number: u64, unsettled: &Unsettled| match extent {
            Extent::One => number == tag.0,
            Extent::UpTo => unsettled.received && (all || number <= tag.0),
        };
        let covered: Vec<u64> = channel
            .unsettled
            .iter()
            .filter(|(number, unsettled)| is_covered(**number, unsettled))
            .map(|(number, _)| *number)
            .collect();
        Ok(covered.iter().filter_map(|number| channel.unsettled.remove(number)).collect())
    }

    pub(crate) fn discard(&mut self, id: u64, tag: DeliveryTag, extent: Extent) -> Result<()> {
        self.settled(id, tag, extent).map(drop)
    }

    /// Requeues in the order of RabbitMQ: first the messages of gets, one by one, in the order of
    /// their tags. A waiting consumer receives each of them at once. Then the messages of
    /// consumers, as a group. A consumer that was skipped takes turns again afterwards.
    pub(crate) fn requeue_settled(
        &mut self,
        id: u64,
        tag: DeliveryTag,
        extent: Extent,
    ) -> Result<()> {
        let settled = self.settled(id, tag, extent)?;
        let (got, consumed): (Vec<_>, Vec<_>) =
            settled.into_iter().partition(|unsettled| unsettled.consumer.is_none());
        for unsettled in got {
            self.requeue(unsettled);
            self.deliver();
        }
        consumed.into_iter().for_each(|unsettled| self.requeue(unsettled));
        Ok(())
    }
}

/// Consumers and deliveries.
impl State {
    pub(crate) fn consumer_count(&self, queue: &str) -> u32 {
        let is_counted = |consumer: &&Consumer| consumer.queue == queue && !consumer.cancelled;
        self.consumers.values().filter(is_counted).count() as u32
    }

    /// Adds a consumer. Its turn is after the other consumers of the queue.
    pub(crate) fn consume(
        &mut self,
        channel: u64,
        queue: &str,
        options: &ConsumeOptions,
    ) -> Result<u64> {
        let id = self.number();
        self.queue(channel, queue)?.turns.push_back(id);
        let consumer = Consumer {
            channel,
            queue: queue.to_string(),
            options: options.clone(),
            arrived: VecDeque::new(),
            cancelled: false,
            skipped: false,
        };
        self.consumers.insert(id, consumer);
        Ok(id)
    }

    /// Removes a consumer. Requeues its deliveries that `next` has not returned. Automatic ones are
    /// lost.
    pub(crate) fn drop_consumer(&mut self, id: u64) {
        let Some(consumer) = self.consumers.remove(&id) else { return };
        let Some(channel) = self.channels.get_mut(&consumer.channel) else { return };
        let tags = consumer.arrived.iter().map(|delivery| delivery.tag.0);
        let arrived: Vec<_> = tags.filter_map(|tag| channel.unsettled.remove(&tag)).collect();
        arrived.into_iter().for_each(|unsettled| self.requeue(unsettled));
    }

    /// Returns the deliveries that wait for a consumer.
    pub(crate) fn arrived(&self, consumer: u64) -> ArrivedDeliveries {
        let arrived = self.consumers.get(&consumer).into_iter().flat_map(|found| &found.arrived);
        ArrivedDeliveries::of_sizes(arrived.map(|delivery| delivery.content.body.len()))
    }

    /// Returns a delivery that has arrived at a consumer. The delivery is then received.
    pub(crate) fn receive(&mut self, consumer: u64) -> Option<Delivery> {
        let consumer = self.consumers.get_mut(&consumer)?;
        let delivery = consumer.arrived.pop_front()?;
        let channel = self.channels.get_mut(&consumer.channel)?;
        if let Some(unsettled) = channel.unsettled.get_mut(&delivery.tag.0) {
            unsettled.received = true;
        }
        Some(delivery)
    }

    /// Delivers ready messages to the consumers with room, in turn. Skipped consumers with room
    /// take their turn after the others.
    pub(crate) fn dispatch(&mut self) {
        for id in self.consumers.keys().copied().collect::<Vec<_>>() {
            self.take_turns_again(id);
        }
        self.deliver();
    }

    fn deliver(&mut self) {
        let is_waiting = |queue: &ShelfQueue| !queue.ready.is_empty() && !queue.turns.is_empty();
        let waiting = self.queues.iter().filter(|(_, queue)| is_waiting(queue));
        for queue in waiting.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            while self.deliver_one(&queue) {}
        }
    }

    /// Adds a skipped consumer with room to the turns, after the others.
    fn take_turns_again(&mut self, id: u64) {
        let has_room = self.has_room(id);
        if let Some(consumer) = self.consumers.get_mut(&id)
            && consumer.skipped
            && has_room
            && let Some(queue) = self.queues.get_mut(&consumer.queue)
        {
            consumer.skipped = false;
            queue.turns.push_back(id);
        }
    }

    /// Delivers a message to the next consumer, or skips the consumer. Returns whether there was a
    /// message and a consumer.
    fn deliver_one(&mut self, name: &str) -> bool {
        let queue = self.queues.get_mut(name).filter(|queue| !queue.ready.is_empty());
        let Some(id) = queue.and_then(|queue| queue.turns.pop_front()) else { return false };
        let has_room = self.has_room(id);
        // A consumer that has ended no longer takes turns.
        let Some(consumer) = self.consumers.get_mut(&id) else { return true };
        if !has_room {
            consumer.skipped = true;
            return true;
        }
        let (channel, acknowledgement) = (consumer.channel, consumer.options.acknowledgement);
        if let Ok(Some(delivery)) = self.take(channel, name, acknowledgement, Some(id))
            && let Some(consumer) = self.consumers.get_mut(&id)
            && let Some(queue) = self.queues.get_mut(name)
        {
            consumer.arrived.push_back(delivery);
            queue.turns.push_back(id);
        }
        true
    }

    fn has_room(&self, id: u64) -> bool {
        let Some(consumer) = self.consumers.get(&id).filter(|consumer| !consumer.cancelled) else {
            return false;
        };
        let Some(channel) = self.channels.get(&consumer.channel) else { return false };
        let prefetch = usize::from(consumer.options.prefetch);
        let of_consumer = |unsettled: &&Unsettled| unsettled.consumer == Some(id);
        prefetch == 0 || channel.unsettled.values().filter(of_consumer).count() < prefetch
    }

    /// Takes the message at the head of a queue, for `get` or for a consumer.
    pub(crate) fn take(
        &mut self,
        channel: u64,
        name: &str,
        acknowledgement: Acknowledgement,
        consumer: Option<u64>,
    ) -> Result<Option<Delivery>> {
        let queue = self.queue(channel, name)?;
        let queue_id = queue.id;
        let Some((position, item)) = queue.ready.pop_first() else { return Ok(None) };
        let channel = self.channel(channel)?;
        channel.delivered += 1;
        let tag = channel.delivered;
        let delivery = Delivery::new(DeliveryTag(tag), Arc::clone(&item.content))
            .with_redelivered(item.redelivered);
        if acknowledgement == Acknowledgement::Manual {
            let (queue, received) = (name.to_string(), consumer.is_none());
            let unsettled = Unsettled { queue, queue_id, position, item, consumer, received };
            channel.unsettled.insert(tag, unsettled);
        }
        Ok(Some(delivery))
    }
}
