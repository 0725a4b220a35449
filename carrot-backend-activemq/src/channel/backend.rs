//! One open channel, as the contract requires it.

use std::sync::Arc;
use std::time::Duration;

use carrot_core::Result;
use carrot_core::backend::{
    Acknowledgement, Backend, ConsumeOptions, Declare, Delete, Deleted, Delivery, DeliveryTag,
    Extent, Outcome, Publication, PublishTag, QueueInfo, Rejection, Subscription,
};
use carrot_link::CallDeadline;

use crate::channel::channel_guard::ChannelGuard;
use crate::channel::subscription::ActiveMqSubscription;

/// One channel of a broker.
#[derive(Debug)]
pub(crate) struct ActiveMqBackend {
    channel: Arc<ChannelGuard>,
    /// The largest body, in bytes.
    max_body: u64,
}

impl ActiveMqBackend {
    pub(crate) fn new(channel: ChannelGuard, max_body: u64) -> ActiveMqBackend {
        ActiveMqBackend { channel: Arc::new(channel), max_body }
    }
}

impl Backend for ActiveMqBackend {
    fn declare(&self, entity: Declare<'_>, timeout: Duration) -> Result<QueueInfo> {
        self.channel.declare(entity, CallDeadline::after(timeout))
    }

    fn delete(&self, entity: Delete<'_>, timeout: Duration) -> Result<Deleted> {
        self.channel.delete(entity, CallDeadline::after(timeout))
    }

    fn publish(&self, publication: &Publication<'_>, timeout: Duration) -> Result<PublishTag> {
        self.channel.publish(publication, self.max_body, timeout)
    }

    fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome> {
        self.channel.confirm(tag, timeout)
    }

    fn get(
        &self,
        queue: &str,
        acknowledgement: Acknowledgement,
        timeout: Duration,
    ) -> Result<Option<Delivery>> {
        self.channel.get(queue, acknowledgement, CallDeadline::after(timeout))
    }

    fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        timeout: Duration,
    ) -> Result<Box<dyn Subscription>> {
        let started = self.channel.consume(queue, options, CallDeadline::after(timeout))?;
        Ok(Box::new(ActiveMqSubscription::new(Arc::clone(&self.channel), started)))
    }

    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        self.channel.ack(tag, extent)
    }

    fn ack_all(&self, tags: &[DeliveryTag]) -> Result<()> {
        self.channel.ack_all(tags)
    }

    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()> {
        self.channel.reject(tag, rejection, extent)
    }

    fn check(&self) -> Result<()> {
        self.channel.check()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        self.channel.close(timeout)
    }
}
