//! The inbox of one subscription, and the threads that wait at it.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar};

use carrot_core::Error;
use carrot_core::backend::{Delivery, ShortString};

use crate::channel::output::{ChannelEvent, ChannelOutput};
use crate::queue::BrokerQueue;
use crate::queue::arguments::QueueKind;
use crate::queue::sink::ConsumerKey;

/// The inbox of one subscription, under the lock of its channel.
#[derive(Debug)]
pub(crate) struct SubscriptionInbox {
    pub(crate) id: u64,
    /// The queue that fills the inbox; `None` for direct replies, whose tags are those of other
    /// deliveries.
    pub(crate) queue: Option<Arc<BrokerQueue>>,
    /// The queue's consumer, until the subscription ends.
    pub(crate) consumer: Option<ConsumerKey>,
    pub(crate) deliveries: VecDeque<Delivery>,
    pub(crate) arrived: Arc<Condvar>,
    /// The number of threads that sleep until something arrives. Woken threads count until they
    /// run.
    pub(crate) waiting: usize,
    /// The number of woken threads among them.
    pub(crate) woken: usize,
    /// Whether a thread that found the inbox empty is about to look again.
    pub(crate) searching: bool,
    pub(crate) ended: Option<Error>,
    /// Where the deliveries go instead, on a channel of a session.
    peer: Option<PeerConsumer>,
}

/// A consumer of a session's peer.
#[derive(Debug, Clone)]
pub(crate) struct PeerConsumer {
    pub(crate) consumer_tag: ShortString,
    pub(crate) output: Arc<dyn ChannelOutput>,
}

impl SubscriptionInbox {
    pub(crate) fn new(
        id: u64,
        queue: Option<Arc<BrokerQueue>>,
        arrived: Arc<Condvar>,
        peer: Option<PeerConsumer>,
    ) -> SubscriptionInbox {
        SubscriptionInbox {
            id,
            queue,
            consumer: None,
            deliveries: VecDeque::new(),
            arrived,
            waiting: 0,
            woken: 0,
            searching: false,
            ended: None,
            peer,
        }
    }

    /// Adds a delivery, or sends it to the session's peer. Returns as [`waiter`](Self::waiter).
    #[must_use]
    pub(crate) fn add(&mut self, delivery: Delivery) -> Option<Arc<Condvar>> {
        if let Some(PeerConsumer { consumer_tag, output }) = &self.peer {
            let consumer_tag = consumer_tag.clone();
            output.send(ChannelEvent::Delivered { consumer_tag, delivery });
            return None;
        }
        self.deliveries.push_back(delivery);
        self.waiter()
    }

    /// Whether a quorum queue fills the inbox.
    pub(crate) fn is_of_quorum_queue(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| matches!(queue.kind(), QueueKind::Quorum { .. }))
    }

    /// Whether the session's peer can take more deliveries, if the inbox is of one.
    pub(crate) fn has_room(&self) -> bool {
        self.peer.as_ref().is_none_or(|peer| peer.output.has_room())
    }

    /// Returns the consumer of the session's peer, if the inbox is of one.
    pub(crate) fn peer(&self) -> Option<&PeerConsumer> {
        self.peer.as_ref()
    }

    /// Returns the condition variable to notify, once no lock is held, after something arrived or
    /// was taken.
    ///
    /// One thread is woken at a time: it takes a message, and wakes the next thread if there are
    /// more.
    #[must_use]
    pub(crate) fn waiter(&mut self) -> Option<Arc<Condvar>> {
        if self.waiting == 0 || self.woken > 0 || self.searching || self.deliveries.is_empty() {
            return None;
        }
        self.woken = 1;
        Some(Arc::clone(&self.arrived))
    }

    /// Notes that a thread that slept runs again.
    pub(crate) fn note_wake_up(&mut self) {
        self.waiting -= 1;
        self.woken = self.woken.saturating_sub(1);
    }

    /// Returns the queue and its consumer, unless the subscription has ended.
    pub(crate) fn take_consumer(&mut self) -> Option<(Arc<BrokerQueue>, ConsumerKey)> {
        let consumer = self.consumer.take()?;
        Some((self.queue.clone()?, consumer))
    }

    /// Drops the deliveries, and wakes all waiting threads. Returns as
    /// [`take_consumer`](Self::take_consumer).
    pub(crate) fn close(&mut self) -> Option<(Arc<BrokerQueue>, ConsumerKey)> {
        drop(mem::take(&mut self.deliveries));
        self.arrived.notify_all();
        self.take_consumer()
    }

    /// Returns the tags of the deliveries that no thread has taken.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = u64> {
        self.deliveries.iter().filter(|_| self.queue.is_some()).map(|delivery| delivery.tag.0)
    }
}
