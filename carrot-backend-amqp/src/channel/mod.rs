//! Channels: calls, publications and confirms, deliveries and settlements.

mod arrived;
mod assembler;
mod confirms;
mod consumer_terms;
mod consumers;
mod encode;
mod open_channel;
mod ranges;
mod receive;
mod rpc;
mod settle;
mod state;
mod subscription;
mod topology;
mod unacked;

use std::sync::Arc;
use std::time::Duration;

use carrot_amqp_wire::{
    Arguments, BasicConsume, BasicGet, BasicQos, FrameWriter, Method, WireError,
};
use carrot_core::backend::{
    Acknowledgement, Backend, ConsumeOptions, Declare, Delete, Deleted, Delivery, DeliveryTag,
    Extent, Outcome, Publication, PublishTag, QueueInfo, Rejection, Subscription, frame_limits,
    validate,
};
use carrot_core::{Error, Result};

use crate::connection::calls::{self, Call};
use crate::time::deadline_after;
use confirms::NoOutcome;
pub(crate) use consumer_terms::ConsumerTerms;
#[cfg(any(test, fuzzing))]
pub(crate) use consumers::ConsumerQueue;
pub(crate) use open_channel::OpenChannel;
use rpc::Reply;
#[cfg(any(test, fuzzing))]
pub(crate) use state::ChannelInner;
use subscription::ChannelSubscription;
use unacked::SettlementKind;

/// The contract, on an open channel.
#[derive(Debug)]
pub(crate) struct Channel {
    open: Arc<OpenChannel>,
}

impl Channel {
    pub(crate) fn new(open: Arc<OpenChannel>) -> Channel {
        Channel { open }
    }

    /// Sends a call whose method may exceed a frame, and waits for the answer.
    fn request(&self, (call, method): (Call, Method<'_>), timeout: Duration) -> Result<Reply> {
        let state = &self.open.state;
        state.check()?;
        let mut frame = Vec::new();
        FrameWriter::new(&mut frame, state.number, state.connection.frame_max())
            .method(&method)
            .map_err(unwritable)?;
        state.call(call, frame, timeout)
    }

    /// Returns the error of a wait whose deadline has passed.
    fn overdue(&self, operation: &'static str, timeout: Duration) -> Error {
        let overdue = || self.open.connection().overdue(operation, timeout);
        self.open.state.failure().unwrap_or_else(overdue)
    }
}

/// Returns the error of arguments that do not fit a frame.
fn unwritable(error: WireError) -> Error {
    Error::invalid("arguments", "cannot be encoded", error.to_string())
}

fn unexpected() -> Error {
    Error::Backend { reason: "the broker sent the answer to another call".into(), source: None }
}

impl Backend for Channel {
    fn declare(&self, entity: Declare<'_>, timeout: Duration) -> Result<QueueInfo> {
        frame_limits::check_declare(&entity, self.open.connection().frame_max() as usize)?;
        let reply = self.request(topology::declare(&entity), timeout)?;
        match (entity, reply) {
            (_, Reply::Queue(info)) => Ok(info),
            (Declare::Exchange(exchange), _) => Ok(QueueInfo::new(exchange.name.as_str(), 0, 0)),
            _ => Ok(QueueInfo::default()),
        }
    }

    fn delete(&self, entity: Delete<'_>, timeout: Duration) -> Result<Deleted> {
        frame_limits::check_delete(&entity, self.open.connection().frame_max() as usize)?;
        match self.request(topology::delete(&entity), timeout)? {
            Reply::Count(count) => Ok(Deleted::new(count)),
            _ => Ok(Deleted::default()),
        }
    }

    fn publish(&self, publication: &Publication<'_>, timeout: Duration) -> Result<PublishTag> {
        let connection = self.open.connection();
        let frame_max = connection.frame_max();
        let size = frame_limits::check_publication(publication, frame_max as usize)?;
        self.open.state.check()?;
        let Publication { content, mandatory, .. } = *publication;
        let frames =
            encode::publication(self.open.state.number, content, mandatory, size, frame_max)
                .map_err(unwritable)?;
        if !connection.writer.send_buffer.enter(size, timeout) {
            return Err(self.overdue("handing over a message", timeout));
        }
        let tag = self.open.state.publish(content, mandatory, frames, size);
        tag.map(PublishTag).ok_or_else(|| self.open.state.gone())
    }

    fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome> {
        if !self.open.state.is_confirming {
            return Err(Error::invalid(
                "channel",
                "without confirms",
                "only a channel opened with confirms can be asked for them",
            ));
        }
        self.open.state.wait_for_confirm(tag.0, deadline_after(timeout)).map_err(
            |none| match none {
                NoOutcome::Late => self.overdue("waiting for a confirm", timeout),
                NoOutcome::ChannelEnded => self.open.state.gone(),
                NoOutcome::Forgotten => Error::Backend {
                    reason: format!(
                        "the outcome of publication {} was not asked for in time, and was dropped",
                        tag.0
                    ),
                    source: None,
                },
            },
        )
    }

    fn get(
        &self,
        queue: &str,
        acknowledgement: Acknowledgement,
        timeout: Duration,
    ) -> Result<Option<Delivery>> {
        validate::short_string("queue", queue)?;
        let no_ack = acknowledgement == Acknowledgement::Automatic;
        if !no_ack {
            self.open.state.delivers();
        }
        let get = BasicGet { queue: queue.into(), no_ack };
        let frame = encode::frame(self.open.state.number, &get.into());
        let timeout = self.open.state.after_releases(calls::GET, timeout)?;
        match self.open.state.call(calls::GET, frame, timeout)? {
            Reply::Got(None) => Ok(None),
            Reply::Got(Some(arrived)) => {
                Ok(Some(self.open.state.hand_out(*arrived, acknowledgement)))
            }
            _ => Err(unexpected()),
        }
    }

    fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        timeout: Duration,
    ) -> Result<Box<dyn Subscription>> {
        let frame_max = self.open.connection().frame_max();
        frame_limits::check_consume(queue, options, frame_max as usize)?;
        self.open.state.check()?;
        let no_ack = options.acknowledgement == Acknowledgement::Automatic;
        let prefetch_count = options.prefetch;
        let terms = ConsumerTerms::of(options);
        if !no_ack {
            if !terms.is_stream {
                self.open.state.delivers();
            }
            self.open.state.tracker.limit_by_prefetch(prefetch_count);
        }
        let timeout = self.open.state.after_releases(calls::CONSUME, timeout)?;
        let consumer = self.open.state.consumers.add(terms);
        let qos = BasicQos { prefetch_size: 0, prefetch_count, global: false };
        let mut frames = encode::frame(self.open.state.number, &qos.into());
        let consume = BasicConsume {
            queue: queue.into(),
            consumer_tag: (&consumer.tag).into(),
            no_local: false,
            no_ack,
            exclusive: options.exclusive,
            no_wait: false,
            arguments: Arguments::from(&options.arguments),
        };
        let started = FrameWriter::new(&mut frames, self.open.state.number, frame_max)
            .method(&consume.into())
            .map_err(unwritable)
            .and_then(|()| self.open.state.call(calls::CONSUME, frames, timeout));
        if let Err(error) = started {
            self.open.state.consumers.remove(consumer.number);
            return Err(error);
        }
        let acknowledgement = options.acknowledgement;
        Ok(Box::new(ChannelSubscription::new(
            Arc::clone(&self.open),
            queue,
            acknowledgement,
            consumer,
        )))
    }

    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        self.open.state.settle(SettlementKind::Ack, tag, extent)
    }

    fn ack_all(&self, tags: &[DeliveryTag]) -> Result<()> {
        self.open.state.ack_all(tags)
    }

    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()> {
        self.open.state.settle(SettlementKind::Reject(rejection), tag, extent)
    }

    fn check(&self) -> Result<()> {
        self.open.state.check()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        let deadline = deadline_after(timeout);
        if self.open.begin_closing(Error::closed("channel"))
            && !self.open.wait_until_closed(deadline)
        {
            return Err(Error::timeout("closing a channel", timeout));
        }
        Ok(())
    }
}
