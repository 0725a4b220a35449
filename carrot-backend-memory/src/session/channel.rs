//! One channel of a session.

use std::fmt;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use carrot_core::backend::frame_limits::check_publication;
use carrot_core::backend::{
    Content, Declare, Delete, Deleted, DeliveryTag, Publication, QueueInfo, ShortString,
};
use carrot_core::{Binding, Error, Result};

use crate::broker::connection::BrokerConnection;
use crate::broker::direct_reply_to::PSEUDO_QUEUE;
use crate::broker::fault_plan::{FaultOutcome, Operation};
use crate::broker::names::random_suffix;
use crate::channel::inbox::PeerConsumer;
use crate::channel::inbox_sink::InboxSink;
use crate::channel::output::{ChannelEvent, ChannelOutput};
use crate::driver::channel_handle::ChannelHandle;
use crate::driver::connector::FRAME_MAX;
use crate::errors;
use crate::queue::BrokerQueue;
use crate::queue::arguments::{QueueKind, consumer_priority};
use crate::queue::consumers::QueueConsumer;
use crate::queue::sink::ConsumerKey;
use crate::queue::state::SettleAction;
use crate::session::mode::ChannelMode;
use crate::session::settings::{ConsumeSettings, LONGEST_DELAY};
use crate::sync::lock;

/// One channel of a [`Session`](crate::session::Session): the unit of acknowledgement and of
/// failure.
///
/// A server calls the methods in the order in which its peer sends them, one at a time. After an
/// error, [`Refusal::of`](crate::session::Refusal::of) names what is closed. The broker has closed
/// the channel then, unless the error closes the connection: the server then calls
/// [`Session::close`](crate::session::Session::close).
///
/// Dropping a channel closes it.
pub struct SessionChannel {
    pub(crate) handle: Arc<ChannelHandle>,
    output: Arc<dyn ChannelOutput>,
    /// The prefetch of consumers that start later; 0 for no limit.
    prefetch: AtomicU16,
    pub(crate) mode: Mutex<ChannelMode>,
}

// Not left to the handle: the handle of a driver rejects its deliveries first, and a peer does not.
impl Drop for SessionChannel {
    fn drop(&mut self) {
        self.close();
    }
}

impl SessionChannel {
    pub(crate) fn open(
        connection: &Arc<BrokerConnection>,
        output: Arc<dyn ChannelOutput>,
    ) -> Result<SessionChannel> {
        let channel = connection.open_peer_channel(Arc::clone(&output))?;
        let handle = ChannelHandle {
            connection: Arc::clone(connection),
            channel,
            call_timeout: LONGEST_DELAY,
            frame_max: usize::MAX,
        };
        Ok(SessionChannel {
            handle: Arc::new(handle),
            output,
            prefetch: AtomicU16::new(0),
            mode: Mutex::default(),
        })
    }

    /// Declares an exchange, a queue or a binding.
    ///
    /// # Errors
    /// As [`Backend::declare`](carrot_core::backend::Backend::declare), in RabbitMQ's words.
    pub fn declare(&self, entity: Declare<'_>) -> Result<QueueInfo> {
        self.begin(Operation::Declare)?;
        self.close_on_error(self.handle.declare(entity))
    }

    /// Deletes an exchange, a queue or a binding, or purges a queue.
    ///
    /// # Errors
    /// As [`Backend::delete`](carrot_core::backend::Backend::delete), in RabbitMQ's words.
    pub fn delete(&self, entity: Delete<'_>) -> Result<Deleted> {
        self.begin(Operation::Delete)?;
        self.close_on_error(self.handle.delete(entity))
    }

    /// Returns whether a binding exists. Changes nothing.
    ///
    /// # Errors
    /// - As [`Backend::has_binding`](carrot_core::backend::Backend::has_binding).
    pub fn has_binding(&self, binding: &Binding) -> Result<bool> {
        self.begin(Operation::Declare)?;
        let binding = self.close_on_error(self.handle.resolve(binding))?;
        Ok(self.handle.shared().topology().has_binding(&binding))
    }

    /// Publishes a message, or adds the message to the transaction.
    ///
    /// The answer of the broker is an event: [`ChannelEvent::Returned`],
    /// [`ChannelEvent::Confirmed`], or [`ChannelEvent::Failed`] if the broker closed the channel.
    /// While the broker blocks publishers, the message is kept. The server then calls
    /// [`Session::wait_until_read`](crate::session::Session::wait_until_read) before it reads on.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: the message exceeds a limit of
    ///   [`check_publication`](carrot_core::backend::frame_limits::check_publication) with frames
    ///   of 131,072 bytes. The peers of other servers could not receive it. The channel stays open.
    /// - A refusal, if the channel has transactions, or a test injected one.
    /// - The error of a closed channel.
    pub fn publish(&self, content: Content, mandatory: bool) -> Result<()> {
        let content = Arc::new(content);
        check_publication(&Publication::new(&content), FRAME_MAX)?;
        self.publish_shared(content, mandatory)
    }

    /// As [`publish`](SessionChannel::publish), for a message that was read from octets of AMQP
    /// 0-9-1, and can therefore be written. The server has bounded its size.
    ///
    /// # Errors
    /// As [`publish`](SessionChannel::publish), without the limits.
    #[doc(hidden)]
    pub fn publish_as_read(&self, content: Content, mandatory: bool) -> Result<()> {
        self.publish_shared(Arc::new(content), mandatory)
    }

    fn publish_shared(&self, content: Arc<Content>, mandatory: bool) -> Result<()> {
        let handle = &*self.handle;
        handle.channel.check()?;
        handle.shared().context.memory.enforce_limits();
        let fault = self.inject_publish_faults(&content)?;
        let Some(content) = self.keep_publication(content, mandatory, fault)? else {
            return Ok(());
        };
        let confirms = lock(&handle.channel.confirms);
        handle.connection.publish(&handle.channel, confirms, &content, mandatory, fault);
        Ok(())
    }

    fn inject_publish_faults(&self, content: &Content) -> Result<FaultOutcome> {
        let shared = self.handle.shared();
        if !shared.faults.is_armed() {
            return Ok(FaultOutcome::Proceed);
        }
        let outcome = self.begin(Operation::Publish)?;
        self.close_on_error(shared.faults.check(content))?;
        Ok(outcome)
    }

    /// Fetches the message at the head of a queue. Returns `false` if there is none.
    ///
    /// The message is an event, [`ChannelEvent::Fetched`].
    ///
    /// # Errors
    /// As [`Backend::get`](carrot_core::backend::Backend::get), in RabbitMQ's words.
    pub fn get(&self, queue: &str, no_ack: bool) -> Result<bool> {
        self.begin(Operation::Get)?;
        let handle = &self.handle;
        let fetched = handle.queue(queue).and_then(|queue| {
            handle.get(&queue, !no_ack, |delivery, remaining| {
                let delivery = delivery.clone();
                self.output.send(ChannelEvent::Fetched { delivery, remaining });
            })
        });
        self.close_on_error(fetched).map(|delivery| delivery.is_some())
    }

    /// Sets the prefetch of each consumer that starts later (`basic.qos`); 0 for no limit.
    ///
    /// The prefetch of the channel, if one was set, is no limit any more. Defaults to 0.
    pub fn set_consumer_prefetch(&self, count: u16) {
        self.prefetch.store(count, Ordering::Relaxed);
        self.limit_channel(0);
    }

    /// Sets the prefetch of all consumers of the channel together (`basic.qos` with `global`); 0
    /// for no limit.
    ///
    /// A consumer of a quorum queue is not limited, if it has started before. Later ones are
    /// refused. RabbitMQ 4.3 has no such prefetch: while the broker imitates it, the call does what
    /// [`set_consumer_prefetch`](SessionChannel::set_consumer_prefetch) does. Defaults to 0.
    pub fn set_channel_prefetch(&self, count: u16) {
        match self.handle.shared().rules().has_channel_prefetch {
            true => self.limit_channel(count),
            false => self.set_consumer_prefetch(count),
        }
    }

    fn limit_channel(&self, count: u16) {
        if self.handle.channel.set_prefetch((count > 0).then_some(count.into())) {
            self.resume();
        }
    }

    /// Starts a consumer on a queue. An empty tag stands for one that the broker generates.
    ///
    /// The first event of the consumer is [`ChannelEvent::Consuming`].
    ///
    /// # Errors
    /// - As [`Backend::consume`](carrot_core::backend::Backend::consume), in RabbitMQ's words.
    /// - [`Error::HardError`]: another consumer of the channel has this tag.
    pub fn consume(
        &self,
        queue: &str,
        consumer_tag: impl Into<ShortString>,
        settings: ConsumeSettings,
    ) -> Result<()> {
        self.begin(Operation::Consume)?;
        self.close_on_error(self.subscribe(queue, consumer_tag.into(), settings))
    }

    fn subscribe(
        &self,
        queue: &str,
        consumer_tag: ShortString,
        settings: ConsumeSettings,
    ) -> Result<()> {
        let handle = &self.handle;
        let last = if queue.is_empty() { Some(handle.channel.last_queue()?) } else { None };
        let name = last.as_deref().unwrap_or(queue);
        if handle.channel.inbox_of(consumer_tag.as_bytes()).is_some() {
            return Err(errors::reused_consumer_tag(&consumer_tag));
        }
        let consumer_tag = match consumer_tag.is_empty() {
            true => format!("amq.ctag-{}", random_suffix()).into(),
            false => consumer_tag,
        };
        let output = Arc::clone(&self.output);
        let peer = PeerConsumer { consumer_tag: consumer_tag.clone(), output };
        let started = || self.output.send(ChannelEvent::Consuming { consumer_tag });
        if name == PSEUDO_QUEUE {
            return self.subscribe_to_replies(peer, &settings, started);
        }
        let queue = handle.queue(name)?;
        let rules = &handle.shared().rules().queues;
        let priority = consumer_priority(&queue.name, queue.kind(), &settings.arguments, rules)?;
        if matches!(queue.kind(), QueueKind::Quorum { .. }) && handle.channel.has_prefetch() {
            return Err(errors::no_channel_prefetch(&queue.name));
        }
        let (inbox, _) = handle.channel.open_inbox(Some(&queue), Some(peer))?;
        let (channel, name) = (Arc::clone(&handle.channel), Arc::clone(&queue.name));
        let prefetch = self.prefetch.load(Ordering::Relaxed);
        let consumer = QueueConsumer {
            sink: Arc::new(InboxSink { channel, inbox, queue: name }),
            priority,
            credit: (prefetch > 0).then_some(prefetch.into()),
            manual: !settings.no_ack,
            exclusive: settings.exclusive,
        };
        let mut attached = Ok(());
        let added = handle.then_dead_letter(|| {
            queue.add_consumer(consumer, |key| {
                attached = handle.channel.attach_consumer(inbox, key);
                started();
            })
        });
        if let Err(error) = &added {
            handle.channel.remove_inbox(inbox);
            return Err(error.clone());
        }
        if let (Err(error), Ok(key)) = (attached, added) {
            let fate = handle.then_dead_letter(|| queue.remove_consumer(key));
            handle.shared().remove_if_deleted(&queue, fate);
            return Err(error);
        }
        Ok(())
    }

    fn subscribe_to_replies(
        &self,
        peer: PeerConsumer,
        settings: &ConsumeSettings,
        started: impl FnOnce(),
    ) -> Result<()> {
        if !settings.no_ack {
            return Err(errors::precondition("reply consumer cannot acknowledge"));
        }
        let handle = &self.handle;
        let (inbox, _) = handle.channel.open_inbox(None, Some(peer))?;
        if let Err(error) = handle.shared().replies.add(&handle.channel, inbox) {
            handle.channel.remove_inbox(inbox);
            return Err(error);
        }
        started();
        Ok(())
    }

    /// Ends a consumer. No delivery of the consumer follows. Returns `false` for an unknown tag.
    ///
    /// The unacknowledged deliveries stay with the channel.
    ///
    /// # Errors
    /// The error of a closed channel.
    pub fn cancel(&self, consumer_tag: &[u8]) -> Result<bool> {
        self.end_consumer(consumer_tag, |_, _| ())
    }

    /// Ends a consumer as [`cancel`](SessionChannel::cancel) does, and requeues its deliveries that
    /// the program of the peer has not seen: all but those in `seen`. Returns `false` for an
    /// unknown tag.
    ///
    /// The deliveries return one by one, as from a driver that receives them one by one. A queue
    /// with a length limit then loses no message that a consumer can take.
    ///
    /// # Errors
    /// The error of a closed channel.
    pub fn drop_consumer(
        &self,
        consumer_tag: &[u8],
        mut seen: impl FnMut(DeliveryTag) -> bool,
    ) -> Result<bool> {
        self.end_consumer(consumer_tag, |queue, key| {
            for unacked in self.handle.channel.take_unseen(queue, key, &mut seen) {
                let action = SettleAction::Requeue { failed: false };
                self.handle.settle_all(vec![unacked], action);
            }
        })
    }

    /// Ends a consumer. Calls `ended` with its queue after that.
    fn end_consumer(
        &self,
        consumer_tag: &[u8],
        ended: impl FnOnce(&Arc<BrokerQueue>, ConsumerKey),
    ) -> Result<bool> {
        let handle = &self.handle;
        handle.channel.check()?;
        let Some(inbox) = handle.channel.inbox_of(consumer_tag) else { return Ok(false) };
        if handle.channel.is_of_replies(inbox)
            && let Some(name) = handle.channel.reply_to()
        {
            handle.shared().replies.remove(&name);
            handle.channel.set_reply_to(None)?;
        }
        let consumer =
            handle.channel.end_subscription(inbox, "", "the peer cancelled the consumer");
        handle.channel.remove_inbox(inbox);
        if let Some((queue, key)) = consumer {
            let fate = handle.then_dead_letter(|| queue.remove_consumer(key));
            handle.shared().remove_if_deleted(&queue, fate);
            ended(&queue, key);
        }
        Ok(true)
    }

    /// Closes the channel. Its unacknowledged messages return to their queues. A second call does
    /// nothing.
    pub fn close(&self) {
        self.handle.close(Error::disconnected("the peer closed the channel"));
    }

    /// Closes the channel as a driver does: it requeues the deliveries first, so none of them
    /// counts as failed. A second call does nothing.
    pub fn give_back(&self) {
        self.handle.close(Error::closed("channel"));
    }

    /// Serves the consumers again if the channel lacked room for deliveries.
    pub(crate) fn resume(&self) {
        for queue in self.handle.channel.queues_to_resume() {
            self.handle.then_dead_letter(|| queue.resume());
        }
    }

    /// Injects the faults planned for an operation. Fails with the first error of a closed channel.
    pub(crate) fn begin(&self, operation: Operation) -> Result<FaultOutcome> {
        self.handle.channel.check()?;
        let shared = self.handle.shared();
        if !shared.faults.is_armed() {
            return Ok(FaultOutcome::Proceed);
        }
        let injected = shared.inject_faults(operation, Some(&self.handle.channel), LONGEST_DELAY);
        self.close_on_error(injected)
    }

    /// Closes the channel, if the error does. The server closes the connection.
    pub(crate) fn close_on_error<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && error.is_channel_error()
        {
            self.handle.close(error.clone());
        }
        result
    }
}

impl fmt::Debug for SessionChannel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SessionChannel")
            .field("id", &self.handle.channel.id)
            .finish_non_exhaustive()
    }
}
