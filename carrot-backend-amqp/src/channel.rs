//! One channel.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use amiquip::QueueDeleteOptions;
use carrot_core::backend::{
    Acknowledgement, Backend, ConsumeOptions, Declare, Delete, Deleted, Delivery, DeliveryTag,
    Extent, Outcome, Publication, PublishTag, QueueInfo, Rejection, Subscription,
};
use carrot_core::{Destination, Error, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::calls::{self, Call};
use crate::confirms::NoOutcome;
use crate::convert;
use crate::core::Core;
use crate::desk::{self, Desk};
use crate::large_bodies::Around;
use crate::ledger::{UnknownTag, Verdict};
use crate::owner::Job;
use crate::subscription::AmqpSubscription;
use crate::time::deadline_after;
use crate::turns::Turn;
use crate::within::within;
use carrot_core::backend::{frame_limits, validate};

/// By how much an answer may come later than its deadline, when the owner of a channel gives it.
const GRACE: Duration = Duration::from_secs(1);

/// An open channel, held by its users and by the subscriptions made on it.
pub(crate) struct Channel {
    me: Weak<Channel>,
    core: Arc<Core>,
    desk: Desk,
    subscriptions: AtomicU64,
}

impl Channel {
    pub(crate) fn new(core: Core, channel: amiquip::Channel) -> Arc<Channel> {
        Arc::new_cyclic(|me| Channel {
            me: Weak::clone(me),
            core: Arc::new(core),
            desk: Desk::new(channel),
            subscriptions: AtomicU64::new(0),
        })
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn deadline(&self) -> Instant {
        deadline_after(self.core.call_timeout())
    }

    fn frame_max(&self) -> usize {
        self.core.life().wire.frame_max()
    }

    /// Makes a round trip: on this thread, or on the owner's if there is one. If the broker has just closed the connection over a call
    /// like this, other such calls are waited for.
    fn call<T: Send + 'static>(
        &self,
        kind: Call,
        call: impl FnOnce(&amiquip::Channel) -> amiquip::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.core.check()?;
        let (operation, deadline) = (kind.operation, self.deadline());
        let _turn = self.turn(kind, deadline)?;
        match self.desk.turn(&self.core, operation, deadline)? {
            desk::Turn::Yours(channel) => {
                let result = self
                    .core
                    .check()
                    .and_then(|()| self.core.call(kind, deadline, || call(&channel)));
                self.desk.give_back(&self.core, channel);
                result
            }
            desk::Turn::Owners(owner) => {
                let (reply, answer) = bounded(1);
                let core = Arc::clone(&self.core);
                let job = Job::Call(Box::new(move |channel| {
                    let _ = reply.send(
                        core.check().and_then(|()| core.call(kind, deadline, || call(channel))),
                    );
                }));
                owner.send(job).map_err(|_| self.core.gone())?;
                self.answer(&answer, operation, deadline)
            }
            desk::Turn::Nobodys(_) => Err(self.core.gone()),
        }
    }

    /// Waits until a call may be made. Its channel may be lost by then.
    fn turn(&self, kind: Call, deadline: Instant) -> Result<Turn<'_>> {
        let turn = self.core.life().turns.enter(kind, deadline);
        turn.ok_or_else(|| self.core.life().overdue(kind.operation, self.core.call_timeout()))
    }

    /// Waits for the owner's answer. The owner is under the same deadline, and is late only if the machine is.
    fn answer<T>(
        &self,
        answer: &Receiver<Result<T>>,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<T> {
        match answer.recv_deadline(deadline + GRACE) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                self.core
                    .life()
                    .kill
                    .trip(format!("it was cut, since {operation} did not finish in time"));
                Err(self.core.cut(operation))
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.core.gone()),
        }
    }

    pub(crate) fn cancel(&self, id: u64, timeout: Duration) -> Result<()> {
        self.within(timeout, calls::CANCEL.operation, move |channel| channel.cancel_now(id))
    }

    fn cancel_now(&self, id: u64) -> Result<()> {
        const OPERATION: &str = calls::CANCEL.operation;
        self.core.check()?;
        let deadline = self.deadline();
        let (reply, answer) = bounded(1);
        let owner = self.desk.owner(&self.core, OPERATION, deadline)?;
        owner.send(Job::Cancel { id, deadline, reply }).map_err(|_| self.core.gone())?;
        self.answer(&answer, OPERATION, deadline)
    }

    pub(crate) fn release(&self, id: u64, automatic: bool) {
        self.desk.release(id, automatic);
    }

    /// Takes the content out of a delivery, and keeps what it takes to settle it.
    pub(crate) fn hand_out(
        &self,
        mut delivery: amiquip::Delivery,
        acknowledgement: Acknowledgement,
    ) -> Delivery {
        let tag = delivery.delivery_tag();
        let redelivered = delivery.redelivered;
        if acknowledgement == Acknowledgement::Automatic {
            self.core.pass(&delivery);
        }
        let Around { body, is_complete } =
            self.core.inbox.bodies.claim(std::mem::take(&mut delivery.body));
        let content = convert::take_content(&mut delivery, body);
        if acknowledgement == Acknowledgement::Manual {
            self.core.ledger.hand_out(tag);
        }
        Delivery::new(DeliveryTag(tag), Arc::new(content))
            .with_redelivered(redelivered)
            .with_is_complete(is_complete)
    }

    fn settle(&self, verdict: Verdict, tag: DeliveryTag, extent: Extent) -> Result<()> {
        if let Some(failure) = self.core.failure() {
            return Err(Error::Stale { source: Some(Arc::new(failure)) });
        }
        match self.core.ledger.decide(verdict, tag.0, extent) {
            Ok(tell) => self.desk.settle(&self.core, tell),
            Err(UnknownTag) => {
                // The broker would close the channel over it, so the driver does.
                self.core.fail(Error::PreconditionFailed {
                    reason: format!("PRECONDITION_FAILED - unknown delivery tag {}", tag.0),
                });
                self.desk.abandon(&self.core);
            }
        }
        Ok(())
    }

    /// The first error of a channel that was seen to have ended.
    pub(crate) fn first_error(&self) -> Error {
        // The broker's words wait in the channel for the next call on it; this one sends nothing, and nothing comes to whom it replaces.
        let asked =
            self.call(calls::ASK_WHY, |channel| channel.listen_for_publisher_confirms().map(drop));
        asked.err().unwrap_or_else(|| self.core.gone())
    }

    /// Fails the channel with `reason`, and begins to close it.
    pub(crate) fn begin_closing(
        &self,
        reason: Error,
        deadline: Instant,
    ) -> Result<Option<Receiver<()>>> {
        if !self.core.has_failed() && self.core.fail_first(reason) {
            return self.desk.close(&self.core, deadline).map(Some);
        }
        Ok(None)
    }
}

/// The verbs that wait for the broker, within the call timeout.
impl Channel {
    fn declare_now(&self, entity: Declare<'_>) -> Result<QueueInfo> {
        frame_limits::check_declare(&entity, self.frame_max())?;
        match entity {
            Declare::Exchange(exchange) => {
                let name = exchange.name.clone();
                if exchange.passive {
                    self.call(calls::CHECK_EXCHANGE, move |channel| {
                        channel.exchange_declare_passive(name).map(drop)
                    })?;
                } else {
                    let (kind, options) = convert::to_exchange(exchange);
                    self.call(calls::DECLARE_EXCHANGE, move |channel| {
                        channel.exchange_declare(kind, name, options).map(drop)
                    })?;
                }
                Ok(QueueInfo::new(exchange.name.as_str(), 0, 0))
            }
            Declare::Queue(queue) => {
                let name = queue.name.clone();
                let options = if queue.passive { None } else { Some(convert::to_queue(queue)) };
                self.call(calls::DECLARE_QUEUE, move |channel| {
                    let queue = match options {
                        Some(options) => channel.queue_declare(name, options)?,
                        None => channel.queue_declare_passive(name)?,
                    };
                    let count = |count: Option<u32>| count.unwrap_or_default();
                    Ok(QueueInfo::new(
                        queue.name(),
                        count(queue.declared_message_count()),
                        count(queue.declared_consumer_count()),
                    ))
                })
            }
            Declare::Binding(binding) => {
                let (source, key) = (binding.source.clone(), binding.routing_key.clone());
                let (destination, arguments) =
                    (binding.destination.clone(), convert::to_table(&binding.arguments));
                match destination {
                    Destination::Queue(queue) => {
                        self.call(calls::BIND_QUEUE, move |channel| {
                            channel.queue_bind(queue, source, key, arguments)
                        })?;
                    }
                    Destination::Exchange(exchange) => {
                        self.call(calls::BIND_EXCHANGE, move |channel| {
                            channel.exchange_bind(exchange, source, key, arguments)
                        })?;
                    }
                }
                Ok(QueueInfo::default())
            }
        }
    }

    fn delete_now(&self, entity: Delete<'_>) -> Result<Deleted> {
        frame_limits::check_delete(&entity, self.frame_max())?;
        match entity {
            Delete::Exchange { name, condition } => {
                let name = name.to_string();
                self.call(calls::DELETE_EXCHANGE, move |channel| {
                    channel.exchange_delete(name, condition.if_unused)
                })?;
                Ok(Deleted::default())
            }
            Delete::Queue { name, condition } => {
                let name = name.to_string();
                let options = QueueDeleteOptions {
                    if_unused: condition.if_unused,
                    if_empty: condition.if_empty,
                };
                self.call(calls::DELETE_QUEUE, move |channel| channel.queue_delete(name, options))
                    .map(Deleted::new)
            }
            Delete::Messages { queue } => {
                let queue = queue.to_string();
                self.call(calls::PURGE_QUEUE, move |channel| channel.queue_purge(queue))
                    .map(Deleted::new)
            }
            Delete::Binding(binding) => {
                let (source, key) = (binding.source.clone(), binding.routing_key.clone());
                let (destination, arguments) =
                    (binding.destination.clone(), convert::to_table(&binding.arguments));
                match destination {
                    Destination::Queue(queue) => {
                        self.call(calls::UNBIND_QUEUE, move |channel| {
                            channel.queue_unbind(queue, source, key, arguments)
                        })?;
                    }
                    Destination::Exchange(exchange) => {
                        self.call(calls::UNBIND_EXCHANGE, move |channel| {
                            channel.exchange_unbind(exchange, source, key, arguments)
                        })?;
                    }
                }
                Ok(Deleted::default())
            }
        }
    }

    fn get_now(&self, queue: &str, acknowledgement: Acknowledgement) -> Result<Option<Delivery>> {
        validate::short_string("queue", queue)?;
        let queue = queue.to_string();
        let automatic = acknowledgement == Acknowledgement::Automatic;
        if !automatic {
            self.core.delivers();
        }
        let got = self.call(calls::GET, move |channel| channel.basic_get(queue, automatic))?;
        Ok(got.map(|got| self.hand_out(got.delivery, acknowledgement)))
    }

    fn consume_now(&self, queue: &str, options: &ConsumeOptions) -> Result<AmqpSubscription> {
        const OPERATION: &str = calls::CONSUME.operation;
        frame_limits::check_consume(queue, options, self.frame_max())?;
        self.core.check()?;
        let channel = self.me.upgrade().ok_or_else(|| Error::closed("channel"))?;
        let deadline = self.deadline();
        let _turn = self.turn(calls::CONSUME, deadline)?;
        let owner = self.desk.owner(&self.core, OPERATION, deadline)?;
        let id = self.subscriptions.fetch_add(1, Ordering::Relaxed);
        if options.acknowledgement == Acknowledgement::Manual {
            self.core.delivers();
        }
        let (reply, answer) = bounded(1);
        let (prefetch, consumer) = (options.prefetch, convert::to_consumer(options));
        let job = Job::Consume {
            id,
            queue: queue.to_string(),
            prefetch,
            options: consumer,
            deadline,
            reply,
        };
        owner.send(job).map_err(|_| self.core.gone())?;
        let deliveries = self.answer(&answer, OPERATION, deadline)?;
        Ok(AmqpSubscription::new(channel, id, queue, options.acknowledgement, deliveries))
    }

    /// Makes a call within `timeout`, and within the call timeout in any case.
    fn within<T: Send + 'static>(
        &self,
        timeout: Duration,
        operation: &'static str,
        call: impl FnOnce(&Channel) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if timeout >= self.core.call_timeout() {
            return call(self);
        }
        let channel = self.me.upgrade().ok_or_else(|| Error::closed("channel"))?;
        within(timeout, operation, move || call(&channel))
    }
}

impl Backend for Channel {
    fn declare(&self, entity: Declare<'_>, timeout: Duration) -> Result<QueueInfo> {
        if timeout >= self.core.call_timeout() {
            return self.declare_now(entity);
        }
        match entity {
            Declare::Exchange(exchange) => {
                let exchange = exchange.clone();
                self.within(timeout, calls::DECLARE_EXCHANGE.operation, move |channel| {
                    channel.declare_now(Declare::Exchange(&exchange))
                })
            }
            Declare::Queue(queue) => {
                let queue = queue.clone();
                self.within(timeout, calls::DECLARE_QUEUE.operation, move |channel| {
                    channel.declare_now(Declare::Queue(&queue))
                })
            }
            Declare::Binding(binding) => {
                let binding = binding.clone();
                self.within(timeout, calls::BIND_QUEUE.operation, move |channel| {
                    channel.declare_now(Declare::Binding(&binding))
                })
            }
        }
    }

    fn delete(&self, entity: Delete<'_>, timeout: Duration) -> Result<Deleted> {
        if timeout >= self.core.call_timeout() {
            return self.delete_now(entity);
        }
        match entity {
            Delete::Exchange { name, condition } => {
                let name = name.to_string();
                self.within(timeout, calls::DELETE_EXCHANGE.operation, move |channel| {
                    channel.delete_now(Delete::Exchange { name: &name, condition })
                })
            }
            Delete::Queue { name, condition } => {
                let name = name.to_string();
                self.within(timeout, calls::DELETE_QUEUE.operation, move |channel| {
                    channel.delete_now(Delete::Queue { name: &name, condition })
                })
            }
            Delete::Binding(binding) => {
                let binding = binding.clone();
                self.within(timeout, calls::UNBIND_QUEUE.operation, move |channel| {
                    channel.delete_now(Delete::Binding(&binding))
                })
            }
            Delete::Messages { queue } => {
                let queue = queue.to_string();
                self.within(timeout, calls::PURGE_QUEUE.operation, move |channel| {
                    channel.delete_now(Delete::Messages { queue: &queue })
                })
            }
        }
    }

    fn publish(&self, publication: &Publication<'_>, timeout: Duration) -> Result<PublishTag> {
        const OPERATION: &str = "handing over a message";
        let size = frame_limits::check_publication(publication, self.frame_max())?;
        self.core.check()?;
        if !self.core.life().wire.outlet.flow.enter(size, timeout) {
            return Err(self
                .core
                .failure()
                .unwrap_or_else(|| self.core.life().overdue(OPERATION, timeout)));
        }
        self.core
            .publish(publication.content, publication.mandatory, size)
            .map(PublishTag)
            .ok_or_else(|| self.first_error())
    }

    fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome> {
        if !self.core.confirming {
            return Err(Error::invalid(
                "channel",
                "without confirms",
                "only a channel opened with confirms can be asked for them",
            ));
        }
        self.core.inbox.confirms.wait(tag.0, deadline_after(timeout)).map_err(|none| match none {
            NoOutcome::Late => self
                .core
                .failure()
                .unwrap_or_else(|| self.core.life().overdue("waiting for a confirm", timeout)),
            NoOutcome::ChannelGone => self.first_error(),
            NoOutcome::Forgotten => Error::Backend {
                reason: format!(
                    "the answer to publication {} was not asked for in time and is no longer known",
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
        let queue = queue.to_string();
        self.within(timeout, calls::GET.operation, move |channel| {
            channel.get_now(&queue, acknowledgement)
        })
    }

    fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        timeout: Duration,
    ) -> Result<Box<dyn Subscription>> {
        let (queue, options) = (queue.to_string(), options.clone());
        let subscription = self.within(timeout, calls::CONSUME.operation, move |channel| {
            channel.consume_now(&queue, &options)
        })?;
        Ok(Box::new(subscription))
    }

    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        self.settle(Verdict::Ack, tag, extent)
    }

    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()> {
        self.settle(Verdict::Reject(rejection), tag, extent)
    }

    fn check(&self) -> Result<()> {
        self.core.known_failure().map_or(Ok(()), Err)
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        let deadline = deadline_after(timeout);
        let late = || Error::timeout("closing a channel", timeout);
        let Some(closed) =
            self.begin_closing(Error::closed("channel"), deadline).map_err(|_| late())?
        else {
            return Ok(());
        };
        let _ = closed.recv_deadline(deadline);
        // By then the watchdog may have ended it.
        if Instant::now() >= deadline { Err(late()) } else { Ok(()) }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.core.fail_first(Error::closed("channel"));
        self.desk.abandon(&self.core);
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AmqpChannel")
            .field("endpoint", &self.core.life().endpoint())
            .field("place", &self.desk)
            .field("failed", &self.core.has_failed())
            .field("bodies", &self.core.inbox.bodies)
            .finish_non_exhaustive()
    }
}
