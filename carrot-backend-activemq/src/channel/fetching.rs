use std::sync::Arc;

use carrot_core::Result;
use carrot_core::backend::{Acknowledgement, Delivery, DeliveryTag, validate};
use carrot_link::CallDeadline;
use carrot_listener::wait_until;

use crate::channel::channel_core::{ChannelCore, SessionState, SlotOwner, UnsettledMessage};
use crate::channel::inbox::PURGED_AT_ONCE;
use crate::connection::linked_channel::Arrival;
use crate::content::{ReceivedContent, from_message};
use crate::wire::destination::WireDestination;
use crate::wire::setup_commands::RemoveInfo;

impl ChannelCore {
    /// Waits until `take` returns something. Returns `None` if the deadline passed first.
    pub(crate) fn wait_for<T>(
        &self,
        deadline: CallDeadline,
        mut take: impl FnMut(&mut SessionState) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut state = self.lock();
        loop {
            if let Some(taken) = take(&mut state)? {
                return Ok(Some(taken));
            }
            let passed;
            (state, passed) = wait_until(&self.changed, state, deadline.at());
            if passed {
                return Ok(None);
            }
        }
    }

    /// Fetches the message at the head of a queue.
    pub(crate) fn get(
        &self,
        queue: &str,
        acknowledgement: Acknowledgement,
        deadline: CallDeadline,
    ) -> Result<Option<Delivery>> {
        validate::short_string("queue", queue)?;
        let destination = self.existing("get", queue, deadline)?;
        // A discard needs the settings of the queue, and does not wait.
        self.rules_of(queue, deadline)?;
        let slot = self.open_pull("get", &destination, deadline)?;
        self.link.send(self.pull(slot, &destination));
        let Some(arrival) = self.pulled("get", slot, deadline)? else {
            self.close_slot(slot);
            return Ok(None);
        };
        let is_manual = acknowledgement == Acknowledgement::Manual;
        if !is_manual {
            if let Some(message) = &arrival.message.id {
                self.link.send(self.acknowledge(slot, &destination, message));
            }
            self.close_slot(slot);
        }
        let destination = Arc::new(destination);
        let origin = DeliveryOrigin { slot, subscription: None, destination, is_gone: false };
        self.hand_out(origin, arrival, is_manual).map(Some)
    }

    /// Adds a consumer that receives what it pulls.
    fn open_pull(
        &self,
        operation: &'static str,
        destination: &WireDestination,
        deadline: CallDeadline,
    ) -> Result<i64> {
        let slot = self.link.next_number();
        {
            let mut state = self.lock();
            state.check()?;
            state.slots.insert(slot, SlotOwner::Pull(Vec::new()));
        }
        self.link.add_consumer(slot, self.linked());
        self.command(operation, self.add_puller(slot, destination), deadline)
            .inspect_err(|_| self.close_slot(slot))?;
        Ok(slot)
    }

    /// Waits for the answer to a pull.
    fn pulled(
        &self,
        operation: &'static str,
        slot: i64,
        deadline: CallDeadline,
    ) -> Result<Option<Arrival>> {
        let answer = self.wait_for(deadline, |state| {
            state.check()?;
            match state.slots.get_mut(&slot) {
                Some(SlotOwner::Pull(answers)) if !answers.is_empty() => {
                    Ok(Some(answers.remove(0)))
                }
                _ => Ok(None),
            }
        })?;
        // A late message would belong to no caller, so that the channel ends.
        answer.ok_or_else(|| self.failed(deadline.late(operation)))
    }

    /// Removes a consumer whose messages are settled.
    pub(crate) fn close_slot(&self, slot: i64) {
        self.lock().slots.remove(&slot);
        self.link.forget_consumer(slot);
        self.link.send(self.remove_slot(slot, RemoveInfo::NOT_DELIVERED));
    }

    /// Acknowledges all ready messages of a queue. Returns their number.
    pub(crate) fn purge(
        &self,
        destination: &WireDestination,
        deadline: CallDeadline,
    ) -> Result<u32> {
        let slot = self.open_pull("delete", destination, deadline)?;
        let mut count = 0_u32;
        loop {
            for _ in 0..PURGED_AT_ONCE {
                self.link.send(self.pull(slot, destination));
            }
            let mut is_empty = false;
            for _ in 0..PURGED_AT_ONCE {
                match self.pulled("delete", slot, deadline)? {
                    None => is_empty = true,
                    Some(arrival) => {
                        count = count.saturating_add(1);
                        if let Some(message) = &arrival.message.id {
                            self.link.send(self.acknowledge(slot, destination, message));
                        }
                    }
                }
            }
            if is_empty {
                break;
            }
        }
        self.lock().slots.remove(&slot);
        self.link.forget_consumer(slot);
        // The acknowledgements have arrived once this is answered.
        self.command("delete", self.remove_slot(slot, RemoveInfo::NOT_DELIVERED), deadline)?;
        Ok(count)
    }

    /// Returns a message as a delivery with the next tag.
    pub(crate) fn hand_out(
        &self,
        origin: DeliveryOrigin,
        arrival: Arrival,
        is_manual: bool,
    ) -> Result<Delivery> {
        let Arrival { message, is_redelivered } = arrival;
        let id = message.id.clone().unwrap_or_default();
        let ReceivedContent { content, unreadable, mark } = from_message(*message);
        let content = Arc::new(content);
        let letter = self.letter_of(&origin, &content, mark).filter(|_| unreadable.is_none());
        let mut state = self.lock();
        state.check()?;
        let tag = state.next_tag();
        if is_manual {
            let DeliveryOrigin { slot, subscription, destination, is_gone } = origin;
            state.leaving.remove(&slot);
            let held =
                UnsettledMessage { slot, subscription, destination, message: id, is_gone, letter };
            state.held.insert(tag, held);
        }
        drop(state);
        let delivery = Delivery::new(DeliveryTag(tag), content).with_redelivered(is_redelivered);
        Ok(match unreadable {
            Some(reason) => delivery.with_unreadable(reason),
            None => delivery,
        })
    }
}

/// Where a delivery came from.
#[derive(Debug)]
pub(crate) struct DeliveryOrigin {
    pub(crate) slot: i64,
    /// The subscription; `None` for a message that was fetched.
    pub(crate) subscription: Option<i64>,
    pub(crate) destination: Arc<WireDestination>,
    /// Whether the queue was deleted.
    pub(crate) is_gone: bool,
}
