//! A backend of the program: queues in a map, reached through the default exchange.
//!
//! The backend passes the first tier of the conformance kit. Publishers and consumers work on the
//! backend as on any other. `docs/backend-guide.md` explains each part.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::error::Error as StdError;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use carrot::backend::{
    Acknowledgement, Backend, Capabilities, ChannelOptions, Clock, Connector, ConsumeOptions,
    Content, Declare, Delete, Deleted, Delivery, DeliveryTag, Event, Extent, Outcome, Publication,
    PublishTag, QueueInfo, Rejection, Role, Status, Subscription,
};
use carrot::{Connection, Error, Result};
use carrot_conformance::{Features, Harness, Tier, matrix};

/// A broker. One lock protects all state, which is simple and slow.
#[derive(Debug, Default)]
struct Shelf {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queues: HashMap<String, Queue>,
    channels: HashMap<u64, Channel>,
    consumers: BTreeMap<u64, Consumer>,
    last_number: u64,
}

/// Ready messages by their position. A requeued message returns to its old position.
#[derive(Debug, Default)]
struct Queue {
    ready: BTreeMap<u64, Item>,
}

#[derive(Debug, Clone)]
struct Item {
    content: Arc<Content>,
    redelivered: bool,
}

#[derive(Debug, Default)]
struct Channel {
    connector: u64,
    confirms: bool,
    dead: Option<Error>,
    published: u64,
    returned: Vec<u64>,
    delivered: u64,
    unsettled: BTreeMap<u64, Unsettled>,
}

#[derive(Debug)]
struct Consumer {
    channel: u64,
    queue: String,
    options: ConsumeOptions,
    arrived: VecDeque<Delivery>,
    cancelled: bool,
}

#[derive(Debug)]
struct Unsettled {
    queue: String,
    position: u64,
    item: Item,
    consumer: Option<u64>,
}

impl State {
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn channel(&mut self, id: u64) -> Result<&mut Channel> {
        let channel = self.channels.get_mut(&id).ok_or_else(|| Error::closed("channel"))?;
        channel.dead.clone().map_or(Ok(channel), Err)
    }

    fn queue(&mut self, channel: u64, name: &str) -> Result<&mut Queue> {
        self.channel(channel)?;
        if !self.queues.contains_key(name) {
            return Err(
                self.kill(channel, Error::NotFound { reason: format!("no queue {name:?}") })
            );
        }
        Ok(self.queues.entry(name.to_string()).or_default())
    }

    /// Ends a channel: its consumers end, and its unacknowledged deliveries return to their queues.
    fn kill(&mut self, id: u64, error: Error) -> Error {
        self.consumers.retain(|_, consumer| consumer.channel != id);
        let Some(channel) = self.channels.get_mut(&id) else { return error };
        let unsettled = std::mem::take(&mut channel.unsettled);
        channel.dead.get_or_insert(error.clone());
        unsettled.into_values().for_each(|unsettled| self.requeue(unsettled));
        error
    }

    fn consumer_count(&self, queue: &str) -> u32 {
        self.consumers
            .values()
            .filter(|consumer| consumer.queue == queue && !consumer.cancelled)
            .count() as u32
    }

    /// Delivers ready messages to the consumers with room.
    fn dispatch(&mut self) {
        let ids: Vec<u64> = self.consumers.keys().copied().collect();
        for id in ids {
            while let Some((channel, queue, acknowledgement)) = self.has_room(id)
                && let Ok(Some(delivery)) = self.take(channel, &queue, acknowledgement, Some(id))
                && let Some(consumer) = self.consumers.get_mut(&id)
            {
                consumer.arrived.push_back(delivery);
            }
        }
    }

    fn has_room(&self, id: u64) -> Option<(u64, String, Acknowledgement)> {
        let consumer = self
            .consumers
            .get(&id)
            .filter(|consumer| !consumer.cancelled && self.queues.contains_key(&consumer.queue))?;
        let unsettled = &self.channels.get(&consumer.channel)?.unsettled;
        let held = unsettled.values().filter(|unsettled| unsettled.consumer == Some(id)).count();
        let prefetch = usize::from(consumer.options.prefetch);
        (prefetch == 0 || held < prefetch)
            .then(|| (consumer.channel, consumer.queue.clone(), consumer.options.acknowledgement))
    }

    fn requeue(&mut self, unsettled: Unsettled) {
        if let Some(queue) = self.queues.get_mut(&unsettled.queue) {
            queue.ready.insert(unsettled.position, Item { redelivered: true, ..unsettled.item });
        }
    }

    fn take(
        &mut self,
        channel: u64,
        queue: &str,
        acknowledgement: Acknowledgement,
        consumer: Option<u64>,
    ) -> Result<Option<Delivery>> {
        let Some((position, item)) = self.queue(channel, queue)?.ready.pop_first() else {
            return Ok(None);
        };
        let channel = self.channel(channel)?;
        channel.delivered += 1;
        let tag = channel.delivered;
        let delivery = Delivery::new(DeliveryTag(tag), Arc::clone(&item.content))
            .with_redelivered(item.redelivered);
        if acknowledgement == Acknowledgement::Manual {
            channel
                .unsettled
                .insert(tag, Unsettled { queue: queue.to_string(), position, item, consumer });
        }
        Ok(Some(delivery))
    }

    /// Removes the deliveries that a settlement covers from the channel.
    fn settle(&mut self, id: u64, tag: DeliveryTag, extent: Extent) -> Result<Vec<Unsettled>> {
        let channel =
            self.channel(id).map_err(|cause| Error::Stale { source: Some(Arc::new(cause)) })?;
        let last = if tag.0 == 0 { u64::MAX } else { tag.0 };
        let known =
            channel.unsettled.contains_key(&tag.0) || (tag.0 == 0 && extent == Extent::UpTo);
        if !known {
            self.kill(
                id,
                Error::PreconditionFailed { reason: format!("unknown delivery tag {}", tag.0) },
            );
            return Ok(Vec::new());
        }
        Ok(match extent {
            Extent::One => channel.unsettled.remove(&tag.0).into_iter().collect(),
            Extent::UpTo => {
                let later = channel.unsettled.split_off(&last.saturating_add(1));
                std::mem::replace(&mut channel.unsettled, later).into_values().collect()
            }
        })
    }
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics with this lock held")
    }

    /// Ends a change: delivers ready messages, and wakes all waiting threads.
    fn settle(&self, mut state: MutexGuard<'_, State>) {
        state.dispatch();
        drop(state);
        self.changed.notify_all();
    }
}

/// Opens channels to one broker.
#[derive(Debug)]
struct ShelfConnector {
    shelf: Arc<Shelf>,
    id: u64,
    clock: Clock,
    closed: Mutex<bool>,
}

impl ShelfConnector {
    fn new(shelf: &Arc<Shelf>) -> Arc<ShelfConnector> {
        let id = shelf.lock().number();
        Arc::new(ShelfConnector {
            shelf: Arc::clone(shelf),
            id,
            clock: Clock::real(),
            closed: Mutex::default(),
        })
    }
}

impl Connector for ShelfConnector {
    fn open(&self, options: &ChannelOptions, _timeout: Duration) -> Result<Arc<dyn Backend>> {
        if *self.closed.lock().expect("no code panics with this lock held") {
            return Err(Error::closed("connection"));
        }
        let mut state = self.shelf.lock();
        let id = state.number();
        state.channels.insert(
            id,
            Channel { connector: self.id, confirms: options.confirms, ..Channel::default() },
        );
        Ok(Arc::new(ShelfChannel(Arc::new(Handle { shelf: Arc::clone(&self.shelf), id }))))
    }

    fn close(&self, _timeout: Duration) -> Result<()> {
        *self.closed.lock().expect("no code panics with this lock held") = true;
        let mut state = self.shelf.lock();
        let channels: Vec<u64> = state
            .channels
            .iter()
            .filter(|(_, channel)| channel.connector == self.id)
            .map(|(id, _)| *id)
            .collect();
        for channel in channels {
            state.kill(channel, Error::closed("connection"));
        }
        self.shelf.settle(state);
        Ok(())
    }

    fn connect(&self, _role: Role, _timeout: Duration) -> Result<()> {
        if *self.closed.lock().expect("no code panics with this lock held") {
            Err(Error::closed("connection"))
        } else {
            Ok(())
        }
    }

    fn endpoint(&self) -> String {
        "a shelf in this process".into()
    }

    fn status(&self, _role: Role) -> Status {
        Status::new(!*self.closed.lock().expect("no code panics with this lock held"), None)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn clock(&self) -> Clock {
        self.clock.clone()
    }

    // No connection can be lost, so there are no events.
    fn observe(&self, _observer: Arc<dyn Fn(&Event) + Send + Sync>) {}
}

/// Keeps a channel open. Closes the channel when its last owner is dropped: the backend or one of
/// its subscriptions.
#[derive(Debug)]
struct Handle {
    shelf: Arc<Shelf>,
    id: u64,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.shelf.lock();
        state.kill(self.id, Error::closed("channel"));
        state.channels.remove(&self.id);
        self.shelf.settle(state);
    }
}

#[derive(Debug)]
struct ShelfChannel(Arc<Handle>);

impl Backend for ShelfChannel {
    fn declare(&self, entity: Declare<'_>, _timeout: Duration) -> Result<QueueInfo> {
        entity.validate()?;
        let Declare::Queue(queue) = entity else {
            return Err(unsupported("exchanges and bindings"));
        };
        let mut state = self.0.shelf.lock();
        state.channel(self.0.id)?;
        if !queue.passive {
            state.queues.entry(queue.name.clone()).or_default();
        }
        let ready = state.queue(self.0.id, &queue.name)?.ready.len() as u32;
        Ok(QueueInfo::new(&*queue.name, ready, state.consumer_count(&queue.name)))
    }

    fn delete(&self, entity: Delete<'_>, _timeout: Duration) -> Result<Deleted> {
        entity.validate()?;
        let mut state = self.0.shelf.lock();
        state.channel(self.0.id)?;
        let count = match entity {
            Delete::Queue { name, .. } => {
                state.queues.remove(name).map_or(0, |queue| queue.ready.len())
            }
            Delete::Messages { queue } => {
                std::mem::take(&mut state.queue(self.0.id, queue)?.ready).len()
            }
            _ => return Err(unsupported("exchanges and bindings")),
        };
        self.0.shelf.settle(state);
        Ok(Deleted::new(count as u32))
    }

    fn publish(&self, publication: &Publication<'_>, _timeout: Duration) -> Result<PublishTag> {
        publication.validate()?;
        publication.refuse_delay()?;
        let mut state = self.0.shelf.lock();
        let content = publication.content;
        let channel = state.channel(self.0.id)?;
        channel.published += 1;
        let tag = channel.published;
        if !content.exchange.is_empty() {
            state.kill(
                self.0.id,
                Error::NotFound { reason: format!("no exchange {:?}", content.exchange) },
            );
            return Ok(PublishTag(tag));
        }
        let position = state.number();
        match state.queues.get_mut(&*content.routing_key) {
            Some(queue) => drop(
                queue
                    .ready
                    .insert(position, Item { content: Arc::clone(content), redelivered: false }),
            ),
            None if publication.mandatory => state.channel(self.0.id)?.returned.push(tag),
            None => {}
        }
        self.0.shelf.settle(state);
        Ok(PublishTag(tag))
    }

    fn confirm(&self, tag: PublishTag, _timeout: Duration) -> Result<Outcome> {
        let mut state = self.0.shelf.lock();
        let channel = state.channel(self.0.id)?;
        if !channel.confirms {
            return Err(Error::invalid(
                "confirm",
                "a channel without confirms",
                "the channel has to be opened with confirms",
            ));
        }
        let returned = channel.returned.iter().position(|returned| *returned == tag.0);
        Ok(match returned.map(|index| channel.returned.swap_remove(index)) {
            Some(_) => Outcome::Returned { code: 312, text: "NO_ROUTE".into() },
            None => Outcome::Accepted,
        })
    }

    fn get(
        &self,
        queue: &str,
        acknowledgement: Acknowledgement,
        _timeout: Duration,
    ) -> Result<Option<Delivery>> {
        self.0.shelf.lock().take(self.0.id, queue, acknowledgement, None)
    }

    fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        _timeout: Duration,
    ) -> Result<Box<dyn Subscription>> {
        options.validate()?;
        let mut state = self.0.shelf.lock();
        state.queue(self.0.id, queue)?;
        let id = state.number();
        let (arrived, cancelled) = (VecDeque::new(), false);
        let consumer = Consumer {
            channel: self.0.id,
            queue: queue.to_string(),
            options: options.clone(),
            arrived,
            cancelled,
        };
        state.consumers.insert(id, consumer);
        self.0.shelf.settle(state);
        Ok(Box::new(ShelfSubscription {
            channel: Arc::clone(&self.0),
            queue: queue.to_string(),
            id,
        }))
    }

    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        let mut state = self.0.shelf.lock();
        state.settle(self.0.id, tag, extent)?;
        self.0.shelf.settle(state);
        Ok(())
    }

    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()> {
        let mut state = self.0.shelf.lock();
        let settled = state.settle(self.0.id, tag, extent)?;
        if rejection != Rejection::Discard {
            settled.into_iter().for_each(|unsettled| state.requeue(unsettled));
        }
        self.0.shelf.settle(state);
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.0.shelf.lock().channel(self.0.id).map(drop)
    }

    fn close(&self, _timeout: Duration) -> Result<()> {
        let mut state = self.0.shelf.lock();
        state.kill(self.0.id, Error::closed("channel"));
        self.0.shelf.settle(state);
        Ok(())
    }
}

#[derive(Debug)]
struct ShelfSubscription {
    channel: Arc<Handle>,
    queue: String,
    id: u64,
}

impl Subscription for ShelfSubscription {
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>> {
        let deadline = Instant::now() + timeout;
        let mut state = self.channel.shelf.lock();
        loop {
            state.channel(self.channel.id)?;
            let queue_is_gone = !state.queues.contains_key(&self.queue);
            let consumer = state.consumers.get_mut(&self.id);
            let cancelled =
                queue_is_gone || consumer.as_ref().is_none_or(|consumer| consumer.cancelled);
            if let Some(delivery) = consumer.and_then(|consumer| consumer.arrived.pop_front()) {
                return Ok(Some(delivery));
            }
            if cancelled {
                return Err(Error::Cancelled {
                    queue: self.queue.clone(),
                    reason: "cancelled, or the queue is gone".into(),
                });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            state = self
                .channel
                .shelf
                .changed
                .wait_timeout(state, left)
                .expect("no code panics with this lock held")
                .0;
        }
    }

    fn cancel(&self, _timeout: Duration) -> Result<()> {
        let mut state = self.channel.shelf.lock();
        state.channel(self.channel.id)?;
        if let Some(consumer) = state.consumers.get_mut(&self.id) {
            consumer.cancelled = true;
        }
        self.channel.shelf.changed.notify_all();
        Ok(())
    }
}

impl Drop for ShelfSubscription {
    fn drop(&mut self) {
        let mut state = self.channel.shelf.lock();
        let Some(consumer) = state.consumers.remove(&self.id) else { return };
        let Ok(channel) = state.channel(consumer.channel) else { return };
        let arrived: Vec<_> = consumer
            .arrived
            .iter()
            .filter_map(|delivery| channel.unsettled.remove(&delivery.tag.0))
            .collect();
        arrived.into_iter().for_each(|unsettled| state.requeue(unsettled));
        self.channel.shelf.settle(state);
    }
}

fn unsupported(what: &str) -> Error {
    Error::Backend { reason: format!("this backend has no {what}"), source: None }
}

struct ShelfHarness(Arc<Shelf>);

impl Harness for ShelfHarness {
    fn name(&self) -> &str {
        "shelf"
    }

    fn features(&self) -> Features {
        Features::none()
    }

    fn connect(&self) -> Arc<dyn Connector> {
        ShelfConnector::new(&self.0)
    }

    fn pass(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

fn main() -> std::result::Result<(), Box<dyn StdError>> {
    let shelf = Arc::new(Shelf::default());

    let connection = Connection::new(ShelfConnector::new(&shelf));
    let consumer = connection.consumer("letters").build()?;
    connection
        .publisher()
        .routing_key("letters")
        .build()?
        .send("delivered by a backend of our own")?;
    if let Some(message) = consumer.fetch()? {
        println!("{}", message.decode::<String>()?);
        message.ack()?;
    }

    let matrix = matrix(&[&ShelfHarness(shelf)], &[Tier::Basics]);
    println!("{matrix}");
    if !matrix.passed() {
        return Err("some cases of the first tier failed".into());
    }
    println!("all cases passed");
    Ok(())
}
