//! The consumers of one channel, as the reader and the subscriptions share them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Instant;

use carrot_amqp_wire::ShortStr;
use carrot_core::backend::ArrivedDeliveries;
use crossbeam_channel::{Receiver, Sender, unbounded};

use super::arrived::Arrived;
use super::consumer_terms::ConsumerTerms;
use super::unacked::SettlementKind;
use crate::sync::{lock, wait_while};

/// The reasons why a consumer has ended.
pub(super) const BY_PROGRAM: &str = "this program cancelled it";
pub(super) const BY_BROKER: &str =
    "the broker cancelled it, because the queue was deleted or is moving";

/// The number of consumers that are remembered after the broker has cancelled them.
const MAX_CANCELLED: usize = 16;

/// The side of a consumer that its subscription keeps.
#[derive(Debug)]
pub(crate) struct ConsumerQueue {
    pub(crate) number: u64,
    pub(crate) tag: String,
    pub(crate) terms: ConsumerTerms,
    /// Disconnected when the consumer has ended, after the deliveries that arrived before.
    pub(crate) deliveries: Receiver<Arrived>,
    pub(crate) status: Arc<ConsumerStatus>,
}

/// The parts of a consumer that the reader and its subscription share.
#[derive(Debug, Default)]
pub(crate) struct ConsumerStatus {
    /// The reason why the consumer has ended, unless its channel has.
    pub(crate) ended: OnceLock<&'static str>,
    /// The number of threads that wait for a delivery.
    pub(crate) waiting: AtomicUsize,
    /// The bytes in the bodies of the deliveries that wait.
    bytes: AtomicU64,
}

impl ConsumerQueue {
    /// Returns the deliveries that wait.
    pub(crate) fn arrived(&self) -> ArrivedDeliveries {
        let bytes = self.status.bytes.load(Ordering::Acquire);
        ArrivedDeliveries::new(self.deliveries.len() as u64, bytes)
    }

    /// Notes that a delivery was taken out.
    pub(crate) fn taken(&self, delivery: &Arrived) {
        self.status.bytes.fetch_sub(delivery.body.len() as u64, Ordering::AcqRel);
    }
}

/// The result of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    Queued {
        /// Whether a thread waits for it.
        is_awaited: bool,
    },
    /// No subscription takes deliveries any more. The settlement to send.
    Released(SettlementKind),
    /// The same, and the broker does not wait for a settlement.
    Dropped,
    /// More deliveries wait than the broker may send.
    Overrun,
}

#[derive(Debug, Default)]
pub(crate) struct Consumers {
    state: Mutex<ConsumersState>,
    /// A consumer was removed, or the channel has ended.
    removed: Condvar,
    /// The number of deliveries in all queues.
    arrived: AtomicUsize,
}

#[derive(Debug, Default)]
struct ConsumersState {
    /// Few, so that a search takes less time than a hash.
    consumers: Vec<ChannelConsumer>,
    last: u64,
    has_ended: bool,
    /// The tags of the last consumers that acknowledge, and that the broker has cancelled.
    cancelled: VecDeque<String>,
}

#[derive(Debug)]
struct ChannelConsumer {
    number: u64,
    tag: String,
    terms: ConsumerTerms,
    /// `None` after the subscription was dropped.
    deliveries: Option<Sender<Arrived>>,
    status: Arc<ConsumerStatus>,
}

impl ConsumersState {
    fn are_released(&self) -> bool {
        let is_released = |consumer: &ChannelConsumer| consumer.deliveries.is_none();
        self.has_ended || !self.consumers.iter().any(is_released)
    }
}

impl Consumers {
    /// Adds a consumer, before its first delivery can arrive.
    pub(crate) fn add(&self, terms: ConsumerTerms) -> ConsumerQueue {
        let (sender, deliveries) = unbounded();
        let status = Arc::default();
        let mut state = lock(&self.state);
        state.last += 1;
        let number = state.last;
        let tag = format!("carrot-{number}");
        state.consumers.push(ChannelConsumer {
            number,
            tag: tag.clone(),
            terms,
            deliveries: Some(sender),
            status: Arc::clone(&status),
        });
        ConsumerQueue { number, tag, terms, deliveries, status }
    }

    pub(crate) fn find(&self, tag: ShortStr<'_>) -> Option<u64> {
        let state = lock(&self.state);
        let found = state.consumers.iter().find(|consumer| tag == *consumer.tag);
        found.map(|consumer| consumer.number)
    }

    /// Returns whether the broker has cancelled the consumer with this tag, and waits for the
    /// settlement of a delivery to it nevertheless. RabbitMQ 4.3 delivers to a consumer whose
    /// acknowledgement was late, and has cancelled it before.
    pub(crate) fn was_cancelled(&self, tag: ShortStr<'_>) -> bool {
        lock(&self.state).cancelled.iter().any(|cancelled| tag == **cancelled)
    }

    /// Queues a delivery.
    pub(crate) fn deliver(&self, number: u64, delivery: Arrived) -> Delivered {
        let state = lock(&self.state);
        let Some(consumer) = state.consumers.iter().find(|consumer| consumer.number == number)
        else {
            return Delivered::Dropped;
        };
        match &consumer.deliveries {
            Some(deliveries)
                if consumer.terms.max_waiting.is_some_and(|limit| deliveries.len() >= limit) =>
            {
                Delivered::Overrun
            }
            Some(deliveries) => {
                let is_awaited = consumer.status.waiting.load(Ordering::Relaxed) > 0;
                self.arrived.fetch_add(1, Ordering::Relaxed);
                consumer.status.bytes.fetch_add(delivery.body.len() as u64, Ordering::AcqRel);
                let _ = deliveries.send(delivery);
                Delivered::Queued { is_awaited }
            }
            None if consumer.terms.is_automatic => Delivered::Dropped,
            None => Delivered::Released(consumer.terms.unread()),
        }
    }

    /// Notes that a delivery was taken from its queue.
    pub(crate) fn taken(&self) {
        self.arrived.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns whether deliveries wait in a queue.
    pub(crate) fn has_arrived(&self) -> bool {
        self.arrived.load(Ordering::Relaxed) > 0
    }

    /// Ends the consumer with this tag. Returns whether its subscription was dropped before.
    pub(crate) fn end_one(&self, tag: ShortStr<'_>, reason: &'static str) -> bool {
        let mut state = lock(&self.state);
        let Some(position) = state.consumers.iter().position(|consumer| tag == *consumer.tag)
        else {
            return false;
        };
        let consumer = state.consumers.swap_remove(position);
        if reason == BY_BROKER && !consumer.terms.is_automatic {
            if state.cancelled.len() == MAX_CANCELLED {
                state.cancelled.pop_front();
            }
            state.cancelled.push_back(consumer.tag.clone());
        }
        drop(state);
        self.removed.notify_all();
        let _ = consumer.status.ended.set(reason);
        consumer.deliveries.is_none()
    }

    /// Queues no more deliveries for a consumer. Returns whether the consumer has not ended.
    pub(crate) fn release(&self, number: u64) -> bool {
        let mut state = lock(&self.state);
        let found = state.consumers.iter_mut().find(|consumer| consumer.number == number);
        found.is_some_and(|consumer| consumer.deliveries.take().is_some())
    }

    /// Waits until the broker has cancelled all consumers whose subscription was dropped. Returns
    /// false if `deadline` passes first.
    ///
    /// Their deliveries are requeued by then. A later consumer would otherwise receive later
    /// messages first.
    pub(crate) fn wait_for_released(&self, deadline: Instant) -> bool {
        let is_busy = |state: &ConsumersState| !state.are_released();
        wait_while(&self.removed, lock(&self.state), deadline, is_busy).is_some()
    }

    /// Returns whether the broker has cancelled all consumers whose subscription was dropped.
    pub(crate) fn are_released(&self) -> bool {
        lock(&self.state).are_released()
    }

    /// Removes a consumer that could not be started.
    pub(crate) fn remove(&self, number: u64) {
        lock(&self.state).consumers.retain(|consumer| consumer.number != number);
    }

    /// Returns the tags of all consumers that have not ended.
    pub(crate) fn tags(&self) -> Vec<String> {
        lock(&self.state).consumers.iter().map(|consumer| consumer.tag.clone()).collect()
    }

    /// Ends all consumers with their channel. Their tags are still known, to cancel them.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        let senders: Vec<_> =
            state.consumers.iter_mut().filter_map(|consumer| consumer.deliveries.take()).collect();
        state.has_ended = true;
        drop(state);
        self.removed.notify_all();
        drop(senders);
    }
}

#[cfg(test)]
mod tests {
    use carrot_core::backend::ConsumeOptions;

    use super::*;
    use crate::channel::arrived::MessageHead;

    fn arrived(tag: u64) -> Arrived {
        let head = MessageHead::default();
        Arrived { tag, redelivered: false, head, body: carrot_core::backend::Body::default() }
    }

    fn waiting(consumers: &Consumers, consumer: &ConsumerQueue, at_most: u64) -> u64 {
        let deliver = |tag| consumers.deliver(consumer.number, arrived(tag));
        (1..=at_most).take_while(|tag| matches!(deliver(*tag), Delivered::Queued { .. })).count()
            as u64
    }

    #[test]
    fn deliveries_wait_up_to_twice_the_prefetch_and_a_rest() {
        let consumers = Consumers::default();
        let consumer = consumers.add(ConsumerTerms::of(&ConsumeOptions::with_prefetch(100)));
        assert_eq!(waiting(&consumers, &consumer, 1_000), 210);
        assert!(consumer.deliveries.try_recv().is_ok());
        assert_eq!(waiting(&consumers, &consumer, 1_000), 1);
    }

    #[test]
    fn deliveries_without_a_prefetch_are_not_counted() {
        let consumers = Consumers::default();
        for options in
            [ConsumeOptions::with_prefetch(0), ConsumeOptions::with_prefetch(10).automatic()]
        {
            let consumer = consumers.add(ConsumerTerms::of(&options));
            assert_eq!(waiting(&consumers, &consumer, 1_000), 1_000);
        }
    }

    #[test]
    fn chunks_of_a_stream_exceed_the_prefetch() {
        let consumers = Consumers::default();
        let options = ConsumeOptions::with_prefetch(1).argument("x-stream-offset", "first");
        let consumer = consumers.add(ConsumerTerms::of(&options));
        assert_eq!(waiting(&consumers, &consumer, 30_000), 20_002);
        assert!(consumers.release(consumer.number));
        let unread = consumers.deliver(consumer.number, arrived(1));
        assert_eq!(unread, Delivered::Released(SettlementKind::Ack));
    }
}
