//! The names of connections, sessions, consumers, producers, messages and transactions.

use crate::wire::error::OpenWireError;
use crate::wire::macros::{wire_object, wire_struct};
use crate::wire::wire_field::WireObject;
use crate::wire::wire_reader::WireReader;

wire_struct! {
    /// The name of a connection.
    ConnectionId = 120, "a connection id" {
        value: Option<String> = "value",
    }
}

wire_struct! {
    /// The name of a session, which is the number of a channel on its connection.
    SessionId = 121, "a session id" {
        connection: Option<String> = "connectionId",
        value: i64 = "value",
    }
}

wire_struct! {
    /// The name of a consumer.
    ConsumerId = 122, "a consumer id" {
        connection: Option<String> = "connectionId",
        session: i64 = "sessionId",
        value: i64 = "value",
    }
}

wire_struct! {
    /// The name of a producer.
    ProducerId = 123, "a producer id" {
        connection: Option<String> = "connectionId",
        value: i64 = "value",
        session: i64 = "sessionId",
    }
}

wire_struct! {
    /// The name of a broker.
    BrokerId = 124, "a broker id" {
        value: Option<String> = "value",
    }
}

wire_struct! {
    /// The name of a message.
    MessageId = 110, "a message id" {
        /// The name as another protocol writes it.
        text_view: Option<String> = "textView",
        producer: Option<ProducerId> = "producerId",
        /// The number of the message at its producer.
        producer_sequence: i64 = "producerSequenceId",
        /// The number of the message at its broker.
        broker_sequence: i64 = "brokerSequenceId",
    }
}

wire_struct! {
    /// The name of a transaction of one connection.
    LocalTransactionId = 111, "a local transaction id" {
        value: i64 = "value",
        connection: Option<ConnectionId> = "connectionId",
    }
}

wire_struct! {
    /// The name of a distributed transaction.
    XaTransactionId = 112, "an XA transaction id" {
        format: i32 = "formatId",
        global: Option<Vec<u8>> = "globalTransactionId",
        branch: Option<Vec<u8>> = "branchQualifier",
    }
}

wire_object!(ConnectionId SessionId ConsumerId ProducerId BrokerId MessageId);

/// The name of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TransactionId {
    Local(LocalTransactionId),
    Xa(XaTransactionId),
}

impl WireObject for TransactionId {
    fn read_object(
        kind: u8,
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<TransactionId, OpenWireError> {
        match kind {
            LocalTransactionId::KIND => LocalTransactionId::read(reader).map(TransactionId::Local),
            XaTransactionId::KIND => XaTransactionId::read(reader).map(TransactionId::Xa),
            _ => Err(OpenWireError::ObjectKind { within: reader.within(), field, kind }),
        }
    }

    fn write_object(&self, out: &mut Vec<u8>) {
        match self {
            TransactionId::Local(id) => {
                out.push(LocalTransactionId::KIND);
                id.write(out);
            }
            TransactionId::Xa(id) => {
                out.push(XaTransactionId::KIND);
                id.write(out);
            }
        }
    }
}

/// The object that a client removes: a connection, a session, a consumer or a producer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RemovedId {
    Connection(ConnectionId),
    Session(SessionId),
    Consumer(ConsumerId),
    Producer(ProducerId),
}

impl WireObject for RemovedId {
    fn read_object(
        kind: u8,
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<RemovedId, OpenWireError> {
        match kind {
            ConnectionId::KIND => ConnectionId::read(reader).map(RemovedId::Connection),
            SessionId::KIND => SessionId::read(reader).map(RemovedId::Session),
            ConsumerId::KIND => ConsumerId::read(reader).map(RemovedId::Consumer),
            ProducerId::KIND => ProducerId::read(reader).map(RemovedId::Producer),
            _ => Err(OpenWireError::ObjectKind { within: reader.within(), field, kind }),
        }
    }

    fn write_object(&self, out: &mut Vec<u8>) {
        match self {
            RemovedId::Connection(id) => id.write_object(out),
            RemovedId::Session(id) => id.write_object(out),
            RemovedId::Consumer(id) => id.write_object(out),
            RemovedId::Producer(id) => id.write_object(out),
        }
    }
}
