//! The commands that deliver and settle messages, and the answers of the broker.

use crate::wire::broker_error::BrokerException;
use crate::wire::destination::WireDestination;
use crate::wire::ids::{ConnectionId, ConsumerId, MessageId, TransactionId};
use crate::wire::macros::wire_struct;
use crate::wire::message::WireMessage;
use crate::wire::wire_field::TailNumber;

wire_struct! {
    /// A change of a consumer, by its broker or by its client.
    ConsumerControl = 17, "ConsumerControl" {
        destination: Option<WireDestination> = "destination",
        /// Whether the broker has removed the consumer.
        closes: bool = "close",
        consumer: Option<ConsumerId> = "consumerId",
        prefetch: i32 = "prefetch",
        flushes: bool = "flush",
        starts: bool = "start",
        stops: bool = "stop",
    }
}

wire_struct! {
    /// A request for one message.
    MessagePull = 20, "MessagePull" {
        consumer: Option<ConsumerId> = "consumerId",
        destination: Option<WireDestination> = "destination",
        /// The time to wait, in milliseconds.
        timeout: i64 = "timeout",
        correlation_id: Option<String> = "correlationId",
        message: Option<MessageId> = "messageId",
    }
}

wire_struct! {
    /// A message for a consumer. Without a message, the queue of a pull was empty.
    MessageDispatch = 21, "MessageDispatch" {
        consumer: Option<ConsumerId> = "consumerId",
        destination: Option<WireDestination> = "destination",
        message: Option<Box<WireMessage>> = "message",
        redeliveries: TailNumber = "redeliveryCounter",
    }
}

wire_struct! {
    /// The settlement of messages of a consumer.
    MessageAck = 22, "MessageAck" {
        destination: Option<WireDestination> = "destination",
        transaction: Option<TransactionId> = "transactionId",
        consumer: Option<ConsumerId> = "consumerId",
        kind: u8 = "ackType",
        first: Option<MessageId> = "firstMessageId",
        last: Option<MessageId> = "lastMessageId",
        count: i32 = "messageCount",
        cause: Option<BrokerException> = "poisonCause",
    }
}

wire_struct! {
    /// An error that belongs to no command of the client.
    ConnectionError = 16, "ConnectionError" {
        exception: Option<BrokerException> = "exception",
        connection: Option<ConnectionId> = "connectionId",
    }
}

wire_struct! {
    /// The success of a command.
    WireResponse = 30, "Response" {
        correlation: i32 = "correlationId",
    }
}

wire_struct! {
    /// The failure of a command.
    ExceptionResponse = 31, "ExceptionResponse" {
        correlation: i32 = "correlationId",
        exception: Option<BrokerException> = "exception",
    }
}

impl MessagePull {
    /// The timeout of a pull that the broker answers at once.
    pub(crate) const AT_ONCE: i64 = -1;
}

impl MessageAck {
    /// A client cannot handle the messages, and the broker moves them to its dead-letter queue.
    pub(crate) const POISON: u8 = 1;
    /// All messages of the consumer from the first to the last are consumed.
    pub(crate) const STANDARD: u8 = 2;
    /// One message is consumed.
    pub(crate) const INDIVIDUAL: u8 = 4;
}
