//! One open channel, as the contract requires it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_core::backend::frame_limits::{
    check_consume, check_declare, check_delete, check_publication,
};
use carrot_core::backend::{
    Acknowledgement, Backend, ConsumeOptions, Declare, Delete, Deleted, Delivery, DeliveryTag,
    Extent, Outcome, Publication, PublishTag, QueueInfo, Rejection, Subscription, validate,
};
use carrot_core::{Binding, Error, Result};

use crate::calls::event::read_queue_info;
use crate::calls::fields::{CallError, FieldReader};
use crate::calls::put_request::{
    put_bare, put_consume, put_declare_exchange, put_declare_queue, put_delete, put_get,
    put_of_binding, put_purge,
};
use crate::calls::request::{SettleKind, kind};
use crate::client::channel_handle::ZeroMqChannel;
use crate::client::channel_state::HeldTags;
use crate::client::item::ClientItem;
use crate::client::link_shared::CallAnswer;
use crate::client::subscription::ZeroMqSubscription;

/// One channel of a host.
#[derive(Debug)]
pub(crate) struct ZeroMqBackend {
    handle: Arc<ZeroMqChannel>,
}

impl ZeroMqBackend {
    pub(crate) fn new(handle: ZeroMqChannel) -> ZeroMqBackend {
        ZeroMqBackend { handle: Arc::new(handle) }
    }
}

fn read_count(octets: &[u8]) -> Result<Deleted, CallError> {
    let mut fields = FieldReader::new(octets);
    let count = fields.u32("messages")?;
    fields.finish()?;
    Ok(Deleted::new(count))
}

impl Backend for ZeroMqBackend {
    fn declare(&self, entity: Declare<'_>, timeout: Duration) -> Result<QueueInfo> {
        let handle = &self.handle;
        check_declare(&entity, handle.frame_max)?;
        handle.call_for(
            "declare",
            timeout,
            |out, channel, call| match entity {
                Declare::Exchange(exchange) => put_declare_exchange(out, channel, call, exchange),
                Declare::Queue(queue) => put_declare_queue(out, channel, call, queue),
                Declare::Binding(binding) => {
                    put_of_binding(out, kind::BIND, channel, call, binding);
                }
            },
            read_queue_info,
        )
    }

    fn delete(&self, entity: Delete<'_>, timeout: Duration) -> Result<Deleted> {
        let handle = &self.handle;
        check_delete(&entity, handle.frame_max)?;
        handle.call_for(
            "delete",
            timeout,
            |out, channel, call| match entity {
                Delete::Exchange { name, condition } => {
                    put_delete(out, kind::DELETE_EXCHANGE, channel, call, name, condition);
                }
                Delete::Queue { name, condition } => {
                    put_delete(out, kind::DELETE_QUEUE, channel, call, name, condition);
                }
                Delete::Binding(binding) => {
                    put_of_binding(out, kind::UNBIND, channel, call, binding);
                }
                Delete::Messages { queue } => put_purge(out, channel, call, queue),
            },
            read_count,
        )
    }

    fn has_binding(&self, binding: &Binding, timeout: Duration) -> Result<Option<bool>> {
        let handle = &self.handle;
        check_declare(&Declare::Binding(binding), handle.frame_max)?;
        handle.call_for(
            "has_binding",
            timeout,
            |out, channel, call| put_of_binding(out, kind::HAS_BINDING, channel, call, binding),
            |octets| {
                let mut fields = FieldReader::new(octets);
                let has = fields.u8("has binding")? != 0;
                fields.finish()?;
                Ok(Some(has))
            },
        )
    }

    fn publish(&self, publication: &Publication<'_>, timeout: Duration) -> Result<PublishTag> {
        let handle = &*self.handle;
        check_publication(publication, handle.frame_max)?;
        validate::body(&publication.content.body, handle.link.traits.max_body)?;
        handle.channel.check()?;
        let outgoing = &handle.link.shared.outgoing;
        if !outgoing.wait_for_room_within(timeout) {
            return Err(handle.late("publish", timeout));
        }
        let item = ClientItem::Publish {
            channel: handle.channel.number,
            content: Arc::clone(publication.content),
            mandatory: publication.mandatory,
        };
        handle.channel.publish(|| outgoing.add_and_wake(item)).map(PublishTag)
    }

    fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome> {
        let handle = &self.handle;
        if !handle.channel.confirms {
            return Err(Error::invalid(
                "channel",
                "without confirms",
                "only a channel opened with confirms can be asked for them",
            ));
        }
        match handle.channel.wait_for_confirm(tag.0, timeout)? {
            Some(outcome) => Ok(outcome),
            None => Err(handle.late("confirm", timeout)),
        }
    }

    fn get(
        &self,
        queue: &str,
        acknowledgement: Acknowledgement,
        timeout: Duration,
    ) -> Result<Option<Delivery>> {
        let handle = &self.handle;
        validate::short_string("queue", queue)?;
        let answer = handle.call("get", timeout, |out, channel, call| {
            put_get(out, channel, call, queue, acknowledgement);
        })?;
        let CallAnswer::Fetched(delivery) = answer else { return Ok(None) };
        if acknowledgement == Acknowledgement::Manual {
            handle.channel.hold(delivery.tag)?;
        }
        Ok(Some(delivery))
    }

    fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        timeout: Duration,
    ) -> Result<Box<dyn Subscription>> {
        let handle = &self.handle;
        check_consume(queue, options, handle.frame_max)?;
        let is_manual = options.acknowledgement == Acknowledgement::Manual;
        let consumer = handle.link.next_consumer();
        let arrived = handle.channel.open_inbox(consumer, queue, is_manual)?;
        let started = handle.call("consume", timeout, |out, channel, call| {
            put_consume(out, channel, call, consumer, queue, options);
        });
        if let Err(error) = started {
            handle.report_taken(handle.channel.close_inbox(consumer).report);
            return Err(error);
        }
        Ok(Box::new(ZeroMqSubscription::new(Arc::clone(handle), consumer, arrived)))
    }

    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        self.handle.settle(SettleKind::Ack, tag, extent)
    }

    fn ack_all(&self, tags: &[DeliveryTag]) -> Result<()> {
        let mut unknown = DeliveryTag(0);
        let choose = |held: &mut HeldTags| {
            if let Some(tag) = tags.iter().find(|tag| !held.contains_key(&tag.0)) {
                unknown = *tag;
                return None;
            }
            let mut chosen: Vec<u64> = tags.iter().map(|tag| tag.0).collect();
            for tag in &chosen {
                held.remove(tag);
            }
            chosen.sort_unstable();
            Some(chosen)
        };
        let settled = self.handle.channel.settle(choose, |tags| {
            self.handle.send_settlement(SettleKind::Ack, tags);
        });
        match settled {
            Ok(true) => Ok(()),
            // Closes the channel, as an acknowledgement of the unknown tag does.
            Ok(false) => self.handle.settle(SettleKind::Ack, unknown, Extent::One),
            Err(error) => Err(Error::Stale { source: Some(Arc::new(error)) }),
        }
    }

    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()> {
        self.handle.settle(SettleKind::Reject(rejection), tag, extent)
    }

    fn check(&self) -> Result<()> {
        self.handle.channel.check()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        let handle = &self.handle;
        if handle.channel.check().is_err() {
            return Ok(());
        }
        let number = handle.channel.number;
        let started = Instant::now();
        // Threads that wait learn of the end at once.
        let answer = handle
            .link
            .call("close", timeout, |out, call| put_bare(out, kind::CLOSE, number, call));
        handle.channel.fail(&Error::closed("channel"));
        handle.link.shared.remove_channel(number);
        match answer {
            Err(Error::Timeout { .. }) => Err(Error::timeout("close", started.elapsed())),
            _ => Ok(()),
        }
    }
}
