//! The commands of a channel.

use crate::channel::channel_core::{ChannelCore, SlotPlace};
use crate::channel::purged_messages::{PURGE_PREFETCH, PurgedMessages};
use crate::connection::table_writing::transaction_step;
use crate::wire::command::CommandBody;
use crate::wire::delivery_commands::{ConsumerControl, MessageAck, MessagePull};
use crate::wire::destination::WireDestination;
use crate::wire::ids::{MessageId, RemovedId, TransactionId};
use crate::wire::setup_commands::{ConsumerInfo, ProducerInfo, RemoveInfo, SessionInfo};

/// The consumers before which a pull receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PullTurn {
    /// None. An exclusive consumer excludes the pull.
    Shared,
    /// All, until the consumer of the pull is removed. An exclusive consumer continues then.
    First,
}

/// Returns a consumer as the exclusive one of its queue, whose priority replaces any other.
fn before_all(consumer: ConsumerInfo) -> ConsumerInfo {
    const HIGHEST: i8 = i8::MAX;
    ConsumerInfo { is_exclusive: true, priority: HIGHEST.to_be_bytes()[0], ..consumer }
}

impl ChannelCore {
    pub(crate) fn add_session(&self) -> CommandBody {
        let session = Some(self.link.session_id(self.session));
        CommandBody::Session(SessionInfo { session })
    }

    pub(crate) fn add_producer(&self) -> CommandBody {
        let producer = Some(self.link.producer_id(self.session));
        CommandBody::Producer(ProducerInfo { producer, ..ProducerInfo::default() })
    }

    /// Removes the session, with its remaining consumers.
    pub(crate) fn remove_session(&self) -> CommandBody {
        CommandBody::Remove(RemoveInfo {
            object: Some(RemovedId::Session(self.link.session_id(self.session))),
            last_delivered: RemoveInfo::NOT_DELIVERED,
        })
    }

    /// Adds a consumer that receives what it pulls.
    pub(crate) fn add_puller(
        &self,
        slot: i64,
        destination: &WireDestination,
        turn: PullTurn,
    ) -> CommandBody {
        let consumer = self.consumer(slot, destination, 0);
        CommandBody::Consumer(match turn {
            PullTurn::Shared => consumer,
            PullTurn::First => before_all(consumer),
        })
    }

    /// Adds a consumer that receives the ready messages of a queue before all others.
    pub(crate) fn add_purger(&self, slot: i64, destination: &WireDestination) -> CommandBody {
        let consumer = self.consumer(slot, destination, PURGE_PREFETCH.into());
        CommandBody::Consumer(ConsumerInfo { has_no_range_acks: false, ..before_all(consumer) })
    }

    /// Adds a consumer of a subscription.
    pub(crate) fn add_slot(
        &self,
        slot: i64,
        destination: &WireDestination,
        prefetch: i32,
        place: SlotPlace,
    ) -> CommandBody {
        CommandBody::Consumer(ConsumerInfo {
            priority: place.priority.to_be_bytes()[0],
            is_exclusive: place.is_exclusive,
            ..self.consumer(slot, destination, prefetch)
        })
    }

    fn consumer(&self, slot: i64, destination: &WireDestination, prefetch: i32) -> ConsumerInfo {
        ConsumerInfo {
            consumer: Some(self.link.consumer_id(self.session, slot)),
            destination: Some(destination.clone()),
            prefetch,
            is_dispatch_async: true,
            has_no_range_acks: true,
            ..ConsumerInfo::default()
        }
    }

    /// Returns the command that stops deliveries to a consumer.
    pub(crate) fn stop_slot(&self, slot: i64, destination: &WireDestination) -> CommandBody {
        CommandBody::Control(ConsumerControl {
            destination: Some(destination.clone()),
            consumer: Some(self.link.consumer_id(self.session, slot)),
            prefetch: 0,
            ..ConsumerControl::default()
        })
    }

    /// Removes a consumer. Its message returns to the queue.
    pub(crate) fn remove_slot(&self, slot: i64, last_delivered: i64) -> CommandBody {
        CommandBody::Remove(RemoveInfo {
            object: Some(RemovedId::Consumer(self.link.consumer_id(self.session, slot))),
            last_delivered,
        })
    }

    pub(crate) fn pull(&self, slot: i64, destination: &WireDestination) -> CommandBody {
        CommandBody::Pull(MessagePull {
            consumer: Some(self.link.consumer_id(self.session, slot)),
            destination: Some(destination.clone()),
            timeout: MessagePull::AT_ONCE,
            ..MessagePull::default()
        })
    }

    pub(crate) fn acknowledge(
        &self,
        slot: i64,
        destination: &WireDestination,
        message: &MessageId,
    ) -> CommandBody {
        CommandBody::Ack(MessageAck {
            destination: Some(destination.clone()),
            consumer: Some(self.link.consumer_id(self.session, slot)),
            kind: MessageAck::INDIVIDUAL,
            first: Some(message.clone()),
            last: Some(message.clone()),
            count: 1,
            ..MessageAck::default()
        })
    }

    /// Moves a message to the dead-letter queue of the broker.
    pub(crate) fn poison(
        &self,
        slot: i64,
        destination: &WireDestination,
        message: &MessageId,
    ) -> CommandBody {
        match self.acknowledge(slot, destination, message) {
            CommandBody::Ack(ack) => {
                CommandBody::Ack(MessageAck { kind: MessageAck::POISON, ..ack })
            }
            other => other,
        }
    }

    /// Consumes the messages of a range; `None` if there are none.
    pub(crate) fn acknowledge_range(
        &self,
        slot: i64,
        destination: &WireDestination,
        purged: PurgedMessages,
    ) -> Option<CommandBody> {
        let count = purged.count();
        let (first, last) = purged.into_range()?;
        Some(CommandBody::Ack(MessageAck {
            destination: Some(destination.clone()),
            consumer: Some(self.link.consumer_id(self.session, slot)),
            kind: MessageAck::STANDARD,
            first: Some(first),
            last: Some(last),
            count: i32::try_from(count).unwrap_or(i32::MAX),
            ..MessageAck::default()
        }))
    }

    /// A step of a transaction.
    pub(crate) fn step(&self, transaction: &TransactionId, step: u8) -> CommandBody {
        transaction_step(self.link.connection_id(), transaction, step)
    }

    /// Adds or removes a queue.
    pub(crate) fn change_queue(&self, destination: &WireDestination, operation: u8) -> CommandBody {
        self.link.queue_change(destination, operation)
    }
}
