//! The commands of a channel.

use crate::channel::channel_core::ChannelCore;
use crate::wire::command::CommandBody;
use crate::wire::delivery_commands::{MessageAck, MessagePull};
use crate::wire::destination::WireDestination;
use crate::wire::ids::{MessageId, RemovedId};
use crate::wire::setup_commands::{
    ConsumerInfo, DestinationInfo, ProducerInfo, RemoveInfo, SessionInfo,
};

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

    /// Adds a consumer. With a prefetch of 0, it receives what it pulls.
    pub(crate) fn add_slot(
        &self,
        slot: i64,
        destination: &WireDestination,
        prefetch: i32,
        priority: i8,
    ) -> CommandBody {
        CommandBody::Consumer(ConsumerInfo {
            consumer: Some(self.link.consumer_id(self.session, slot)),
            destination: Some(destination.clone()),
            prefetch,
            priority: priority.to_be_bytes()[0],
            has_no_range_acks: true,
            ..ConsumerInfo::default()
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

    /// Adds or removes a queue.
    pub(crate) fn change_queue(&self, destination: &WireDestination, operation: u8) -> CommandBody {
        CommandBody::Destination(DestinationInfo {
            connection: Some(self.link.connection_id()),
            destination: Some(destination.clone()),
            operation,
            ..DestinationInfo::default()
        })
    }
}
