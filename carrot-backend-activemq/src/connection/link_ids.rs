//! The ids of what a connection adds at the broker.

use crate::connection::broker_link::BrokerLink;
use crate::wire::ids::{
    ConnectionId, ConsumerId, LocalTransactionId, MessageId, ProducerId, SessionId, TransactionId,
};

impl BrokerLink {
    pub(crate) fn connection_id(&self) -> ConnectionId {
        ConnectionId { value: Some(self.name.clone()) }
    }

    pub(crate) fn session_id(&self, session: i64) -> SessionId {
        SessionId { connection: Some(self.name.clone()), value: session }
    }

    pub(crate) fn consumer_id(&self, session: i64, value: i64) -> ConsumerId {
        ConsumerId { connection: Some(self.name.clone()), session, value }
    }

    pub(crate) fn producer_id(&self, session: i64) -> ProducerId {
        ProducerId { connection: Some(self.name.clone()), value: 1, session }
    }

    /// Returns the id of a new message of a session, with its producer.
    pub(crate) fn next_message_id(&self, session: i64) -> MessageId {
        MessageId {
            producer: Some(self.producer_id(session)),
            producer_sequence: self.next_number(),
            ..MessageId::default()
        }
    }

    pub(crate) fn next_transaction_id(&self) -> TransactionId {
        TransactionId::Local(LocalTransactionId {
            value: self.next_number(),
            connection: Some(self.connection_id()),
        })
    }
}
