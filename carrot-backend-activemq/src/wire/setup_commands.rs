//! The commands that open and remove connections, sessions, producers, consumers and queues.

use std::fmt;

use crate::wire::destination::WireDestination;
use crate::wire::error::OpenWireError;
use crate::wire::ids::{
    BrokerId, ConnectionId, ConsumerId, ProducerId, RemovedId, SessionId, TransactionId,
};
use crate::wire::macros::{wire_object, wire_struct};
use crate::wire::wire_field::{WireField, WireObject};
use crate::wire::wire_reader::WireReader;

wire_struct! {
    /// The first fields of what a broker says of itself. A client has no use for the others.
    BrokerInfo = 2, "BrokerInfo" {
        id: Option<BrokerId> = "brokerId",
        url: Option<String> = "brokerURL",
    }
}

wire_struct! {
    /// A connection of a client.
    ConnectionInfo = 3, "ConnectionInfo" {
        connection: Option<ConnectionId> = "connectionId",
        client: Option<String> = "clientId",
        password: WirePassword = "password",
        user: Option<String> = "userName",
        broker_path: Vec<BrokerId> = "brokerPath",
        is_broker_master: bool = "brokerMasterConnector",
        is_manageable: bool = "manageable",
        is_client_master: bool = "clientMaster",
        is_fault_tolerant: bool = "faultTolerant",
        is_failover: bool = "failoverReconnect",
        client_ip: Option<String> = "clientIp",
    }
}

wire_struct! {
    /// A session of a connection.
    SessionInfo = 4, "SessionInfo" {
        session: Option<SessionId> = "sessionId",
    }
}

wire_struct! {
    /// A consumer of a session.
    ConsumerInfo = 5, "ConsumerInfo" {
        consumer: Option<ConsumerId> = "consumerId",
        is_browser: bool = "browser",
        destination: Option<WireDestination> = "destination",
        /// The most messages that the consumer has not acknowledged.
        prefetch: i32 = "prefetchSize",
        max_pending: i32 = "maximumPendingMessageLimit",
        is_dispatch_async: bool = "dispatchAsync",
        selector: Option<String> = "selector",
        client: Option<String> = "clientId",
        subscription: Option<String> = "subscriptionName",
        is_no_local: bool = "noLocal",
        is_exclusive: bool = "exclusive",
        is_retroactive: bool = "retroactive",
        priority: u8 = "priority",
        broker_path: Vec<BrokerId> = "brokerPath",
        predicate: Option<NoObject> = "additionalPredicate",
        is_network: bool = "networkSubscription",
        is_optimized: bool = "optimizedAcknowledge",
        has_no_range_acks: bool = "noRangeAcks",
        network_path: Vec<ConsumerId> = "networkConsumerPath",
    }
}

wire_struct! {
    /// A producer of a session.
    ProducerInfo = 6, "ProducerInfo" {
        producer: Option<ProducerId> = "producerId",
        destination: Option<WireDestination> = "destination",
        broker_path: Vec<BrokerId> = "brokerPath",
        is_dispatch_async: bool = "dispatchAsync",
        window: i32 = "windowSize",
    }
}

wire_struct! {
    /// A step of a transaction.
    TransactionInfo = 7, "TransactionInfo" {
        connection: Option<ConnectionId> = "connectionId",
        transaction: Option<TransactionId> = "transactionId",
        step: u8 = "type",
    }
}

wire_struct! {
    /// A queue or topic that is added or removed.
    DestinationInfo = 8, "DestinationInfo" {
        connection: Option<ConnectionId> = "connectionId",
        destination: Option<WireDestination> = "destination",
        operation: u8 = "operationType",
        timeout: i64 = "timeout",
        broker_path: Vec<BrokerId> = "brokerPath",
    }
}

wire_struct! {
    /// The removal of a connection, a session, a consumer or a producer.
    RemoveInfo = 12, "RemoveInfo" {
        object: Option<RemovedId> = "objectId",
        last_delivered: i64 = "lastDeliveredSequenceId",
    }
}

impl DestinationInfo {
    /// The operation that adds a destination.
    pub(crate) const ADD: u8 = 0;
    /// The operation that removes a destination.
    pub(crate) const REMOVE: u8 = 1;
}

impl TransactionInfo {
    /// The step that begins a transaction.
    pub(crate) const BEGIN: u8 = 0;
    /// The step that commits a transaction of one connection.
    pub(crate) const COMMIT: u8 = 2;
    /// Ends a transaction without an effect, also one whose commit has failed.
    pub(crate) const ROLLBACK: u8 = 4;
}

impl RemoveInfo {
    /// The messages of a removed consumer were not delivered. The broker does not mark them.
    pub(crate) const NOT_DELIVERED: i64 = -1;
    /// The messages of a removed consumer may have been delivered. The broker marks them as
    /// redelivered.
    pub(crate) const DELIVERED: i64 = -2;
}

/// An object that no field of a client holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NoObject {}

impl WireObject for NoObject {
    fn read_object(
        kind: u8,
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<NoObject, OpenWireError> {
        Err(OpenWireError::ObjectKind { within: reader.within(), field, kind })
    }

    fn write_object(&self, _: &mut Vec<u8>) {
        match *self {}
    }
}

wire_object!(DestinationInfo);

/// A password, which no output contains.
#[derive(Clone, PartialEq, Default)]
pub(crate) struct WirePassword(pub(crate) Option<String>);

impl WireField for WirePassword {
    fn read_field(
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<WirePassword, OpenWireError> {
        WireField::read_field(reader, field).map(WirePassword)
    }

    fn write_field(&self, out: &mut Vec<u8>) {
        self.0.write_field(out);
    }
}

impl fmt::Debug for WirePassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "***" } else { "none" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_not_shown() {
        let password = WirePassword(Some("hush".into()));
        let info = ConnectionInfo { password, ..ConnectionInfo::default() };
        assert!(!format!("{info:?}").contains("hush"));
    }
}
