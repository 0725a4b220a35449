//! The settlements of a transaction that is not committed.

use crate::channel::unacked::UnackedDelivery;
use crate::queue::state::SettleAction;

/// Deliveries that were settled in a transaction, in the order of the settlements.
#[derive(Debug, Default)]
pub(crate) struct PendingSettlements {
    settlements: Vec<(SettleAction, Vec<(u64, UnackedDelivery)>)>,
    /// The number of the deliveries that consumers received.
    consumed: usize,
}

impl PendingSettlements {
    pub(crate) fn add(&mut self, action: SettleAction, deliveries: Vec<(u64, UnackedDelivery)>) {
        self.consumed += deliveries.iter().filter(|(_, unacked)| unacked.is_consumed()).count();
        self.settlements.push((action, deliveries));
    }

    /// Returns the number of the deliveries that consumers received.
    pub(crate) fn consumed(&self) -> usize {
        self.consumed
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &UnackedDelivery)> {
        let deliveries = self.settlements.iter().flat_map(|(_, deliveries)| deliveries);
        deliveries.map(|(tag, unacked)| (*tag, unacked))
    }

    /// Takes the settlements, to carry them out.
    pub(crate) fn take(&mut self) -> Vec<(SettleAction, Vec<(u64, UnackedDelivery)>)> {
        std::mem::take(self).settlements
    }

    /// Takes the deliveries with their tags. They are not settled.
    pub(crate) fn take_all(&mut self) -> Vec<(u64, UnackedDelivery)> {
        self.take().into_iter().flat_map(|(_, deliveries)| deliveries).collect()
    }
}
