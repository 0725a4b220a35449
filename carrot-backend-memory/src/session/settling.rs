//! The settlements of a channel's deliveries.

use carrot_core::Result;
use carrot_core::backend::{DeliveryTag, Extent, Rejection};

use crate::broker::fault_plan::Operation;
use crate::channel::unacked::UnackedDelivery;
use crate::errors;
use crate::queue::state::SettleAction;
use crate::session::channel::SessionChannel;

impl SessionChannel {
    /// Acknowledges deliveries. Tag zero with [`Extent::UpTo`] stands for all.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`](carrot_core::Error::PreconditionFailed): the tag is unknown.
    ///   The channel is closed.
    /// - The error of a closed channel.
    pub fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        self.settle(tag, extent, SettleAction::Ack)
    }

    /// Rejects deliveries. Tag zero with [`Extent::UpTo`] stands for all.
    ///
    /// # Errors
    /// As [`ack`](SessionChannel::ack).
    pub fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()> {
        self.settle(tag, extent, SettleAction::of(rejection))
    }

    /// Acknowledges these deliveries, and no others, in one step.
    ///
    /// # Errors
    /// As [`ack`](SessionChannel::ack), for any of the tags. The channel is closed then, and the
    /// deliveries before that tag are acknowledged.
    pub fn ack_all(&self, tags: impl IntoIterator<Item = DeliveryTag>) -> Result<()> {
        self.settle_each(tags, SettleAction::Ack)
    }

    /// Rejects these deliveries, and no others, in one step.
    ///
    /// Deliveries that are requeued return to their queues together, before any of them is
    /// delivered again. Only [`Rejection::RequeueFailed`] requeues them one by one, because AMQP
    /// has no method that fails several deliveries.
    ///
    /// # Errors
    /// As [`ack_all`](SessionChannel::ack_all).
    pub fn reject_all(
        &self,
        tags: impl IntoIterator<Item = DeliveryTag>,
        rejection: Rejection,
    ) -> Result<()> {
        self.settle_each(tags, SettleAction::of(rejection))
    }

    /// Requeues all unacknowledged deliveries (`basic.recover`).
    ///
    /// Deliveries that the current transaction settled are left out.
    ///
    /// # Errors
    /// The error of a closed channel.
    pub fn recover(&self) -> Result<()> {
        self.handle.channel.check()?;
        let unacked = self.handle.channel.take_unacked();
        self.handle.settle_all(unacked, SettleAction::Requeue { failed: false });
        self.resume();
        Ok(())
    }

    fn settle(&self, tag: DeliveryTag, extent: Extent, action: SettleAction) -> Result<()> {
        let is_ack = action == SettleAction::Ack;
        self.begin(if is_ack { Operation::Ack } else { Operation::Reject })?;
        let channel = &self.handle.channel;
        let taken = match extent {
            Extent::One => channel.take(tag)?.map(|unacked| vec![(tag.0, unacked)]),
            Extent::UpTo => channel.take_up_to(tag)?,
        };
        let Some(taken) = taken else { return self.refuse(errors::unknown_tag(tag.0)) };
        self.settle_taken(action, taken);
        Ok(())
    }

    fn settle_each(
        &self,
        tags: impl IntoIterator<Item = DeliveryTag>,
        action: SettleAction,
    ) -> Result<()> {
        let is_ack = action == SettleAction::Ack;
        self.begin(if is_ack { Operation::Ack } else { Operation::Reject })?;
        let mut taken = Vec::new();
        let mut refused = None;
        for tag in tags {
            match self.handle.channel.take(tag) {
                Ok(Some(unacked)) => taken.push((tag.0, unacked)),
                Ok(None) => {
                    refused = Some(self.refuse(errors::unknown_tag(tag.0)));
                    break;
                }
                Err(closed) => {
                    refused = Some(Err(closed));
                    break;
                }
            }
        }
        // What was taken is settled also if the channel was closed meanwhile.
        if action == (SettleAction::Requeue { failed: true }) {
            taken.into_iter().for_each(|one| self.settle_taken(action, vec![one]));
        } else if !taken.is_empty() {
            self.settle_taken(action, taken);
        }
        refused.unwrap_or(Ok(()))
    }

    /// Settles deliveries that were taken out of the channel, or adds them to the transaction.
    fn settle_taken(&self, action: SettleAction, taken: Vec<(u64, UnackedDelivery)>) {
        let channel = &self.handle.channel;
        if self.has_transactions() {
            return channel.add_pending(action, taken);
        }
        channel.note_settling(true);
        self.carry_out(action, taken);
        channel.note_settling(false);
        self.resume();
    }

    /// Settles deliveries that were taken out of the channel.
    pub(crate) fn carry_out(&self, action: SettleAction, taken: Vec<(u64, UnackedDelivery)>) {
        let mut deliveries: Vec<UnackedDelivery> =
            taken.into_iter().map(|(_, unacked)| unacked).collect();
        // Most settlements are acknowledgements of one delivery.
        if action == SettleAction::Ack
            && let [_] = deliveries[..]
            && let Some(UnackedDelivery { queue, delivery }) = deliveries.pop()
        {
            self.handle.then_dead_letter(|| queue.acknowledge(delivery.consumer));
            return;
        }
        self.handle.settle_all(deliveries, action);
    }
}
