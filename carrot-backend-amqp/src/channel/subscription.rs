//! One consumer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use carrot_amqp_wire::BasicCancel;
use carrot_core::backend::{Acknowledgement, ArrivedDeliveries, Delivery, Subscription};
use carrot_core::{Error, Result};
use crossbeam_channel::{RecvTimeoutError, TryRecvError};

use super::arrived::Arrived;
use super::consumers::{BY_BROKER, ConsumerQueue};
use super::encode;
use super::open_channel::OpenChannel;
use crate::connection::{MayLead, calls};
use crate::time::deadline_after;

/// The deliveries of one consumer.
pub(crate) struct ChannelSubscription {
    channel: Arc<OpenChannel>,
    queue: String,
    acknowledgement: Acknowledgement,
    consumer: ConsumerQueue,
}

impl ChannelSubscription {
    pub(super) fn new(
        channel: Arc<OpenChannel>,
        queue: &str,
        acknowledgement: Acknowledgement,
        consumer: ConsumerQueue,
    ) -> ChannelSubscription {
        ChannelSubscription { channel, queue: queue.to_string(), acknowledgement, consumer }
    }

    /// Takes the next delivery. Reads the socket while it waits, if no other thread does.
    fn receive(&self, timeout: Duration) -> Result<Arrived, RecvTimeoutError> {
        let ConsumerQueue { deliveries, status, .. } = &self.consumer;
        let mut received = deliveries.try_recv();
        if timeout.is_zero() || !matches!(received, Err(TryRecvError::Empty)) {
            return received.map_err(no_delivery);
        }
        let deadline = deadline_after(timeout);
        let leadership = &self.channel.state.connection.leadership;
        status.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = leadership.wait(deadline, MayLead::Yes, || {
            received = deliveries.try_recv();
            !matches!(received, Err(TryRecvError::Empty))
        });
        let received = match received {
            Err(TryRecvError::Empty) => deliveries.recv_deadline(deadline),
            received => received.map_err(no_delivery),
        };
        status.waiting.fetch_sub(1, Ordering::Relaxed);
        drop(waiting);
        received
    }

    /// Notes that a delivery no longer waits.
    fn taken(&self, arrived: &Arrived) {
        let channel = &self.channel.state;
        channel.consumers.taken();
        self.consumer.taken(arrived);
        channel.connection.read_limit.taken(arrived.memory());
    }
}

fn no_delivery(error: TryRecvError) -> RecvTimeoutError {
    match error {
        TryRecvError::Empty => RecvTimeoutError::Timeout,
        TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
    }
}

impl Subscription for ChannelSubscription {
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>> {
        let channel = &self.channel.state;
        channel.check()?;
        match self.receive(timeout) {
            Ok(arrived) => {
                self.taken(&arrived);
                Ok(Some(channel.hand_out(arrived, self.acknowledgement)))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                let cancelled = || {
                    let reason = self.consumer.status.ended.get().copied().unwrap_or(BY_BROKER);
                    Error::Cancelled { queue: self.queue.clone(), reason: reason.into() }
                };
                Err(channel.failure().unwrap_or_else(cancelled))
            }
        }
    }

    fn arrived(&self) -> ArrivedDeliveries {
        self.consumer.arrived()
    }

    fn cancel(&self, timeout: Duration) -> Result<()> {
        let channel = &self.channel.state;
        channel.check()?;
        if self.consumer.status.ended.get().is_some() {
            return Ok(());
        }
        let cancel = BasicCancel { consumer_tag: (&self.consumer.tag).into(), no_wait: false };
        let frame = encode::frame(channel.number, &cancel.into());
        channel.call(calls::CANCEL, frame, timeout).map(drop)
    }
}

impl Drop for ChannelSubscription {
    fn drop(&mut self) {
        let channel = &self.channel.state;
        let is_consuming = channel.consumers.release(self.consumer.number);
        let arrived = self.consumer.deliveries.try_iter().inspect(|arrived| self.taken(arrived));
        let tag = is_consuming.then_some(self.consumer.tag.as_str());
        let unread = self.consumer.terms.unread();
        match self.acknowledgement {
            Acknowledgement::Manual => channel.release(tag, unread, arrived),
            Acknowledgement::Automatic => {
                arrived.for_each(|arrived| channel.pass(&arrived));
                channel.release(tag, unread, std::iter::empty());
            }
        }
    }
}

impl fmt::Debug for ChannelSubscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AmqpSubscription")
            .field("queue", &self.queue)
            .field("arrived", &self.consumer.deliveries.len())
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}
