//! The side of a channel that settles deliveries.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use carrot_amqp_wire::BasicCancel;
use carrot_core::backend::{Acknowledgement, Delivery, DeliveryTag, Extent};
use carrot_core::{Error, Result};

use super::arrived::Arrived;
use super::encode;
use super::state::ChannelInner;
use super::unacked::{SettlementFrame, SettlementKind, UnknownTag};
use crate::connection::OutgoingFrames;

/// The maximum time that an acknowledgement waits for others.
const HOLD: Duration = Duration::from_micros(500);
/// The start of the routing key of an answer that RabbitMQ delivers without a queue.
const DIRECT_ANSWER: &[u8] = b"amq.rabbitmq.reply-to.";

impl ChannelInner {
    /// Notes that the broker waits for settlements of what it delivers.
    pub(crate) fn delivers(&self) {
        self.delivers.store(true, Ordering::Release);
    }

    /// Sends the settlements that wait.
    pub(crate) fn flush(&self) {
        self.send(|| {
            let mut out = Vec::new();
            for settlement in self.tracker.drain() {
                encode::settlement(&mut out, self.number, &settlement);
            }
            (OutgoingFrames::from(out), ())
        });
    }

    /// Settles deliveries. The settlement may wait for others while deliveries wait for workers.
    pub(crate) fn settle(
        &self,
        kind: SettlementKind,
        tag: DeliveryTag,
        extent: Extent,
    ) -> Result<()> {
        if let Some(failure) = self.failure() {
            return Err(Error::Stale { source: Some(Arc::new(failure)) });
        }
        match self.tracker.decide(kind, tag.0, extent) {
            Ok(false) => {}
            Ok(true) if self.tracker.is_batch_full() || !self.consumers.has_arrived() => {
                self.flush();
            }
            Ok(true) => {
                let me = Weak::clone(&self.me);
                self.connection.supervisor.at(Instant::now() + HOLD, move || {
                    if let Some(channel) = me.upgrade() {
                        channel.flush();
                    }
                });
            }
            Err(UnknownTag) => self.fail_unknown(tag),
        }
        Ok(())
    }

    /// Acknowledges deliveries, and sends the acknowledgements at once.
    pub(crate) fn ack_all(&self, tags: &[DeliveryTag]) -> Result<()> {
        if let Some(failure) = self.failure() {
            return Err(Error::Stale { source: Some(Arc::new(failure)) });
        }
        for tag in tags {
            if let Err(UnknownTag) = self.tracker.decide(SettlementKind::Ack, tag.0, Extent::One) {
                self.fail_unknown(*tag);
                return Ok(());
            }
        }
        self.flush();
        Ok(())
    }

    /// Closes the channel, as the broker would do over the tag.
    fn fail_unknown(&self, tag: DeliveryTag) {
        let reason = format!("PRECONDITION_FAILED - unknown delivery tag {}", tag.0);
        if self.fail(Error::PreconditionFailed { reason }) {
            self.close_at_broker();
        }
    }

    /// Converts a message for the caller, and notes whether it has to be settled.
    pub(crate) fn hand_out(&self, arrived: Arrived, acknowledgement: Acknowledgement) -> Delivery {
        match acknowledgement {
            Acknowledgement::Manual => self.tracker.hand_out(arrived.tag),
            Acknowledgement::Automatic => self.pass(&arrived),
        }
        arrived.into_delivery()
    }

    /// Notes that a delivery is not settled. A direct answer has the tag of the next delivery,
    /// which may be.
    pub(crate) fn pass(&self, arrived: &Arrived) {
        let head = &arrived.head;
        let is_direct = head.exchange().as_bytes().is_empty()
            && head.routing_key().as_bytes().starts_with(DIRECT_ANSWER);
        if !is_direct {
            self.tracker.pass(arrived.tag);
        }
    }

    /// Appends the frame that settles a delivery which no caller has received.
    pub(crate) fn settle_unread(&self, tag: u64, kind: SettlementKind, out: &mut Vec<u8>) {
        encode::settlement(out, self.number, &SettlementFrame { kind, tag, multiple: false });
    }

    /// Settles deliveries that a dropped subscription had, and has the broker cancel its consumer.
    ///
    /// The broker answers the cancel, and the consumer is then forgotten.
    pub(crate) fn release(
        &self,
        tag: Option<&str>,
        kind: SettlementKind,
        unread: impl Iterator<Item = Arrived>,
    ) {
        let mut out = Vec::new();
        if let Some(tag) = tag {
            let cancel = BasicCancel { consumer_tag: tag.into(), no_wait: false };
            encode::append(&mut out, self.number, &cancel.into());
        }
        for arrived in unread {
            self.settle_unread(arrived.tag, kind, &mut out);
            self.pass(&arrived);
        }
        self.send(|| (OutgoingFrames::from(out), ()));
    }
}
