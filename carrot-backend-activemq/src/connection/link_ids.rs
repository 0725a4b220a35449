//! The ids of what a connection adds at the broker.

use crate::connection::broker_link::BrokerLink;
use crate::wire::ids::{ConnectionId, ConsumerId, ProducerId, SessionId};

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
}
