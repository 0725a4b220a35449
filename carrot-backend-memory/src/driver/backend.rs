//! One open channel, as the contract requires it.

use std::sync::Arc;
use std::time::Duration;

use carrot_core::backend::frame_limits::{
    check_consume, check_declare, check_delete, check_publication,
};
use carrot_core::backend::{
    Acknowledgement, Backend, ConsumeOptions, Declare, Delete, Deleted, Delivery, DeliveryTag,
    Extent, Outcome, Publication, PublishTag, QueueInfo, Rejection, Subscription,
};
use carrot_core::{Binding, Error, Result};

use crate::broker::fault_plan::Operation;
use crate::driver::channel_handle::ChannelHandle;
use crate::driver::subscription::MemorySubscription;
use crate::queue::state::SettleAction;
use crate::sync::{Deadline, lock};

/// One channel of the memory broker.
#[derive(Debug)]
pub(crate) struct MemoryBackend {
    handle: Arc<ChannelHandle>,
}

impl MemoryBackend {
    pub(crate) fn new(handle: ChannelHandle) -> MemoryBackend {
        MemoryBackend { handle: Arc::new(handle) }
    }
}

impl Backend for MemoryBackend {
    fn declare(&self, entity: Declare<'_>, timeout: Duration) -> Result<QueueInfo> {
        let handle = &self.handle;
        check_declare(&entity, handle.frame_max)?;
        handle.begin(Operation::Declare, timeout)?;
        handle.close_on_error(handle.declare(entity))
    }

    fn delete(&self, entity: Delete<'_>, timeout: Duration) -> Result<Deleted> {
        let handle = &self.handle;
        check_delete(&entity, handle.frame_max)?;
        handle.begin(Operation::Delete, timeout)?;
        handle.close_on_error(handle.delete(entity))
    }

    fn has_binding(&self, binding: &Binding, timeout: Duration) -> Result<Option<bool>> {
        let handle = &self.handle;
        check_declare(&Declare::Binding(binding), handle.frame_max)?;
        handle.begin(Operation::Declare, timeout)?;
        let binding = handle.resolve(binding)?;
        Ok(Some(handle.shared().topology().has_binding(&binding)))
    }

    fn publish(&self, publication: &Publication<'_>, timeout: Duration) -> Result<PublishTag> {
        let handle = &*self.handle;
        check_publication(publication, handle.frame_max)?;
        handle.shared().context.memory.enforce_limits();
        let Some(fault) = handle.begin_publish(publication.content, timeout)? else {
            // `confirm` reports the refusal, under a tag that is never answered.
            return Ok(PublishTag(u64::MAX));
        };
        if !handle.connection.gate.wait_for_room(timeout) {
            return Err(handle.blocked_or(Error::timeout("publish", timeout)));
        }
        let mut confirms = lock(&handle.channel.confirms);
        handle.channel.check()?;
        confirms.count += 1;
        let tag = PublishTag(confirms.count);
        handle.connection.publish(
            &handle.channel,
            confirms,
            publication.content,
            publication.mandatory,
            fault,
        );
        Ok(tag)
    }

    fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome> {
        if !self.handle.channel.is_confirming() {
            return Err(Error::invalid(
                "channel",
                "without confirms",
                "only a channel opened with confirms can be asked for them",
            ));
        }
        let left = self.handle.begin_wait(Operation::Confirm, timeout)?;
        self.handle
            .channel
            .wait_for_confirm(tag.0, left)
            .map_err(|error| self.handle.blocked_or(error))
    }

    fn get(
        &self,
        queue: &str,
        acknowledgement: Acknowledgement,
        timeout: Duration,
    ) -> Result<Option<Delivery>> {
        let handle = &self.handle;
        carrot_core::backend::validate::short_string("queue", queue)?;
        handle.begin(Operation::Get, timeout)?;
        let manual = acknowledgement == Acknowledgement::Manual;
        let got = handle.close_on_error(
            handle.queue(queue).and_then(|queue| handle.get(&queue, manual, |_, _| ())),
        );
        handle.read(got)
    }

    fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        timeout: Duration,
    ) -> Result<Box<dyn Subscription>> {
        let handle = &self.handle;
        check_consume(queue, options, handle.frame_max)?;
        handle.begin(Operation::Consume, timeout)?;
        Ok(Box::new(handle.close_on_error(MemorySubscription::open(handle, queue, options))?))
    }

    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        self.handle.settle(tag, extent, SettleAction::Ack)
    }

    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()> {
        self.handle.settle(tag, extent, SettleAction::of(rejection))
    }

    fn check(&self) -> Result<()> {
        self.handle.channel.check()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        let read = self
            .handle
            .connection
            .gate
            .wait_until_read(Some(&self.handle.channel), Deadline::after(timeout));
        self.handle.close(Error::closed("channel"));
        if read { Ok(()) } else { Err(Error::timeout("close", timeout)) }
    }
}
