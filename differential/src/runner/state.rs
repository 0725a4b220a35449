use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, Declare, Delivery, DeliveryTag,
    PublishTag, Subscription,
};
use carrot_core::{Error, Exchange, Result};

use super::log::RunLog;
use crate::broker::{DefaultQueueType, TestBroker};
use crate::names::Names;
use crate::program::{CHANNELS, CONNECTIONS, UNCONFIRMED, connection_of};
use crate::text;
use crate::unspecified::{QueueArrivals, TimingCheck, Unspecified};

/// The time limit of every call.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// The state of a run.
pub(super) struct Runner<'a> {
    pub(super) broker: &'a dyn TestBroker,
    pub(super) names: Names,
    pub(super) connections: [Option<Arc<dyn Connector>>; CONNECTIONS],
    pub(super) observers: [Option<Arc<dyn Backend>>; CONNECTIONS],
    pub(super) channels: [Option<ChannelState>; CHANNELS as usize],
    pub(super) subscribers: Vec<Subscriber>,
    pub(super) queues: Vec<KnownQueue>,
    /// The queues that were declared with a single active consumer.
    pub(super) single_active: BTreeSet<String>,
    /// The queues whose messages expire and are dead-lettered, and those of them that have a
    /// maximum length.
    pub(super) expiring: BTreeSet<String>,
    pub(super) limited_and_expiring: BTreeSet<String>,
    /// Whether a quorum queue was declared, or may be, as the default type.
    pub(super) has_quorum_queue: bool,
    /// The queues that dead-letter at least once.
    pub(super) at_least_once: BTreeSet<String>,
    pub(super) published: u32,
    pub(super) arrivals: QueueArrivals,
    pub(super) timing: TimingCheck,
    pub(super) index: usize,
    pub(super) patience: Duration,
    /// Whether the broker may still requeue messages of an ended channel, or add an unconfirmed one
    /// to a quorum queue, and the next observation may not show that.
    pub(super) effect_pending: bool,
    pub(super) log: RunLog,
}

/// A channel, open or failed.
pub(super) struct ChannelState {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) failed: bool,
    pub(super) received: Vec<ReceivedDelivery>,
    pub(super) unconfirmed: Vec<(u32, PublishTag)>,
    /// The queues of all present and past consumers of the channel; the consumers themselves, in a
    /// program with a quorum queue. Delivery tags are compared if there is one at most.
    pub(super) sources: BTreeSet<String>,
}

/// A delivery that the run has received.
pub(super) struct ReceivedDelivery {
    pub(super) tag: DeliveryTag,
    /// The index of the consumer; `None` after a get.
    pub(super) consumer: Option<usize>,
    pub(super) settled: bool,
}

/// A consumer that the run has started.
pub(super) struct Subscriber {
    pub(super) channel: u8,
    /// `None` once the subscription has ended or was dropped.
    pub(super) subscription: Option<Box<dyn Subscription>>,
    pub(super) queue: String,
    pub(super) acknowledgement: Acknowledgement,
    pub(super) lazy: bool,
}

pub(super) struct KnownQueue {
    pub(super) name: String,
    /// The connection that the queue is exclusive to.
    pub(super) owner: Option<usize>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(broker: &'a dyn TestBroker, prefix: &str) -> Runner<'a> {
        Runner {
            broker,
            names: Names::new(prefix),
            connections: Default::default(),
            observers: Default::default(),
            channels: Default::default(),
            subscribers: Vec::new(),
            queues: Vec::new(),
            single_active: BTreeSet::new(),
            expiring: BTreeSet::new(),
            limited_and_expiring: BTreeSet::new(),
            at_least_once: BTreeSet::new(),
            has_quorum_queue: broker.default_type() == DefaultQueueType::Quorum,
            published: 0,
            arrivals: QueueArrivals::default(),
            timing: TimingCheck::new(),
            index: 0,
            patience: Duration::ZERO,
            effect_pending: false,
            log: RunLog::default(),
        }
    }

    /// Closes the connections, and returns the log.
    pub(super) fn finish(mut self) -> RunLog {
        self.subscribers.clear();
        self.channels = Default::default();
        self.observers = Default::default();
        for connector in self.connections.iter_mut().filter_map(Option::take) {
            let _ = connector.close(DEADLINE);
        }
        self.log
    }

    /// Records that AMQP does not specify the behaviour after this step.
    pub(super) fn note_unspecified(&mut self, freedom: Unspecified) {
        let index = self.index;
        self.log.unspecified.get_or_insert((index, freedom));
    }

    /// Returns the connector of a connection slot. Connects if necessary.
    pub(super) fn connection(&mut self, slot: usize) -> &Arc<dyn Connector> {
        let broker = self.broker;
        self.connections[slot].get_or_insert_with(|| broker.connect())
    }

    /// Returns the channel of a slot. Opens a channel if there is none, or if it has failed and
    /// `even_if_failed` is `false`.
    pub(super) fn channel(&mut self, slot: u8, even_if_failed: bool) -> Result<Arc<dyn Backend>> {
        match &self.channels[usize::from(slot)] {
            Some(channel) if even_if_failed || !channel.failed => {
                return Ok(Arc::clone(&channel.backend));
            }
            _ => {}
        }
        self.drop_channel(slot);
        let options = match slot {
            UNCONFIRMED => ChannelOptions::publish().without_confirms(),
            _ => ChannelOptions::publish(),
        };
        let backend = self.connection(connection_of(slot)).open(&options, DEADLINE)?;
        let channel = ChannelState {
            backend: Arc::clone(&backend),
            failed: false,
            received: Vec::new(),
            unconfirmed: Vec::new(),
            sources: BTreeSet::new(),
        };
        self.channels[usize::from(slot)] = Some(channel);
        Ok(backend)
    }

    /// Drops the channel of a slot and its subscriptions.
    pub(super) fn drop_channel(&mut self, slot: u8) {
        self.before_end(slot);
        for subscriber in
            self.subscribers.iter_mut().filter(|subscriber| subscriber.channel == slot)
        {
            subscriber.subscription = None;
        }
        self.channels[usize::from(slot)] = None;
    }

    /// Records an error, and its effect on the channel and its connection.
    pub(super) fn fail(&mut self, slot: u8, error: &Error) {
        self.log.notes.push(format!("operation {}: {error:?}", self.index));
        let lost = matches!(error, Error::Disconnected { .. } | Error::HardError { .. });
        let failed = error.is_channel_error()
            || error.is_disconnected()
            || lost
            || matches!(error, Error::Timeout { .. } | Error::Closed { .. });
        if !failed {
            return;
        }
        self.mark_failed(slot);
        if lost {
            self.connection_ended(connection_of(slot));
        }
    }

    /// Records that the channel has failed.
    pub(super) fn mark_failed(&mut self, slot: u8) {
        self.before_end(slot);
        if let Some(channel) = &mut self.channels[usize::from(slot)] {
            channel.failed = true;
            channel.unconfirmed.clear();
        }
    }

    /// Records the messages that the broker requeues because the channel ends, before it ends.
    fn before_end(&mut self, slot: u8) {
        let Some(channel) =
            self.channels[usize::from(slot)].as_ref().filter(|channel| !channel.failed)
        else {
            return;
        };
        let live = |subscriber: &&Subscriber| {
            subscriber.channel == slot && subscriber.subscription.is_some()
        };
        let unsettled = channel.received.iter().filter(|delivery| !delivery.settled);
        let mut requeued: Vec<Option<&str>> = unsettled
            .map(|delivery| delivery.consumer.map(|index| &*self.subscribers[index].queue))
            .collect();
        requeued.extend(
            self.subscribers
                .iter()
                .filter(live)
                .filter(|live| live.lazy)
                .map(|lazy| Some(&*lazy.queue)),
        );
        self.effect_pending |= !requeued.is_empty()
            && self.subscribers.iter().any(|other| other.lazy && other.subscription.is_some());
        let mut single_active: Vec<&str> = self
            .subscribers
            .iter()
            .filter(live)
            .map(|subscriber| &*subscriber.queue)
            .filter(|queue| self.single_active.contains(*queue))
            .collect();
        single_active.sort_unstable();
        let has_several_of_one = single_active.windows(2).any(|pair| pair[0] == pair[1]);
        let is_passed_on =
            has_several_of_one || (self.has_quorum_queue && !single_active.is_empty());
        let holders: Vec<Option<usize>> = channel
            .received
            .iter()
            .filter(|delivery| !delivery.settled)
            .map(|delivery| delivery.consumer)
            .collect();
        let has_one_holder = holders.len() < 2
            || holders.iter().all(|holder| holder.is_some() && *holder == holders[0]);
        let has_lazy = self.subscribers.iter().filter(live).any(|live| live.lazy);
        let consumes_another = self
            .subscribers
            .iter()
            .filter(live)
            .any(|consumer| requeued.iter().any(|queue| *queue != Some(&*consumer.queue)));
        let freedoms = [
            (consumes_another, Unspecified::ChannelOfSeveralQueues),
            (is_passed_on, Unspecified::SingleActiveConsumer),
            (self.has_quorum_queue && !has_one_holder, Unspecified::SeveralConsumers),
            (self.has_quorum_queue && has_lazy, Unspecified::LateDelivery),
        ];
        for (_, freedom) in freedoms.into_iter().filter(|(applies, _)| *applies) {
            self.note_unspecified(freedom);
        }
    }

    /// Records that all channels of a connection have ended.
    pub(super) fn connection_ended(&mut self, connection: usize) {
        let live = |subscriber: &Subscriber| subscriber.subscription.is_some();
        let busy = (0..CHANNELS).filter(|slot| connection_of(*slot) == connection).filter(|slot| {
            let holds = self.channels[usize::from(*slot)]
                .as_ref()
                .is_some_and(|channel| channel.received.iter().any(|delivery| !delivery.settled));
            holds
                || self
                    .subscribers
                    .iter()
                    .any(|subscriber| subscriber.channel == *slot && live(subscriber))
        });
        if busy.count() > 1 {
            self.note_unspecified(Unspecified::BusyConnection);
        }
        for slot in (0..CHANNELS).filter(|slot| connection_of(*slot) == connection) {
            self.mark_failed(slot);
        }
        self.observers[connection] = None;
    }

    /// Records a queue that exists.
    pub(super) fn know_queue(&mut self, name: &str, owner: Option<usize>) {
        self.log.created.queues.insert(name.to_string());
        if !self.queues.iter().any(|queue| queue.name == name) {
            self.queues.push(KnownQueue { name: name.to_string(), owner });
            self.names.know_queues(self.queues.iter().map(|queue| queue.name.clone()));
        }
    }

    /// Formats the result of a call, and records an error.
    pub(super) fn line(&mut self, slot: u8, result: Result<String>) -> String {
        match result {
            Ok(text) => text,
            Err(error) => {
                self.fail(slot, &error);
                text::error(&error)
            }
        }
    }

    /// Formats a delivery.
    pub(super) fn delivery(&self, delivery: &Delivery, with_tag: bool) -> String {
        let tag = if with_tag { format!("tag={} ", delivery.tag.0) } else { String::new() };
        let text = format!(
            "{tag}redelivered={} {}",
            delivery.redelivered,
            text::content(&delivery.content)
        );
        self.names.symbolic(&text)
    }

    /// Calls the broker without an effect, for one round trip. The broker has then processed all
    /// earlier calls of the channel.
    pub(super) fn synchronise(channel: &dyn Backend) -> Result<()> {
        channel.declare(Declare::Exchange(&Exchange::existing("amq.direct")), DEADLINE).map(drop)
    }
}
