use std::sync::Arc;

use carrot_core::backend::{Acknowledgement, Delivery, DeliveryTag, validate};
use carrot_core::{Error, Result};
use carrot_link::CallDeadline;
use carrot_listener::wait_until;

use crate::channel::channel_core::{ChannelCore, SessionState, SlotOwner, UnsettledMessage};
use crate::channel::commands::PullTurn;
use crate::channel::pulled_answers::PulledAnswers;
use crate::connection::linked_channel::Arrival;
use crate::content::{ReceivedContent, from_message, queue_name};
use crate::wire::destination::WireDestination;
use crate::wire::ids::MessageId;
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
        let is_single_active = self.rules_of(queue, deadline)?.is_single_active;
        let is_manual = acknowledgement == Acknowledgement::Manual;
        let fetched = if is_single_active {
            self.fetch(&destination, PullTurn::First, deadline)?
        } else {
            self.fetch_beside_consumers(&destination, is_manual, deadline)?
        };
        let Some((slot, arrival)) = fetched else { return Ok(None) };
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

    /// Fetches a message of a queue that may have an exclusive consumer of another program.
    ///
    /// A pull that finds none is repeated before all consumers. A message that the first pull
    /// missed only by its time returns then, because it would exclude the other consumers until it
    /// is settled.
    fn fetch_beside_consumers(
        &self,
        destination: &WireDestination,
        is_manual: bool,
        deadline: CallDeadline,
    ) -> Result<Option<(i64, Arrival)>> {
        let fetch = |turn| self.fetch(destination, turn, deadline);
        if let Some(fetched) = fetch(PullTurn::Shared)? {
            return Ok(Some(fetched));
        }
        let Some((slot, arrival)) = fetch(PullTurn::First)? else { return Ok(None) };
        if !is_manual {
            return Ok(Some((slot, arrival)));
        }
        self.close_slot(slot);
        match fetch(PullTurn::Shared)? {
            Some(fetched) => Ok(Some(fetched)),
            None => fetch(PullTurn::First),
        }
    }

    /// Pulls one message. Returns it with its slot, which holds it.
    fn fetch(
        &self,
        destination: &WireDestination,
        turn: PullTurn,
        deadline: CallDeadline,
    ) -> Result<Option<(i64, Arrival)>> {
        let slot = self.open_pull("get", destination, turn, deadline)?;
        // A late message would belong to no caller, so that the channel ends.
        let answer = self.pull_answer(slot, destination, deadline)?;
        let arrival = answer.ok_or_else(|| self.failed(deadline.late("get")))?;
        if arrival.is_none() {
            self.close_slot(slot);
        }
        Ok(arrival.map(|arrival| (slot, arrival)))
    }

    /// Adds a consumer that receives what it pulls.
    pub(crate) fn open_pull(
        &self,
        operation: &'static str,
        destination: &WireDestination,
        turn: PullTurn,
        deadline: CallDeadline,
    ) -> Result<i64> {
        let slot = self.open_slot(SlotOwner::Pull(PulledAnswers::default()))?;
        self.command(operation, self.add_puller(slot, destination, turn), deadline)
            .inspect_err(|_| self.close_slot(slot))?;
        Ok(slot)
    }

    /// Adds a slot whose consumer follows.
    pub(crate) fn open_slot(&self, owner: SlotOwner) -> Result<i64> {
        let slot = self.link.next_number();
        {
            let mut state = self.lock();
            state.check()?;
            state.slots.insert(slot, owner);
        }
        self.link.add_consumer(slot, self.linked());
        Ok(slot)
    }

    /// Asks for one message, and waits for the answer. Returns `None` if the deadline passed first.
    ///
    /// # Errors
    /// - [`Error::Cancelled`]: the broker has removed the consumer.
    /// - The error of the channel.
    pub(crate) fn pull_answer(
        &self,
        slot: i64,
        destination: &WireDestination,
        deadline: CallDeadline,
    ) -> Result<Option<Option<Arrival>>> {
        if let Some(SlotOwner::Pull(answers)) = self.lock().slots.get_mut(&slot) {
            answers.expect_one();
        }
        self.link.send(self.pull(slot, destination));
        self.wait_for(deadline, |state| {
            state.check()?;
            match state.slots.get_mut(&slot) {
                Some(SlotOwner::Pull(answers)) => Ok(answers.take()),
                _ => Err(Error::Cancelled {
                    queue: queue_name::name_of(destination).unwrap_or_default().to_string(),
                    reason: "the broker cancelled the consumer".into(),
                }),
            }
        })
    }

    /// Removes a consumer whose messages are settled.
    pub(crate) fn close_slot(&self, slot: i64) {
        self.lock().slots.remove(&slot);
        self.link.forget_consumer(slot);
        self.link.send(self.remove_slot(slot, RemoveInfo::NOT_DELIVERED));
    }

    /// Returns a fetched message as a delivery with the next tag.
    fn hand_out(
        &self,
        origin: DeliveryOrigin,
        arrival: Arrival,
        is_manual: bool,
    ) -> Result<Delivery> {
        let destination = Arc::clone(&origin.destination);
        let tag = {
            let mut state = self.lock();
            state.check()?;
            state.tag_taken(origin, &arrival, is_manual)
        };
        self.read_delivery(tag, &destination, arrival)
    }

    /// Reads a message that has its tag, which can be settled from then on.
    pub(crate) fn read_delivery(
        &self,
        tag: u64,
        destination: &WireDestination,
        arrival: Arrival,
    ) -> Result<Delivery> {
        let Arrival { message, is_redelivered } = arrival;
        let ReceivedContent { content, unreadable, mark } = from_message(*message);
        let content = Arc::new(content);
        let letter = self.letter_of(destination, &content, mark).filter(|_| unreadable.is_none());
        {
            let mut state = self.lock();
            state.check()?;
            if let Some(taken) = state.taken.remove(&tag) {
                let is_unreadable = unreadable.is_some();
                state.held.insert(tag, UnsettledMessage { letter, is_unreadable, ..taken });
            }
        }
        let delivery = Delivery::new(DeliveryTag(tag), content).with_redelivered(is_redelivered);
        Ok(match unreadable {
            Some(reason) => delivery.with_unreadable(reason),
            None => delivery,
        })
    }
}

impl SessionState {
    /// Returns the tag of a message that leaves its inbox for a caller. One that has to be settled
    /// keeps its slot from then on.
    pub(crate) fn tag_taken(
        &mut self,
        origin: DeliveryOrigin,
        arrival: &Arrival,
        is_manual: bool,
    ) -> u64 {
        let tag = self.next_tag();
        if is_manual {
            let DeliveryOrigin { slot, subscription, destination, is_gone } = origin;
            let message: MessageId = arrival.message.id.clone().unwrap_or_default();
            let taken = UnsettledMessage {
                slot,
                subscription,
                destination,
                message,
                is_gone,
                letter: None,
                is_unreadable: false,
            };
            self.taken.insert(tag, taken);
        }
        tag
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
