//! Blocks and unblocks the publishers of a broker.

use std::sync::Arc;

use crate::broker::alarms::BrokerAlarms;
use crate::broker::{BrokerShared, OpenConnection};
use crate::sync::lock;

impl BrokerShared {
    /// Changes the reasons to block publishers. On return, publications that were held back are
    /// published if no reason is left.
    ///
    /// Returns the connections whose observers the caller notifies, once it holds no lock.
    #[must_use]
    pub(crate) fn change_alarms(
        &self,
        change: impl FnOnce(&mut BrokerAlarms),
    ) -> Vec<Arc<dyn OpenConnection>> {
        let mut alarms = lock(&self.alarms);
        let was_blocked = alarms.reason().is_some();
        change(&mut alarms);
        let connections = self.connections();
        match alarms.reason() {
            Some(reason) => connections.iter().for_each(|connection| connection.block(&reason)),
            None if was_blocked => {
                connections.iter().for_each(|connection| connection.unblock());
                return connections;
            }
            None => {}
        }
        Vec::new()
    }
}
