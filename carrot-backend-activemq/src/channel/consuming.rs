use std::sync::{Arc, Condvar};

use carrot_core::Result;
use carrot_core::backend::{Acknowledgement, ConsumeOptions};
use carrot_link::CallDeadline;

use crate::channel::channel_core::{ChannelCore, SlotOwner, SlotPlace};
use crate::channel::consumer_priority::ConsumerPriority;
use crate::channel::inbox::{AUTOMATIC_PREFETCH, SLOT_PREFETCH, SlotInbox};
use crate::channel::supported::check_consumer;
use crate::wire::destination::WireDestination;

/// The most slots of a subscription. A higher prefetch, or none, has as many.
const MOST_SLOTS: u16 = 256;

/// A subscription that was started.
#[derive(Debug)]
pub(crate) struct StartedSubscription {
    pub(crate) number: i64,
    pub(crate) changed: Arc<Condvar>,
}

/// The slots of a new subscription.
#[derive(Debug, Clone, Copy)]
struct SlotOpening {
    slots: u16,
    prefetch: i32,
    priority: ConsumerPriority,
    is_exclusive: bool,
}

impl ChannelCore {
    /// Starts a subscription. The broker returns a message only when it removes its consumer, so
    /// that a subscription has one consumer, a slot, for each message of its prefetch.
    pub(crate) fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        deadline: CallDeadline,
    ) -> Result<StartedSubscription> {
        options.validate()?;
        check_consumer(options)?;
        let priority =
            ConsumerPriority::of(queue, options).map_err(|error| self.ended_by(error))?;
        let destination = self.existing("consume", queue, deadline)?;
        let is_manual = options.acknowledgement == Acknowledgement::Manual;
        let inbox = SlotInbox::new(queue, destination.clone(), is_manual);
        let started = StartedSubscription {
            number: self.link.next_number(),
            changed: Arc::clone(&inbox.changed),
        };
        {
            let mut state = self.lock();
            state.check()?;
            state.inboxes.insert(started.number, inbox);
        }
        self.slot_opening(queue, options, priority, deadline)
            .and_then(|opening| self.open_slots(started.number, &destination, opening, deadline))
            .inspect_err(|_| self.drop_subscription(started.number))?;
        Ok(started)
    }

    fn slot_opening(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        priority: ConsumerPriority,
        deadline: CallDeadline,
    ) -> Result<SlotOpening> {
        let is_exclusive = self.rules_of(queue, deadline)?.is_single_active;
        if is_exclusive {
            priority.check_alone()?;
        }
        let is_manual = options.acknowledgement == Acknowledgement::Manual;
        let (slots, prefetch) = match (is_manual, options.prefetch) {
            (false, _) => (1, AUTOMATIC_PREFETCH),
            // The broker chooses one consumer, and so one slot.
            (true, _) if is_exclusive => (1, SLOT_PREFETCH),
            (true, 0) => (MOST_SLOTS, SLOT_PREFETCH),
            (true, most) => (most.min(MOST_SLOTS), SLOT_PREFETCH),
        };
        Ok(SlotOpening { slots, prefetch, priority, is_exclusive })
    }

    /// Opens the slots of a subscription. The first and the last are answered.
    fn open_slots(
        &self,
        subscription: i64,
        destination: &WireDestination,
        opening: SlotOpening,
        deadline: CallDeadline,
    ) -> Result<()> {
        let SlotOpening { slots, prefetch, priority, is_exclusive } = opening;
        for number in 0..slots {
            let place =
                SlotPlace { subscription, priority: priority.of_slot(number), is_exclusive };
            let slot = self.link.next_number();
            {
                let mut state = self.lock();
                state.check()?;
                state.slots.insert(slot, SlotOwner::Subscription(place));
                if let Some(inbox) = state.inboxes.get_mut(&subscription) {
                    inbox.slots.insert(slot);
                }
            }
            self.link.add_consumer(slot, self.linked());
            let added = self.add_slot(slot, destination, prefetch, place);
            if number == 0 || number + 1 == slots {
                self.command("consume", added, deadline)?;
            } else {
                self.link.send(added);
            }
        }
        Ok(())
    }
}
