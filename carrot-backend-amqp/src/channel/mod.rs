//! Channels: calls, publications and confirms, deliveries and settlements.

mod assembler;
mod confirms;
mod consumers;
mod encode;
mod ranges;
mod receive;
mod rpc;
mod state;
mod subscription;
mod topology;
mod unacked;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use carrot_amqp_wire::{
    Arguments, BasicConsume, BasicGet, BasicQos, ChannelOpen, ConfirmSelect, FrameWriter, WireError,
};
use carrot_core::backend::{
    Acknowledgement, Backend, ConsumeOptions, Declare, Delete, Deleted, Delivery, DeliveryTag,
    Extent, Outcome, Publication, PublishTag, QueueInfo, Rejection, Subscription, frame_limits,
    validate,
};
use carrot_core::{Error, Result};

use crate::connection::calls;
use crate::connection::{AmqpConnection, ConnectionState, NoNumber};
use crate::time::deadline_after;
use confirms::NoOutcome;
#[cfg(any(test, fuzzing))]
pub(crate) use consumers::ConsumerQueue;
use rpc::{Expected, Reply};
pub(crate) use state::ChannelInner;
use subscription::ChannelSubscription;
use unacked::SettlementKind;

/// An open channel, held by its users and by its subscriptions.
pub(crate) struct Channel {
    me: Weak<Channel>,
    state: Arc<ChannelInner>,
    /// Kept open by its channels.
    _connection: Arc<AmqpConnection>,
}

impl Channel {
    /// Opens a channel.
    ///
    /// Blocks for one round trip, at most until `deadline`.
    pub(crate) fn open(
        connection: &Arc<AmqpConnection>,
        is_confirming: bool,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Arc<Channel>> {
        const OPEN: Expected = Expected::one(&[(20, 11)]);
        const OPEN_AND_SELECT: Expected = Expected { first: &[(20, 11)], last: &[(85, 11)] };
        let call = calls::OPEN_CHANNEL;
        let shared = connection.state();
        let overdue = || shared.overdue(call.operation, timeout);
        let _turn = shared.isolation.enter(call, deadline).ok_or_else(overdue)?;
        let create = |number| ChannelInner::new(shared, number, is_confirming);
        let state = shared.channels.reserve(shared.channel_max(), deadline, create);
        let state = state.map_err(|none| match none {
            NoNumber::Ended => shared.death(),
            NoNumber::Late => overdue(),
            NoNumber::Exhausted => Error::Backend {
                reason: "the connection has no channel left; see the option channel_max".into(),
                source: None,
            },
        })?;
        let mut frames = encode::frame(state.number, &ChannelOpen {}.into());
        let mut expected = OPEN;
        if is_confirming {
            let select = ConfirmSelect { no_wait: false };
            encode::append(&mut frames, state.number, &select.into());
            expected = OPEN_AND_SELECT;
        }
        state.open(call, expected, frames, timeout, deadline)?;
        let connection = Arc::clone(connection);
        Ok(Arc::new_cyclic(|me| Channel { me: Weak::clone(me), state, _connection: connection }))
    }

    fn state(&self) -> &ChannelInner {
        &self.state
    }

    fn connection(&self) -> &ConnectionState {
        &self.state.connection
    }

    /// Ends the channel with `reason`, and begins to close it at the broker. Returns false if the
    /// channel has ended before.
    pub(crate) fn begin_closing(&self, reason: Error) -> bool {
        let is_first = self.state.failure().is_none() && self.state.fail(reason);
        if is_first {
            self.state.close_at_broker();
        }
        is_first
    }

    /// Waits until the broker has closed the channel. Returns false if `deadline` passes first.
    pub(crate) fn wait_until_closed(&self, deadline: Instant) -> bool {
        self.state.slot.wait_until_closed(deadline)
    }
}

/// Returns the error of arguments that do not fit a frame.
fn unwritable(error: &WireError) -> Error {
    Error::invalid("arguments", "cannot be encoded", error.to_string())
}

fn unexpected() -> Error {
    Error::Backend { reason: "the broker sent the answer to another call".into(), source: None }
}

impl Backend for Channel {
    fn declare(&self, entity: Declare<'_>, timeout: Duration) -> Result<QueueInfo> {
        let frame_max = self.connection().frame_max();
        frame_limits::check_declare(&entity, frame_max as usize)?;
        self.state.check()?;
        let (call, expected, frame) = topology::declare(self.state.number, frame_max, &entity)
            .map_err(|error| unwritable(&error))?;
        match (entity, self.state.call(call, expected, frame, timeout)?) {
            (_, Reply::Queue(info)) => Ok(info),
            (Declare::Exchange(exchange), _) => Ok(QueueInfo::new(exchange.name.as_str(), 0, 0)),
            _ => Ok(QueueInfo::default()),
        }
    }

    fn delete(&self, entity: Delete<'_>, timeout: Duration) -> Result<Deleted> {
        let frame_max = self.connection().frame_max();
        frame_limits::check_delete(&entity, frame_max as usize)?;
        self.state.check()?;
        let (call, expected, frame) = topology::delete(self.state.number, frame_max, &entity)
            .map_err(|error| unwritable(&error))?;
        match self.state.call(call, expected, frame, timeout)? {
            Reply::Count(count) => Ok(Deleted::new(count)),
            _ => Ok(Deleted::default()),
        }
    }

    fn publish(&self, publication: &Publication<'_>, timeout: Duration) -> Result<PublishTag> {
        const OPERATION: &str = "handing over a message";
        let connection = self.connection();
        let frame_max = connection.frame_max();
        let size = frame_limits::check_publication(publication, frame_max as usize)?;
        self.state.check()?;
        let Publication { content, mandatory, .. } = *publication;
        let frames = encode::publication(self.state.number, content, mandatory, size, frame_max)
            .map_err(|error| unwritable(&error))?;
        if !connection.writer.send_buffer.enter(size, timeout) {
            let overdue = || connection.overdue(OPERATION, timeout);
            return Err(self.state.failure().unwrap_or_else(overdue));
        }
        let tag = self.state.publish(content, mandatory, frames, size);
        tag.map(PublishTag).ok_or_else(|| self.state.gone())
    }

    fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome> {
        if !self.state.is_confirming {
            return Err(Error::invalid(
                "channel",
                "without confirms",
                "only a channel opened with confirms can be asked for them",
            ));
        }
        self.state.confirms.wait(tag.0, deadline_after(timeout)).map_err(|none| match none {
            NoOutcome::Late => {
                let overdue = || self.connection().overdue("waiting for a confirm", timeout);
                self.state.failure().unwrap_or_else(overdue)
            }
            NoOutcome::ChannelEnded => self.state.gone(),
            NoOutcome::Forgotten => Error::Backend {
                reason: format!(
                    "the outcome of publication {} was not asked for in time, and was dropped",
                    tag.0
                ),
                source: None,
            },
        })
    }

    fn get(
        &self,
        queue: &str,
        acknowledgement: Acknowledgement,
        timeout: Duration,
    ) -> Result<Option<Delivery>> {
        const EXPECTED: Expected = Expected::one(&[(60, 71), (60, 72)]);
        validate::short_string("queue", queue)?;
        let no_ack = acknowledgement == Acknowledgement::Automatic;
        if !no_ack {
            self.state.delivers();
        }
        let get = BasicGet { queue: queue.into(), no_ack };
        let frame = encode::frame(self.state.number, &get.into());
        let timeout = self.state.after_releases(calls::GET, timeout)?;
        match self.state.call(calls::GET, EXPECTED, frame, timeout)? {
            Reply::Got(None) => Ok(None),
            Reply::Got(Some(arrived)) => Ok(Some(self.state.hand_out(*arrived, acknowledgement))),
            _ => Err(unexpected()),
        }
    }

    fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        timeout: Duration,
    ) -> Result<Box<dyn Subscription>> {
        const EXPECTED: Expected = Expected { first: &[(60, 11)], last: &[(60, 21)] };
        let frame_max = self.connection().frame_max();
        frame_limits::check_consume(queue, options, frame_max as usize)?;
        self.state.check()?;
        let channel = self.me.upgrade().ok_or_else(|| Error::closed("channel"))?;
        let no_ack = options.acknowledgement == Acknowledgement::Automatic;
        let prefetch_count = options.prefetch;
        if !no_ack {
            self.state.delivers();
            self.state.tracker.limit_by_prefetch(prefetch_count);
        }
        let timeout = self.state.after_releases(calls::CONSUME, timeout)?;
        let consumer = self.state.consumers.add(no_ack);
        let qos = BasicQos { prefetch_size: 0, prefetch_count, global: false };
        let mut frames = encode::frame(self.state.number, &qos.into());
        let consume = BasicConsume {
            queue: queue.into(),
            consumer_tag: (&consumer.tag).into(),
            no_local: false,
            no_ack,
            exclusive: options.exclusive,
            no_wait: false,
            arguments: Arguments::from(&options.arguments),
        };
        let started = FrameWriter::new(&mut frames, self.state.number, frame_max)
            .method(&consume.into())
            .map_err(|error| unwritable(&error))
            .and_then(|()| self.state.call(calls::CONSUME, EXPECTED, frames, timeout));
        if let Err(error) = started {
            self.state.consumers.remove(consumer.number);
            return Err(error);
        }
        let acknowledgement = options.acknowledgement;
        Ok(Box::new(ChannelSubscription::new(channel, queue, acknowledgement, consumer)))
    }

    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        self.state.settle(SettlementKind::Ack, tag, extent)
    }

    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()> {
        self.state.settle(SettlementKind::Reject(rejection), tag, extent)
    }

    fn check(&self) -> Result<()> {
        self.state.check()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        let deadline = deadline_after(timeout);
        if self.begin_closing(Error::closed("channel")) && !self.wait_until_closed(deadline) {
            return Err(Error::timeout("closing a channel", timeout));
        }
        Ok(())
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.begin_closing(Error::closed("channel"));
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AmqpChannel")
            .field("endpoint", &self.connection().endpoint)
            .field("number", &self.state.number)
            .field("has_failed", &self.state.failure().is_some())
            .finish_non_exhaustive()
    }
}
