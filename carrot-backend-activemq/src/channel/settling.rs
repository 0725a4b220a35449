use std::collections::BTreeMap;
use std::sync::Arc;

use carrot_core::backend::{DeliveryTag, Extent, Rejection};
use carrot_core::{Error, Result};

use crate::channel::channel_core::{
    ChannelCore, SessionState, SlotOwner, SlotPlace, UnsettledMessage,
};
use crate::channel::inbox::SLOT_PREFETCH;
use crate::wire::setup_commands::RemoveInfo;

impl ChannelCore {
    pub(crate) fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        self.settle(tag, extent, |state, held| self.consumed(state, held))
    }

    pub(crate) fn reject(
        &self,
        tag: DeliveryTag,
        rejection: Rejection,
        extent: Extent,
    ) -> Result<()> {
        match rejection {
            Rejection::Discard => self.settle(tag, extent, |state, held| self.discard(state, held)),
            Rejection::Requeue | Rejection::RequeueFailed => {
                self.settle(tag, extent, |state, held| self.requeue(state, held))
            }
        }
    }

    /// Acknowledges these deliveries, and no others. An unknown tag settles none, and ends the
    /// channel.
    pub(crate) fn ack_all(&self, tags: &[DeliveryTag]) -> Result<()> {
        let mut state = self.lock();
        state.check().map_err(stale)?;
        if let Some(unknown) = tags.iter().find(|tag| !state.held.contains_key(&tag.0)) {
            drop(state);
            return self.end_over(*unknown);
        }
        let held = tags.iter().filter_map(|tag| state.held.remove(&tag.0)).collect();
        self.consumed(&mut state, held);
        Ok(())
    }

    /// Takes deliveries, and passes them to `settle` in the order of their tags. The lock keeps
    /// settlements in order. Sending does not wait.
    fn settle(
        &self,
        tag: DeliveryTag,
        extent: Extent,
        settle: impl FnOnce(&mut SessionState, Vec<UnsettledMessage>),
    ) -> Result<()> {
        let mut state = self.lock();
        state.check().map_err(stale)?;
        match take(&mut state.held, tag.0, extent) {
            Some(held) => {
                settle(&mut state, held);
                Ok(())
            }
            None => {
                drop(state);
                self.end_over(tag)
            }
        }
    }

    /// Ends the channel over an unknown tag, as a broker does. The next call reports it.
    fn end_over(&self, tag: DeliveryTag) -> Result<()> {
        let reason = format!("PRECONDITION_FAILED - unknown delivery tag {}", tag.0);
        self.fail(&Error::PreconditionFailed { reason });
        Ok(())
    }

    pub(crate) fn consumed(&self, state: &mut SessionState, held: Vec<UnsettledMessage>) {
        for held in held.into_iter().filter(|held| !held.is_gone) {
            self.link.send(self.acknowledge(held.slot, &held.destination, &held.message));
            self.close_if_unused(state, &held);
        }
    }

    /// Removes the slot of a settled message, unless the slot receives further messages.
    pub(crate) fn close_if_unused(&self, state: &mut SessionState, held: &UnsettledMessage) {
        if !state.is_alive(held) {
            state.slots.remove(&held.slot);
            let inbox = held.subscription.and_then(|number| state.inboxes.get_mut(&number));
            // A cancel that is under way removes the rest.
            inbox.map(|inbox| inbox.slots.remove(&held.slot));
            self.link.forget_consumer(held.slot);
            self.link.send(self.remove_slot(held.slot, RemoveInfo::NOT_DELIVERED));
        }
    }

    /// Returns messages to their queues: a message returns when its consumer is removed. First
    /// those of gets, and then those of subscriptions, which then have new slots.
    pub(crate) fn requeue(&self, state: &mut SessionState, held: Vec<UnsettledMessage>) {
        let held: Vec<_> = held.into_iter().filter(|held| !held.is_gone).collect();
        let (fetched, consumed): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|held| held.subscription.is_none());
        let mut places = Vec::new();
        for held in fetched.into_iter().chain(consumed) {
            let owner = state.slots.remove(&held.slot);
            self.link.forget_consumer(held.slot);
            self.link.send(self.remove_slot(held.slot, RemoveInfo::DELIVERED));
            if let Some(SlotOwner::Subscription(place)) = owner {
                places.push((place, held));
            }
        }
        for (place, held) in &places {
            self.replace_slot(state, *place, held);
        }
    }

    /// Opens a slot in place of a removed one.
    fn replace_slot(&self, state: &mut SessionState, place: SlotPlace, held: &UnsettledMessage) {
        let is_alive = state.is_alive(held);
        let Some(inbox) = state.inboxes.get_mut(&place.subscription) else { return };
        inbox.slots.remove(&held.slot);
        if !is_alive {
            return;
        }
        let slot = self.link.next_number();
        inbox.slots.insert(slot);
        state.slots.insert(slot, SlotOwner::Subscription(place));
        self.link.add_consumer(slot, self.linked());
        self.link.send(self.add_slot(slot, &held.destination, SLOT_PREFETCH, place));
    }
}

impl SessionState {
    /// Returns whether the slot of a message receives further messages.
    fn is_alive(&self, held: &UnsettledMessage) -> bool {
        let inbox = held.subscription.and_then(|subscription| self.inboxes.get(&subscription));
        inbox.is_some_and(|inbox| inbox.ended.is_none())
    }
}

fn stale(error: Error) -> Error {
    Error::Stale { source: Some(Arc::new(error)) }
}

/// Takes the deliveries that a settlement covers; `None` if its tag is unknown.
fn take(
    held: &mut BTreeMap<u64, UnsettledMessage>,
    tag: u64,
    extent: Extent,
) -> Option<Vec<UnsettledMessage>> {
    match (extent, tag) {
        (Extent::One, tag) => held.remove(&tag).map(|held| vec![held]),
        (Extent::UpTo, 0) => Some(std::mem::take(held).into_values().collect()),
        (Extent::UpTo, tag) => {
            if !held.contains_key(&tag) {
                return None;
            }
            let later = held.split_off(&tag.saturating_add(1));
            Some(std::mem::replace(held, later).into_values().collect())
        }
    }
}
