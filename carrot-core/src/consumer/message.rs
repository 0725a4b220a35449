use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::backend::{Acknowledgement, Backend, Content, Delivery, DeliveryTag};
use crate::codec::Codec;
use crate::codec::body_decoder::BodyDecoder;
use crate::consumer::death::Death;
use crate::consumer::disposition::Disposition;
use crate::consumer::failure::{Failure, LocalAttempts, Original, deaths};
use crate::consumer::handler_error::IntoHandlerError;
use crate::consumer::held_bytes::{HeldMessage, SubscriptionWindow};
use crate::consumer::received_body;
use crate::consumer::stream_offset;
use crate::consumer::stream_position::StreamPosition;
use crate::error::{Cause, Error, Result};
use crate::model::{Headers, Properties, Value};

/// A message received from a queue.
///
/// A message stays unacknowledged at the broker until it is settled by [`ack`](Message::ack),
/// [`reject`](Message::reject), [`requeue`](Message::requeue) or [`fail`](Message::fail). Messages
/// cannot be settled twice, because these take the message by value. They work from any thread.
/// Dropping an unsettled message requeues it and logs at debug level.
///
/// Once the channel of a message is lost, settling fails with [`Error::Stale`](crate::Error::Stale)
/// and sends nothing. The broker redelivers the message.
///
/// ```
/// # fn import(_: &str) -> bool { true }
/// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
/// if let Some(message) = consumer.fetch()? {
///     let url: String = message.decode()?;
///     if import(&url) {
///         message.ack()?;
///     } else {
///         message.reject()?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a message that is dropped goes back to its queue"]
pub struct Message {
    delivery: Delivery,
    source: Arc<DeliverySource>,
    unsettled: bool,
    /// Attempts in this process, which no copy counts.
    attempts_here: u32,
    /// Counts the message against the bound of its run, if there is one.
    held: Option<HeldMessage>,
}

/// The actions of a consumer on failed messages.
pub(crate) trait FailedMessages: fmt::Debug + Send + Sync {
    /// Handles a failed message that belongs to no run.
    ///
    /// # Errors
    /// [`Error::Stale`]: the broker redelivers the message.
    fn fail(&self, message: Message, failure: &Failure) -> Result<()>;

    /// Sends a copy of a parked message to the queue where its handler failed.
    ///
    /// # Errors
    /// The errors of publishing.
    fn forward(&self, message: &Message) -> Result<()>;

    /// Returns the attempts at messages that no header counts.
    fn counted(&self) -> &LocalAttempts;

    /// Returns the number of failed attempts that the broker has counted.
    fn counted_by_broker(&self, delivery: &Delivery) -> u32;
}

/// The channel and queue that messages are delivered from, and the decoder of their bodies.
#[derive(Debug)]
pub(crate) struct DeliverySource {
    pub(crate) channel: Arc<dyn Backend>,
    pub(crate) decoder: Arc<BodyDecoder>,
    pub(crate) queue: Arc<str>,
    pub(crate) acknowledgement: Acknowledgement,
    pub(crate) failed: Arc<dyn FailedMessages>,
    /// The position of the run, if the queue is a stream.
    pub(crate) stream: Option<Arc<StreamPosition>>,
}

impl Message {
    pub(crate) fn new(delivery: Delivery, source: Arc<DeliverySource>) -> Message {
        let unsettled = source.acknowledgement == Acknowledgement::Manual;
        Message { delivery, source, unsettled, attempts_here: 0, held: None }
    }

    /// Counts the body against the bound of the run, until the message is dropped.
    pub(crate) fn count_in(&mut self, window: &Arc<SubscriptionWindow>) {
        self.held = Some(window.take(self.body().len() as u64));
    }

    /// Decodes the body with the codec of the message's content type and content encoding.
    ///
    /// The consumer's first codec decodes a message without a content type. That codec is JSON by
    /// default. The message stays unsettled in any case.
    ///
    /// A compressed body is inflated first. Each call inflates the body again.
    ///
    /// # Errors
    /// - [`Error::ContentType`](crate::Error::ContentType): no codec of the consumer decodes the
    ///   content type.
    /// - [`Error::Inflate`](crate::Error::Inflate): the compressed body is damaged, its compression
    ///   is unknown, or the feature that inflates it is off.
    /// - [`Error::TooLarge`](crate::Error::TooLarge): the body inflates to more bytes than
    ///   [`max_inflated_bytes`](crate::ConsumerDefinition::max_inflated_bytes).
    /// - [`Error::Decode`](crate::Error::Decode): the body does not fit the type, or the message is
    ///   [`unreadable`](Message::unreadable).
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        received_body::decode(&self.delivery, &self.source.decoder)
    }

    /// Returns the reason why a part of the message could not be read, or `None` if the message is
    /// complete.
    ///
    /// A part that could not be read is empty: the properties, or the body. An example is headers
    /// that are nested over 128 levels deep. The other parts are as published.
    ///
    /// No handler receives such a message. [`decode`](Message::decode) fails with the reason.
    /// [`fail`](Message::fail) and [`retry_after`](Message::retry_after) reject the message,
    /// because a copy would lose the part.
    ///
    /// ```
    /// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
    /// for message in consumer.messages()? {
    ///     let message = message?;
    ///     if let Some(reason) = message.unreadable() {
    ///         eprintln!("rejecting a message to {:?}: {reason}", message.routing_key());
    ///         message.reject()?;
    ///         continue;
    ///     }
    ///     println!("{:?}", message.text());
    ///     message.ack()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn unreadable(&self) -> Option<&str> {
        self.delivery.unreadable.as_deref()
    }

    /// Returns the encoded body as received. A compressed body stays compressed; see
    /// [`inflated_body`](Message::inflated_body).
    pub fn body(&self) -> &[u8] {
        &self.delivery.content.body
    }

    /// Returns the encoded body, inflated if it is compressed. Each call inflates the body again.
    ///
    /// The header `compression` of kombu and the property `content-encoding` name the compression.
    /// [`Compression`](crate::Compression) lists the supported ones.
    ///
    /// ```
    /// # fn example(message: &carrot::Message) -> carrot::Result<()> {
    /// println!("{} bytes, inflated {}", message.body().len(), message.inflated_body()?.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - [`Error::Inflate`](crate::Error::Inflate), [`Error::TooLarge`](crate::Error::TooLarge): as
    ///   [`decode`](Message::decode).
    /// - [`Error::Decode`](crate::Error::Decode): the message is
    ///   [`unreadable`](Message::unreadable).
    pub fn inflated_body(&self) -> Result<Cow<'_, [u8]>> {
        received_body::inflated(&self.delivery, &self.source.decoder)
    }

    /// Returns the body as received as text, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.body()).ok()
    }

    /// Returns the properties that the publisher set.
    pub fn properties(&self) -> &Properties {
        &self.delivery.content.properties
    }

    /// Returns the headers, if the message has a header table.
    pub fn headers(&self) -> Option<&Headers> {
        self.properties().headers()
    }

    /// Returns the value of one header, if set.
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.properties().header(name)
    }

    /// Returns the message id, if the publisher set one. Carrot's publishers set a random id by
    /// default.
    pub fn id(&self) -> Option<&str> {
        self.properties().message_id()
    }

    /// Returns the type that the publisher gave the message (the AMQP property `type`), by which a
    /// [`Router`](crate::Router) selects a handler.
    pub fn kind(&self) -> Option<&str> {
        self.properties().kind()
    }

    /// Returns the exchange that the message was published to; empty for the default exchange.
    ///
    /// A retried message was delivered from a waiting queue. Its exchange is read from the header
    /// `carrot-exchange`, which any producer can write.
    pub fn exchange(&self) -> &str {
        Original::new(self.properties()).exchange().unwrap_or(&self.delivery.content.exchange)
    }

    /// Returns the routing key that the message was published with. A retried message's is read
    /// from the header `carrot-routing-key`, which any producer can write.
    pub fn routing_key(&self) -> &str {
        Original::new(self.properties()).routing_key().unwrap_or(&self.delivery.content.routing_key)
    }

    /// Returns the number of the current attempt to handle the message, from 1. Each failure of a
    /// handler adds one.
    ///
    /// The number is read from the header `carrot-attempt`, which any producer can write. If no
    /// copy could be sent, or the channel was lost, this process counts, by message id.
    /// Redeliveries without a failed handler do not count, unlike in
    /// [`is_redelivered`](Message::is_redelivered). Neither do attempts that ended the process.
    ///
    /// If the broker [delays retries](crate::Queue::delayed_retry), its header `x-delivery-count`
    /// is added. Deliveries that a lost connection ended count there, too.
    pub fn attempt(&self) -> u32 {
        let failed = &self.source.failed;
        let of_copy = Original::new(self.properties()).attempt();
        let by_broker = failed.counted_by_broker(&self.delivery);
        let of_delivery = of_copy.saturating_add(by_broker).saturating_add(self.attempts_here);
        failed.counted().get(self.id()).unwrap_or(0).max(of_delivery)
    }

    /// Returns the broker's records of dead-lettering (`x-death`), the latest first.
    ///
    /// Includes the records from before a failed attempt, which a copy carries as `carrot-x-death`.
    /// Excludes the pauses between attempts, and the waits of a message that was sent with a delay.
    /// Returns none if the headers have another form.
    pub fn deaths(&self) -> Vec<Death> {
        deaths(self.properties(), self.queue()).filter_map(Death::read).collect()
    }

    /// Returns the queue that the message was delivered from.
    pub fn queue(&self) -> &str {
        &self.source.queue
    }

    pub(crate) fn queue_handle(&self) -> Arc<str> {
        Arc::clone(&self.source.queue)
    }

    /// Returns whether the message was, or may have been, delivered before.
    pub fn is_redelivered(&self) -> bool {
        self.delivery.redelivered
    }

    /// Returns the offset of a message in its stream, from 0; `None` for a message of a queue.
    ///
    /// Read from the header `x-stream-offset`, which RabbitMQ sets on each message of a stream. On
    /// any other queue, a producer can have written the header.
    ///
    /// A program that stores the offset can continue after a restart with
    /// [`StreamOffset::Number`](crate::StreamOffset::Number) of the next offset.
    ///
    /// ```
    /// # fn store(_: u64) {}
    /// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
    /// for message in consumer.messages()? {
    ///     let message = message?;
    ///     if let Some(offset) = message.stream_offset() {
    ///         store(offset + 1);
    ///     }
    ///     message.ack()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream_offset(&self) -> Option<u64> {
        stream_offset::of(self.properties())
    }

    /// Returns the delivery tag: the message's number on its channel, from 1. For logs; settling
    /// needs no tag.
    pub fn delivery_tag(&self) -> u64 {
        self.delivery.tag.0
    }

    /// Returns exchange, routing key, properties and body, shared, for example to publish the
    /// message again.
    pub fn content(&self) -> &Arc<Content> {
        &self.delivery.content
    }

    /// Acknowledges the message, so the broker deletes it. A stream keeps the message.
    ///
    /// Does not block. Does nothing with automatic acknowledgement.
    ///
    /// # Errors
    /// - [`Error::Stale`](crate::Error::Stale): the channel of the message was lost.
    pub fn ack(mut self) -> Result<()> {
        self.settle(Disposition::Ack)
    }

    /// Rejects the message permanently. The broker dead-letters the message if the queue has a
    /// dead-letter exchange, and drops it otherwise. A stream keeps the message, and the consumer
    /// continues with the next one.
    ///
    /// Does not block. Does nothing with automatic acknowledgement.
    ///
    /// # Errors
    /// - [`Error::Stale`](crate::Error::Stale): the channel of the message was lost.
    pub fn reject(mut self) -> Result<()> {
        self.settle(Disposition::Reject)
    }

    /// Requeues the message, marked as redelivered. An only consumer receives the message again at
    /// once.
    ///
    /// A classic queue puts the message at its old position. A quorum queue puts it at the front if
    /// the queue has a delivery limit, and at the end otherwise.
    ///
    /// Counts as no attempt. With RabbitMQ 4.3 and later, does not count towards the delivery limit
    /// of a quorum queue.
    ///
    /// Does not block. Does nothing with automatic acknowledgement.
    ///
    /// # Errors
    /// - [`Error::Stale`](crate::Error::Stale): the channel of the message was lost.
    /// - [`Error::Invalid`](crate::Error::Invalid): the queue is a stream, which takes no message
    ///   back. The consumer continues with the next message.
    pub fn requeue(mut self) -> Result<()> {
        if self.source.stream.is_some() {
            return self.refuse_to_requeue();
        }
        self.settle(Disposition::Return)
    }

    /// Fails the message: tries it again later or parks it, as after a failed
    /// [`Handler`](crate::Handler). For messages of [`fetch`](crate::Consumer::fetch) and
    /// [`messages`](crate::Consumer::messages).
    ///
    /// If no copy can be sent, or the consumer's queue gets no copies, the message stays in this
    /// process for the pause. The message is then requeued.
    ///
    /// An [`unreadable`](Message::unreadable) message is rejected instead. A message of a stream is
    /// parked at once, because a stream delivers no message again.
    ///
    /// Blocks until the broker has confirmed the copy, at most 5 seconds. The first copy to a queue
    /// also declares the queue, and waits until a broker that restarts would keep it: at most for
    /// six call timeouts and 1.2 s.
    ///
    /// # Errors
    /// - [`Error::Stale`](crate::Error::Stale): the channel was lost. The broker redelivers the
    ///   message.
    /// - [`Error::Backend`](crate::Error::Backend): a message of a stream could not be parked. The
    ///   consumer continues with the next message.
    ///
    /// ```
    /// # fn import(_: &str) -> Result<(), std::io::Error> { Ok(()) }
    /// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
    /// if let Some(message) = consumer.fetch()? {
    ///     match import(message.text().unwrap_or_default()) {
    ///         Ok(()) => message.ack()?,
    ///         Err(error) => message.fail(error)?,
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn fail(self, error: impl IntoHandlerError) -> Result<()> {
        self.fail_with(error.into_handler_error().into_failure())
    }

    /// Tries the message again after `pause`, as
    /// [`Settlement::RetryAfter`](crate::Settlement::RetryAfter) does. Otherwise behaves as
    /// [`fail`](Message::fail). Pauses at the broker are rounded up to a power of two of seconds. A
    /// pause in the process is at most 10 minutes.
    ///
    /// Blocks as [`fail`](Message::fail) does.
    ///
    /// # Errors
    /// As [`fail`](Message::fail).
    pub fn retry_after(self, pause: Duration) -> Result<()> {
        self.fail_with(Failure::postponed(pause))
    }

    pub(crate) fn fail_with(self, failure: Failure) -> Result<()> {
        let failed = Arc::clone(&self.source.failed);
        failed.fail(self, &failure)
    }

    /// Moves a parked or dead-lettered message back to the queue where it failed, with all attempts
    /// ahead of it. For consumers of a parking queue such as `orders.failed`, and of the queue of a
    /// dead-letter exchange.
    ///
    /// The header `carrot-queue` names the queue of a parked message. Without that header, the
    /// message is moved to the queue of its latest [death](Message::deaths), and other queues
    /// receive no copy. The records of the deaths stay readable.
    ///
    /// A crash between sending and acknowledging duplicates the message.
    ///
    /// Blocks until the broker has confirmed the copy, at most 5 seconds, and for the call timeout
    /// to open a channel.
    ///
    /// # Errors
    /// - [`Error::Stale`](crate::Error::Stale): the channel of the message was lost.
    ///
    /// After these, the message is requeued:
    /// - [`Error::Invalid`](crate::Error::Invalid): the header `carrot-queue` does not name a
    ///   queue, or the message has neither that header nor a death.
    /// - [`Error::Backend`](crate::Error::Backend): that queue was deleted, or the message is
    ///   [`unreadable`](Message::unreadable).
    /// - The errors of publishing.
    ///
    /// ```
    /// use carrot::{Message, Queue, Settlement};
    ///
    /// let connection = carrot::connect("memory://")?;
    /// let dead = connection.consumer("dead").exchange("dead").routing_key("orders").build()?;
    /// let orders = Queue::new("orders").dead_letter_exchange("dead");
    /// let orders = orders.dead_letter_routing_key("orders");
    /// let mut consumer = connection.consumer(&orders).build()?;
    /// consumer.register_callback(|_order: String, message: &Message| {
    ///     if message.deaths().is_empty() { Settlement::Reject } else { Settlement::Ack }
    /// });
    /// connection.publisher().queue(&orders).build()?.send("order 17")?;
    /// consumer.handle_next(1)?; // rejected, and dead-lettered by the broker
    ///
    /// for message in dead.fetch_all() {
    ///     message?.forward()?;
    /// }
    /// assert_eq!(consumer.handle_next(1)?.acknowledged, 1);
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn forward(mut self) -> Result<()> {
        self.check()?;
        self.source.failed.forward(&self)?;
        self.settle(Disposition::Ack)
    }

    /// Fails if the channel of the message was lost.
    pub(crate) fn check(&self) -> Result<()> {
        self.source.channel.check()
    }

    /// Returns whether the broker waits for the settlement of the message.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// Returns whether the broker delivers the message again, because its channel was lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.unsettled && self.check().is_err()
    }

    /// Fails if a part of the message could not be read.
    pub(crate) fn check_readable(&self) -> Result<()> {
        received_body::check_readable(&self.delivery, &self.source.decoder)
    }

    /// Returns the error of a body that no codec has decoded.
    pub(crate) fn undecodable(&self, source: Cause) -> Error {
        received_body::undecodable(&self.delivery, &self.source.decoder, source)
    }

    /// Returns the codec that decodes the body.
    pub(crate) fn codec(&self) -> Result<&Codec> {
        self.source.decoder.codec(self.properties())
    }

    /// Counts another attempt in this process.
    pub(crate) fn next_attempt(&mut self) {
        self.attempts_here = self.attempts_here.saturating_add(1);
    }

    pub(crate) fn settle(&mut self, disposition: Disposition) -> Result<()> {
        let Some(disposition) = self.begin_settlement(disposition) else { return Ok(()) };
        disposition.send(&*self.source.channel, self.delivery.tag)?;
        self.note_settled();
        Ok(())
    }

    /// Returns the channel, if the caller now has to acknowledge the message on it and then call
    /// [`note_settled`](Message::note_settled).
    pub(crate) fn begin_ack(&mut self) -> Option<(Arc<dyn Backend>, DeliveryTag)> {
        self.begin_settlement(Disposition::Ack)?;
        Some((Arc::clone(&self.source.channel), self.delivery.tag))
    }

    /// Returns the settlement to send; `None` if none has to be sent now.
    fn begin_settlement(&mut self, disposition: Disposition) -> Option<Disposition> {
        if !std::mem::take(&mut self.unsettled) {
            return None;
        }
        // A stream counts acknowledgements as credit, and refuses everything else.
        let disposition = if self.source.stream.is_some() { Disposition::Ack } else { disposition };
        let tag = self.delivery.tag;
        if !self.source.failed.counted().is_empty()
            && matches!(disposition, Disposition::Ack | Disposition::Reject)
        {
            self.source.failed.counted().forget(self.id());
        }
        let later = || -> Box<dyn FnOnce() + Send> {
            let source = Arc::clone(&self.source);
            Box::new(move || {
                if let Err(error) = disposition.send(&*source.channel, tag) {
                    log::debug!("settling a message failed: {error} queue={:?}", source.queue);
                }
            })
        };
        let is_withheld = self.held.as_ref().is_some_and(|held| held.withhold(later));
        (!is_withheld).then_some(disposition)
    }

    /// Records that the settlement was sent.
    pub(crate) fn note_settled(&self) {
        if let (Some(position), Some(offset)) = (&self.source.stream, self.stream_offset()) {
            position.settle(offset);
        }
    }

    #[cold]
    fn refuse_to_requeue(&mut self) -> Result<()> {
        self.settle(Disposition::Ack)?;
        Err(Error::invalid("requeue", self.queue(), "no stream, which takes no message back"))
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if self.unsettled && self.source.stream.is_some() && self.check().is_ok() {
            log::warn!(
                "message of a stream was dropped unsettled and is skipped: offset={:?} queue={:?}",
                self.stream_offset(),
                self.queue()
            );
        } else if self.unsettled {
            log::debug!(
                "message was dropped unsettled and is requeued: tag={} queue={:?}",
                self.delivery_tag(),
                self.queue()
            );
        }
        if let Err(error) = self.settle(Disposition::Return) {
            log::debug!("requeueing a dropped message failed: {error}");
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Message")
            .field("queue", &self.queue())
            .field("exchange", &self.exchange())
            .field("routing_key", &self.routing_key())
            .field("delivery_tag", &self.delivery_tag())
            .field("redelivered", &self.is_redelivered())
            .field("attempt", &self.attempt())
            .field("properties", self.properties())
            .field("body", &self.delivery.content.body)
            .field("unreadable", &self.unreadable())
            .finish_non_exhaustive()
    }
}
