use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::backend::{Acknowledgement, Backend, Content, Delivery, Extent, Rejection};
use crate::codec::Codecs;
use crate::consumer::death::Death;
use crate::consumer::failure::{Failure, LocalAttempts, Original, deaths};
use crate::consumer::handler_error::IntoHandlerError;
use crate::error::{Error, Result};
use crate::model::{Headers, Properties, Value};

/// A message taken from a queue.
///
/// It stays with the broker until it is settled, by exactly one of [`ack`](Message::ack),
/// [`reject`](Message::reject), [`requeue`](Message::requeue) and [`fail`](Message::fail). They
/// take the message by value, so it cannot be settled twice; they work from any thread and do not
/// wait for the broker. A message that is dropped unsettled is requeued, like a transaction that
/// was not committed, and a line is logged at debug level.
///
/// Once the channel it came through is gone, settling it gives
/// [`Error::Stale`](crate::Error::Stale) and sends nothing: the broker delivers the message again.
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
    /// Attempts that were made in this process, without a copy that carries their number.
    attempts_here: u32,
}

/// Where kombu and celery say how they compressed the body.
const COMPRESSION: &str = "compression";
/// What they say there. Other programs may mean other things by this header.
const KOMBU_COMPRESSIONS: [&str; 10] = [
    "application/x-gzip",
    "application/x-bz2",
    "application/x-lzma",
    "application/x-brotli",
    "application/zstd",
    "zlib",
    "gzip",
    "bzip2",
    "lzma",
    "zstd",
];

fn compressed(properties: &Properties, compression: &str) -> Error {
    Error::ContentType {
        content_type: properties.content_type().unwrap_or_default().into(),
        content_encoding: properties.content_encoding().unwrap_or_default().into(),
        accepted: format!(
            "bodies that are not compressed; this one is, by {compression}, as its header \"compression\" says"
        ),
    }
}

/// What a consumer does with failed messages.
pub(crate) trait FailedMessages: fmt::Debug + Send + Sync {
    /// Sees to a failed message of which no run knows.
    ///
    /// # Errors
    /// [`Error::Stale`]: the broker delivers it again.
    fn fail(&self, message: Message, failure: &Failure) -> Result<()>;

    /// Sends a copy of a parked message to the queue where its handler failed.
    ///
    /// # Errors
    /// What publishing gives.
    fn forward(&self, message: &Message) -> Result<()>;

    /// The attempts at messages that no header carries.
    fn counted(&self) -> &LocalAttempts;
}

/// Where messages come from, and what reads them.
#[derive(Debug)]
pub(crate) struct DeliverySource {
    pub(crate) channel: Arc<dyn Backend>,
    pub(crate) codecs: Arc<Codecs>,
    pub(crate) queue: Arc<str>,
    pub(crate) acknowledgement: Acknowledgement,
    pub(crate) failed: Arc<dyn FailedMessages>,
}

/// What is to be told to the broker about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    Ack,
    Reject,
    /// Back to the queue, uncounted.
    Return,
    /// Back to the queue as a failed delivery.
    Fail,
}

impl Message {
    pub(crate) fn new(delivery: Delivery, source: Arc<DeliverySource>) -> Message {
        let unsettled = source.acknowledgement == Acknowledgement::Manual;
        Message { delivery, source, unsettled, attempts_here: 0 }
    }

    /// Turns the body into a value, by the codec that the message's content type and encoding name.
    ///
    /// A message without a content type is read by the consumer's first codec, JSON unless it was
    /// set otherwise. The message stays unsettled in any case.
    ///
    /// # Errors
    /// [`Error::ContentType`](crate::Error::ContentType) if no codec of the consumer reads it, or
    /// if its header `compression` says that kombu or celery compressed it;
    /// [`Error::Decode`](crate::Error::Decode) if the body does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        let properties = self.properties();
        if let Some(compression) = properties.header(COMPRESSION).and_then(Value::as_str)
            && KOMBU_COMPRESSIONS.contains(&compression)
        {
            return Err(compressed(properties, compression));
        }
        self.source
            .codecs
            .find(properties.content_type(), properties.content_encoding())?
            .decode(self.body())
    }

    /// The body as it came.
    pub fn body(&self) -> &[u8] {
        &self.delivery.content.body
    }

    /// The body as text, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.body()).ok()
    }

    /// Everything its publisher said of it.
    pub fn properties(&self) -> &Properties {
        &self.delivery.content.properties
    }

    /// Its headers, if it has a header table.
    pub fn headers(&self) -> Option<&Headers> {
        self.properties().headers()
    }

    /// The value of one header, if it is set.
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.properties().header(name)
    }

    /// Its message id, if its publisher set one. Carrot's publishers set a random one unless told
    /// otherwise.
    pub fn id(&self) -> Option<&str> {
        self.properties().message_id()
    }

    /// The exchange it was published to; empty for the default exchange.
    ///
    /// A message that was tried before came through a waiting queue. For it, this is what the
    /// header `carrot-exchange` says, which any producer can write.
    pub fn exchange(&self) -> &str {
        Original::new(self.properties()).exchange().unwrap_or(&self.delivery.content.exchange)
    }

    /// The routing key it was published with; after another attempt, what the header
    /// `carrot-routing-key` says, which any producer can write.
    pub fn routing_key(&self) -> &str {
        Original::new(self.properties()).routing_key().unwrap_or(&self.delivery.content.routing_key)
    }

    /// Which attempt this is to handle the message, from 1: one more than the number of times that
    /// a handler failed at it.
    ///
    /// It is the value of the header `carrot-attempt`, which any producer can write; where no copy
    /// could be sent, this process counts, by the message id. It does not count deliveries at which
    /// no handler failed, as [`is_redelivered`](Message::is_redelivered) does, nor attempts that
    /// ended the process.
    pub fn attempt(&self) -> u32 {
        let sent = self
            .source
            .failed
            .counted()
            .get(self.id())
            .unwrap_or_else(|| Original::new(self.properties()).attempt());
        sent.saturating_add(self.attempts_here)
    }

    /// The deaths of the message that the broker recorded (`x-death`): where it was dead-lettered,
    /// why and how often, the latest first. Those before a failed attempt, which its copy carries
    /// as `carrot-x-death`, are among them; the pauses between attempts are not. Empty if there are
    /// none, or if the headers are of another form.
    pub fn deaths(&self) -> Vec<Death> {
        deaths(self.properties(), self.queue()).filter_map(Death::read).collect()
    }

    /// The queue it was taken from.
    pub fn queue(&self) -> &str {
        &self.source.queue
    }

    /// Whether it was, or may have been, delivered before.
    pub fn is_redelivered(&self) -> bool {
        self.delivery.redelivered
    }

    /// Its delivery tag: its number on the channel that delivered it, from 1. For logs; settling
    /// needs no tag.
    pub fn delivery_tag(&self) -> u64 {
        self.delivery.tag.0
    }

    /// Exchange, routing key, properties and body, shared; for whoever passes the message on.
    pub fn content(&self) -> &Arc<Content> {
        &self.delivery.content
    }

    /// Tells the broker that the message is done with, so that it can forget it.
    ///
    /// Does not block. With automatic acknowledgement it does nothing.
    ///
    /// # Errors
    /// [`Error::Stale`](crate::Error::Stale) if its channel is gone.
    pub fn ack(mut self) -> Result<()> {
        self.settle(Disposition::Ack)
    }

    /// Refuses the message for good: it goes to the queue's dead-letter exchange, if it has one,
    /// else it is dropped.
    ///
    /// Does not block. With automatic acknowledgement it does nothing.
    ///
    /// # Errors
    /// [`Error::Stale`](crate::Error::Stale) if its channel is gone.
    pub fn reject(mut self) -> Result<()> {
        self.settle(Disposition::Reject)
    }

    /// Puts the message back to its old place in the queue, marked as redelivered. If this consumer
    /// is the only one, it comes straight back. It counts neither as an attempt nor, on RabbitMQ
    /// 4.3 and newer, towards the delivery limit of a quorum queue.
    ///
    /// Does not block. With automatic acknowledgement it does nothing.
    ///
    /// # Errors
    /// [`Error::Stale`](crate::Error::Stale) if its channel is gone.
    pub fn requeue(mut self) -> Result<()> {
        self.settle(Disposition::Return)
    }

    /// Says that the message could not be handled: tries it again later, or parks it, as a failed
    /// handler does; see [`Handler`](crate::Handler). For messages of
    /// [`fetch`](crate::Consumer::fetch) and [`messages`](crate::Consumer::messages).
    ///
    /// Blocks until the broker has confirmed the copy that waits, the call timeout at most. If it
    /// cannot be sent, or the consumer's queue gets no copies, the message stays in this process
    /// for the pause, and then goes back to its queue.
    ///
    /// # Errors
    /// [`Error::Stale`](crate::Error::Stale) if its channel is gone: the broker delivers it again.
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
    /// [`Settlement::RetryAfter`](crate::Settlement::RetryAfter); otherwise as
    /// [`fail`](Message::fail).
    ///
    /// # Errors
    /// As [`fail`](Message::fail).
    pub fn retry_after(self, pause: Duration) -> Result<()> {
        self.fail_with(Failure {
            chosen: true,
            pause: Some(pause),
            ..Failure::new(format!("another attempt in {pause:?}"))
        })
    }

    fn fail_with(self, failure: Failure) -> Result<()> {
        let failed = Arc::clone(&self.source.failed);
        failed.fail(self, &failure)
    }

    /// Sends a parked message back to the queue where its handler failed, with all attempts before
    /// it, and takes it out of this one. The consumer that calls it reads the parking queue, such
    /// as `orders.failed`.
    ///
    /// Blocks until the broker has confirmed it there, the call timeout at most. A crash in between
    /// doubles the message.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if the header `carrot-queue` does not name a
    /// queue; [`Error::Backend`](crate::Error::Backend) if that queue is gone; what publishing
    /// gives. The message is then requeued.
    pub fn forward(mut self) -> Result<()> {
        self.check()?;
        self.source.failed.forward(&self)?;
        self.settle(Disposition::Ack)
    }

    /// Whether its channel still is there.
    pub(crate) fn check(&self) -> Result<()> {
        self.source.channel.check()
    }

    /// Whether all of it was read.
    pub(crate) fn is_whole(&self) -> bool {
        self.delivery.is_whole
    }

    /// One more attempt begins in this process.
    pub(crate) fn next_attempt(&mut self) {
        self.attempts_here = self.attempts_here.saturating_add(1);
    }

    pub(crate) fn settle(&mut self, disposition: Disposition) -> Result<()> {
        if !std::mem::take(&mut self.unsettled) {
            return Ok(());
        }
        let (channel, tag) = (&self.source.channel, self.delivery.tag);
        if !self.source.failed.counted().is_empty()
            && matches!(disposition, Disposition::Ack | Disposition::Reject)
        {
            self.source.failed.counted().forget(self.id());
        }
        match disposition {
            Disposition::Ack => channel.ack(tag, Extent::One),
            Disposition::Reject => channel.reject(tag, Rejection::Discard, Extent::One),
            Disposition::Return => channel.reject(tag, Rejection::Requeue, Extent::One),
            Disposition::Fail => channel.reject(tag, Rejection::RequeueFailed, Extent::One),
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if self.unsettled {
            log::debug!(
                "message {} of queue {:?} was dropped unsettled and is requeued",
                self.delivery_tag(),
                self.queue()
            );
            if let Err(error) = self.settle(Disposition::Return) {
                log::debug!("it could not be requeued: {error}");
            }
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
            .finish_non_exhaustive()
    }
}
