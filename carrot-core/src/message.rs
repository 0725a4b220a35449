use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::backend::{Acknowledgement, Backend, Content, Delivery, Extent, Rejection};
use crate::{Codecs, Headers, Properties, Result, Value};

/// A message taken from a queue.
///
/// It stays with the broker until it is settled, by exactly one of [`ack`](Message::ack), [`reject`](Message::reject) and
/// [`requeue`](Message::requeue). They take the message by value, so it cannot be settled twice; they work from any thread and do not wait
/// for the broker. A message that is dropped unsettled is requeued, like a transaction that was not committed, and a line is logged at
/// debug level.
///
/// Once the channel it came through is gone, settling it gives [`Error::Stale`](crate::Error::Stale) and sends nothing: the broker
/// delivers the message again.
///
/// ```
/// # fn import(_: &str) -> bool { true }
/// # fn example(consumer: &carrot_core::Consumer) -> carrot_core::Result<()> {
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
    origin: Arc<Origin>,
    unsettled: bool,
}

/// Where messages come from, and what reads them.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) channel: Arc<dyn Backend>,
    pub(crate) codecs: Arc<Codecs>,
    pub(crate) queue: Arc<str>,
    pub(crate) acknowledgement: Acknowledgement,
}

impl Message {
    pub(crate) fn new(delivery: Delivery, origin: Arc<Origin>) -> Message {
        let unsettled = origin.acknowledgement == Acknowledgement::Manual;
        Message { delivery, origin, unsettled }
    }

    /// Turns the body into a value, by the codec that the message's content type and encoding name.
    ///
    /// A message without a content type is read by the consumer's first codec, JSON unless it was set otherwise. The message stays
    /// unsettled in any case.
    ///
    /// # Errors
    /// [`Error::ContentType`](crate::Error::ContentType) if no codec of the consumer reads it, [`Error::Decode`](crate::Error::Decode) if
    /// the body does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        let properties = self.properties();
        self.origin.codecs.find(properties.content_type(), properties.content_encoding())?.decode(self.body())
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

    /// The exchange it was published to; empty for the default exchange.
    pub fn exchange(&self) -> &str {
        &self.delivery.content.exchange
    }

    /// The routing key it was published with.
    pub fn routing_key(&self) -> &str {
        &self.delivery.content.routing_key
    }

    /// The queue it was taken from.
    pub fn queue(&self) -> &str {
        &self.origin.queue
    }

    /// Whether it was, or may have been, delivered before.
    pub fn is_redelivered(&self) -> bool {
        self.delivery.redelivered
    }

    /// Its delivery tag: its number on the channel that delivered it, from 1. For logs; settling needs no tag.
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
        self.settle(Settlement::Ack)
    }

    /// Refuses the message for good: it goes to the queue's dead-letter exchange, if it has one, else it is dropped.
    ///
    /// Does not block. With automatic acknowledgement it does nothing.
    ///
    /// # Errors
    /// [`Error::Stale`](crate::Error::Stale) if its channel is gone.
    pub fn reject(mut self) -> Result<()> {
        self.settle(Settlement::Reject)
    }

    /// Puts the message back to its old place in the queue, marked as redelivered. If this consumer is the only one, it comes straight
    /// back.
    ///
    /// Does not block. With automatic acknowledgement it does nothing.
    ///
    /// # Errors
    /// [`Error::Stale`](crate::Error::Stale) if its channel is gone.
    pub fn requeue(mut self) -> Result<()> {
        self.settle(Settlement::Requeue)
    }

    pub(crate) fn settle(&mut self, settlement: Settlement) -> Result<()> {
        if !std::mem::take(&mut self.unsettled) {
            return Ok(());
        }
        let tag = self.delivery.tag;
        match settlement {
            Settlement::Ack => self.origin.channel.ack(tag, Extent::One),
            Settlement::Reject => self.origin.channel.reject(tag, Rejection::Discard, Extent::One),
            Settlement::Requeue => self.origin.channel.reject(tag, Rejection::Requeue, Extent::One),
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if self.unsettled {
            log::debug!("message {} of queue {:?} was dropped unsettled and is requeued", self.delivery_tag(), self.queue());
            if let Err(error) = self.settle(Settlement::Requeue) {
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
            .field("properties", self.properties())
            .field("body_bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// Done with: [`Message::ack`].
    Ack,
    /// Refused for good: [`Message::reject`].
    Reject,
    /// Back to the queue: [`Message::requeue`].
    Requeue,
}
