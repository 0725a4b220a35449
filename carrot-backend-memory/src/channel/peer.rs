//! The parts of a channel that only sessions use: room, transactions, and consumer tags.

use std::sync::Arc;

use carrot_core::backend::DeliveryTag;

use crate::channel::BrokerChannel;
use crate::channel::inbox::PeerConsumer;
use crate::channel::output::ChannelEvent;
use crate::channel::unacked::UnackedDelivery;
use crate::queue::BrokerQueue;
use crate::queue::sink::ConsumerKey;
use crate::queue::state::SettleAction;
use crate::sync::lock;

impl BrokerChannel {
    /// Removes the inbox of a consumer whose queue was deleted, and reports that to the peer.
    pub(crate) fn cancel_peer(&self, inbox: u64) {
        let mut state = lock(&self.state);
        let Some(index) = state.find(inbox) else { return };
        let Some(peer) = state.inboxes[index].peer().cloned() else { return };
        state.inboxes.remove(index);
        peer.output.send(ChannelEvent::Cancelled { consumer_tag: peer.consumer_tag });
    }

    /// Returns the inbox of the consumer with this tag.
    pub(crate) fn inbox_of(&self, consumer_tag: &[u8]) -> Option<u64> {
        let state = lock(&self.state);
        let has_tag = |peer: &PeerConsumer| peer.consumer_tag.as_bytes() == consumer_tag;
        state.inboxes.iter().find(|inbox| inbox.peer().is_some_and(has_tag)).map(|inbox| inbox.id)
    }

    /// Returns whether the inbox is of direct replies.
    pub(crate) fn is_of_replies(&self, inbox: u64) -> bool {
        let state = lock(&self.state);
        state.find(inbox).is_some_and(|index| state.inboxes[index].queue.is_none())
    }

    /// Limits the unacknowledged deliveries of all consumers together. Returns whether there was or
    /// is a limit.
    pub(crate) fn set_prefetch(&self, most: Option<usize>) -> bool {
        let before = std::mem::replace(&mut lock(&self.state).prefetch, most);
        before.is_some() || most.is_some()
    }

    /// Whether the unacknowledged deliveries of all consumers together are limited.
    pub(crate) fn has_prefetch(&self) -> bool {
        lock(&self.state).prefetch.is_some()
    }

    /// Notes that settlements begin or end. The caller serves the queues after the end.
    pub(crate) fn note_settling(&self, begins: bool) {
        let mut state = lock(&self.state);
        state.is_settling = begins && state.prefetch.is_some();
    }

    /// Returns the queues of the consumers, once, if a message was not delivered for lack of room.
    /// Each time another queue is the first, so that all queues get their turn.
    pub(crate) fn queues_to_resume(&self) -> Vec<Arc<BrokerQueue>> {
        let mut state = lock(&self.state);
        if !std::mem::take(&mut state.lacked_room) {
            return Vec::new();
        }
        let mut queues: Vec<Arc<BrokerQueue>> =
            state.inboxes.iter().filter_map(|inbox| inbox.queue.clone()).collect();
        queues.sort_unstable_by_key(|queue| queue.id);
        queues.dedup_by_key(|queue| queue.id);
        if let Some(first) = state.resumed.checked_rem(queues.len()) {
            queues.rotate_left(first);
        }
        state.resumed = state.resumed.wrapping_add(1);
        queues
    }

    /// Takes all unacknowledged deliveries, but not those that were settled in a transaction.
    pub(crate) fn take_unacked(&self) -> Vec<UnackedDelivery> {
        lock(&self.state).unacked.take_all()
    }

    /// Takes the unacknowledged deliveries of a consumer, except those that `is_seen` accepts.
    pub(crate) fn take_unseen(
        &self,
        queue: &Arc<BrokerQueue>,
        consumer: ConsumerKey,
        mut is_seen: impl FnMut(DeliveryTag) -> bool,
    ) -> Vec<UnackedDelivery> {
        let mut state = lock(&self.state);
        let is_of_consumer = |unacked: &UnackedDelivery| {
            unacked.delivery.consumer == consumer && Arc::ptr_eq(&unacked.queue, queue)
        };
        let unseen: Vec<u64> = state
            .unacked
            .iter()
            .filter(|(_, unacked)| is_of_consumer(unacked))
            .map(|(tag, _)| tag)
            .filter(|tag| !is_seen(DeliveryTag(*tag)))
            .collect();
        unseen.into_iter().filter_map(|tag| state.unacked.take(tag)).collect()
    }

    /// Keeps a settlement until its transaction ends.
    pub(crate) fn add_pending(
        &self,
        action: SettleAction,
        deliveries: Vec<(u64, UnackedDelivery)>,
    ) {
        lock(&self.state).pending.add(action, deliveries);
    }

    /// Takes the settlements of a transaction, to carry them out.
    pub(crate) fn take_pending(&self) -> Vec<(SettleAction, Vec<(u64, UnackedDelivery)>)> {
        lock(&self.state).pending.take()
    }

    /// Returns the deliveries of a transaction to the unacknowledged ones.
    pub(crate) fn restore_pending(&self) {
        let mut state = lock(&self.state);
        let pending = state.pending.take_all();
        state.unacked.restore(pending);
    }
}
