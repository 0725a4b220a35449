//! The settlement of deliveries.

use std::collections::BTreeSet;

use carrot_core::backend::{Backend, DeliveryTag, Extent, Rejection};

use super::result::ActionResult;
use super::state::Runner;
use crate::program::{CHANNELS, DeliveryChoice};
use crate::unspecified::Unspecified;

impl Runner<'_> {
    /// Returns the slot of this channel, or of the next open channel with an unsettled delivery.
    pub(super) fn channel_with_unsettled(&self, slot: u8) -> u8 {
        let has_unsettled = |slot: &u8| {
            let channel =
                self.channels[usize::from(*slot)].as_ref().filter(|channel| !channel.failed);
            channel.is_some_and(|channel| channel.received.iter().any(|delivery| !delivery.settled))
        };
        (slot..CHANNELS).chain(0..slot).find(has_unsettled).unwrap_or(slot)
    }

    /// Settles a delivery, and all earlier ones if `multiple`.
    pub(super) fn settle(
        &mut self,
        slot: u8,
        channel: &dyn Backend,
        choice: DeliveryChoice,
        rejection: Option<Rejection>,
        multiple: bool,
    ) -> ActionResult {
        let Some(state) = &mut self.channels[usize::from(slot)] else {
            return ActionResult::nothing("no channel");
        };
        let choose = |settled: bool, number: u8| {
            let candidates: Vec<DeliveryTag> = state
                .received
                .iter()
                .filter(|delivery| delivery.settled == settled)
                .map(|delivery| delivery.tag)
                .collect();
            (!candidates.is_empty()).then(|| candidates[usize::from(number) % candidates.len()])
        };
        let chosen = match choice {
            DeliveryChoice::Unsettled(number) => choose(false, number),
            DeliveryChoice::Settled(number) => choose(true, number),
            DeliveryChoice::Zero => Some(DeliveryTag(0)),
            DeliveryChoice::Unknown => Some(DeliveryTag(1_000_000)),
        };
        let Some(tag) = chosen else { return ActionResult::nothing("nothing to settle") };
        let several = state.sources.len() > 1;
        let mut consumers = BTreeSet::new();
        for delivery in &mut state.received {
            if !delivery.settled
                && if multiple { delivery.tag <= tag || tag.0 == 0 } else { delivery.tag == tag }
            {
                delivery.settled = true;
                consumers.insert(delivery.consumer);
            }
        }
        if several && multiple && tag.0 != 0 {
            self.note_unspecified(Unspecified::TagsOfSeveralQueues);
        }
        if consumers.len() > 1 {
            self.note_unspecified(Unspecified::SeveralConsumers);
        }
        let extent = if multiple { Extent::UpTo } else { Extent::One };
        let result = match rejection {
            None => channel.ack(tag, extent),
            Some(rejection) => channel.reject(tag, rejection, extent),
        };
        let mut lines = vec![self.line(slot, result.map(|()| "ok".into()))];
        if lines[0] == "ok"
            && let Err(error) = Self::synchronise(channel)
        {
            lines.push(format!("then {}", self.line(slot, Err(error))));
        }
        ActionResult::moved(lines)
    }
}
