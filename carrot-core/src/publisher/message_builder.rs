use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::backend::Content;
use crate::backend::IntoBody;
use crate::codec::{Codec, Compression};
use crate::error::{Error, Result};
use crate::model::ShortString;
use crate::model::{DeliveryMode, Headers, Properties, Timestamp, Value};
use crate::publisher::confirmation::Confirmation;
use crate::publisher::delayed::SendTerms;
use crate::publisher::in_flight::InFlight;
use crate::publisher::pipeline::PublishPipeline;

/// Builds one message with its own routing key, headers and other properties. Created by
/// [`Publisher::message`](crate::Publisher::message).
///
/// ```
/// use std::time::Duration;
///
/// # fn example(publisher: &carrot::Publisher) -> carrot::Result<()> {
/// publisher
///     .message()
///     .routing_key("usd.stock")
///     .header("source", "nasdaq")
///     .expiration(Duration::from_secs(30))
///     .mandatory()
///     .send("IBM 83.1")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a message is only sent by `send`, `publish`, `send_bytes` or `publish_bytes`"]
pub struct MessageBuilder<'a> {
    pipeline: &'a Arc<PublishPipeline>,
    routing_key: ShortString,
    properties: Properties,
    makes_message_id: bool,
    compress: Option<Compression>,
    terms: SendTerms,
}

impl<'a> MessageBuilder<'a> {
    pub(crate) fn new(pipeline: &'a Arc<PublishPipeline>) -> MessageBuilder<'a> {
        MessageBuilder {
            pipeline,
            routing_key: pipeline.routing_key().clone(),
            properties: pipeline.properties().clone(),
            makes_message_id: true,
            compress: pipeline.definition().compress,
            terms: SendTerms {
                mandatory: pipeline.definition().is_mandatory(),
                timeout: pipeline.definition().send_timeout,
                delay: Duration::ZERO,
            },
        }
    }

    /// Sets the routing key, at most 255 bytes.
    ///
    /// Defaults to the publisher's routing key.
    pub fn routing_key(mut self, routing_key: impl Into<ShortString>) -> Self {
        self.routing_key = routing_key.into();
        self
    }

    /// Adds a header. Its name has at most 255 bytes.
    ///
    /// Defaults to the publisher's headers.
    pub fn header(self, name: impl Into<ShortString>, value: impl Into<Value>) -> Self {
        self.properties(|properties| properties.with_header(name, value))
    }

    /// Replaces all headers.
    ///
    /// Defaults to the publisher's headers.
    pub fn headers(self, headers: impl Into<Headers>) -> Self {
        self.properties(|properties| properties.with_headers(headers))
    }

    /// Sets the priority, for queues with a maximum priority. Higher priorities are delivered
    /// first.
    ///
    /// Defaults to the publisher's priority.
    pub fn priority(self, priority: u8) -> Self {
        self.properties(|properties| properties.with_priority(priority))
    }

    /// Limits the time that the message may wait in a queue, in whole milliseconds. An expired
    /// message is dropped or dead-lettered.
    ///
    /// Defaults to the publisher's expiration.
    pub fn expiration(self, expiration: Duration) -> Self {
        self.properties(|properties| properties.with_expiration(expiration.as_millis().to_string()))
    }

    /// Sets the id of the request that this message answers, at most 255 bytes.
    ///
    /// Defaults to none.
    pub fn correlation_id(self, id: impl Into<ShortString>) -> Self {
        self.properties(|properties| properties.with_correlation_id(id))
    }

    /// Sets the queue for the reply, at most 255 bytes.
    ///
    /// Defaults to none.
    pub fn reply_to(self, queue: impl Into<ShortString>) -> Self {
        self.properties(|properties| properties.with_reply_to(queue))
    }

    /// Sets the type of the message, which the application defines (the AMQP property `type`), at
    /// most 255 bytes.
    ///
    /// Defaults to the publisher's type.
    pub fn kind(self, kind: impl Into<ShortString>) -> Self {
        self.properties(|properties| properties.with_kind(kind))
    }

    /// Sets the message id, at most 255 bytes. [`without_message_id`] sends none.
    ///
    /// Defaults to a random id.
    ///
    /// [`without_message_id`]: MessageBuilder::without_message_id
    pub fn message_id(self, id: impl Into<ShortString>) -> Self {
        self.properties(|properties| properties.with_message_id(id))
    }

    /// Sends the message without a message id, unless a later call sets one. For copies of messages
    /// that have none, and for consumers that refuse the property.
    ///
    /// A message without an id loses what depends on the id:
    /// - A publisher that reconnects can send a message twice. Consumers cannot recognize the
    ///   second one, neither by [`Deduplicate`](crate::Deduplicate) nor by other means.
    /// - [`Message::attempt`](crate::Message::attempt) does not count a failed attempt of which no
    ///   copy could be sent, or whose channel was lost.
    /// - [`Confirmation::message_id`] and the errors, logs and traces of the message name no id.
    ///
    /// Defaults to a random id.
    ///
    /// ```
    /// # use carrot::{Message, Publisher};
    /// # fn example(publisher: &Publisher, original: &Message) -> carrot::Result<()> {
    /// // A copy that has an id only if the original has one.
    /// let properties = original.properties().clone();
    /// let copy = publisher.message().without_message_id().properties(|_| properties);
    /// copy.send_bytes(original.body())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn without_message_id(mut self) -> Self {
        self.makes_message_id = false;
        self.properties(Properties::without_message_id)
    }

    /// Sets the time of creation: a `SystemTime`, or seconds from the Unix epoch.
    ///
    /// Defaults to none.
    pub fn timestamp(self, time: impl Into<Timestamp>) -> Self {
        self.properties(|properties| properties.with_timestamp(time))
    }

    /// Sends a transient message, which does not survive a broker restart.
    ///
    /// Defaults to the publisher's delivery mode, persistent.
    pub fn transient(self) -> Self {
        self.properties(|properties| properties.with_delivery_mode(DeliveryMode::Transient))
    }

    /// Sends a persistent message, which survives a broker restart in a durable queue.
    ///
    /// Defaults to the publisher's delivery mode, persistent.
    pub fn persistent(self) -> Self {
        self.properties(|properties| properties.with_delivery_mode(DeliveryMode::Persistent))
    }

    /// Requests the return of the message, as [`Error::Unroutable`](crate::Error::Unroutable), if
    /// the message cannot be routed.
    ///
    /// Defaults to the publisher's setting.
    pub fn mandatory(mut self) -> Self {
        self.terms.mandatory = true;
        self
    }

    /// Drops the message at the broker if it cannot be routed.
    ///
    /// Defaults to the publisher's setting.
    pub fn not_mandatory(mut self) -> Self {
        self.terms.mandatory = false;
        self
    }

    /// Limits the time of sending this message: waiting for room in the window, for a connection,
    /// and for the broker's confirm. More than zero.
    ///
    /// Defaults to the publisher's [`send_timeout`](crate::PublisherDefinition::send_timeout), 30
    /// s.
    ///
    /// ```
    /// # fn example(publisher: &carrot::Publisher) -> carrot::Result<()> {
    /// use std::time::Duration;
    ///
    /// // A web handler answers within two seconds, even if the broker is slow.
    /// publisher.message().timeout(Duration::from_secs(2)).send("an order")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout = timeout;
        self
    }

    /// Holds the message at the broker for this time, before the broker routes it.
    ///
    /// The delay is rounded up to whole seconds, and has at most 8,388,608 s (97 days). A message
    /// never arrives early. A delay of zero sends the message at once. The delay begins when the
    /// broker confirms the message.
    ///
    /// ActiveMQ rounds up to milliseconds, has at most ten years, and is up to half a second late.
    /// It routes the message when it is sent, and an expiration begins when the delay ends. Its
    /// configuration needs `schedulerSupport="true"`.
    ///
    /// Messages with different delays do not wait for each other. The receiver sees the exchange,
    /// the routing key, the properties and the headers of the message. The broker adds headers
    /// about the waiting queues, such as `x-death`.
    /// [`Message::deaths`](crate::Message::deaths) omits them.
    ///
    /// # Waiting queues
    ///
    /// Brokers without delays of their own, RabbitMQ among them, hold delayed messages in waiting
    /// queues. The first delayed message to a queue or an exchange declares them, which can take
    /// several seconds. [`Publisher::declare_delays`](crate::Publisher::declare_delays) declares
    /// them earlier.
    ///
    /// The broker cannot return a message at the end of its delay. A message that no queue takes
    /// then is *kept* if it is mandatory: the waiting queue holds it until a queue takes it. More
    /// than 32 such messages delay the later ones to the same target. A message that is not
    /// mandatory is dropped. Messages to the default exchange are mandatory by default. Their queue
    /// must exist when the publisher first sends to it with a delay.
    ///
    /// Defaults to no delay.
    ///
    /// # Errors
    /// The sending call also fails with:
    /// - [`Error::Invalid`](crate::Error::Invalid): the delay is too long, the broker delays no
    ///   messages, or, with waiting queues, the message has an expiration or the routing key names
    ///   no lasting queue.
    /// - [`Error::Unroutable`](crate::Error::Unroutable): the message is mandatory, and its queue
    ///   does not exist, or the waiting queues were deleted. The next message declares those again.
    /// - [`Error::AccessRefused`](crate::Error::AccessRefused): the waiting queues do not exist,
    ///   and the user may not declare them.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn example(publisher: &carrot::Publisher) -> carrot::Result<()> {
    /// publisher.message().delay(Duration::from_secs(15 * 60)).send("remind the customer")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn delay(mut self, delay: Duration) -> Self {
        self.terms.delay = delay;
        self
    }

    /// Compresses the body, as
    /// [`PublisherDefinition::compress`](crate::PublisherDefinition::compress) describes. `None`
    /// sends the body unchanged.
    ///
    /// Defaults to the publisher's compression.
    ///
    /// ```
    /// use carrot::codec::Compression;
    ///
    /// # fn example(publisher: &carrot::Publisher) -> carrot::Result<()> {
    /// publisher.message().compress(Compression::gzip()).send(&vec!["a long text"; 1000])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn compress(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.compress = compression.into();
        self
    }

    /// Changes any of the properties.
    ///
    /// ```
    /// # fn example(publisher: &carrot::Publisher) -> carrot::Result<()> {
    /// let message = publisher.message().properties(|properties| properties.with_priority(3));
    /// message.send("urgent")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn properties(mut self, change: impl FnOnce(Properties) -> Properties) -> Self {
        self.properties = change(self.properties);
        self
    }

    /// Sends a value and waits for the confirm, as [`Publisher::send`](crate::Publisher::send)
    /// does.
    ///
    /// Blocks at most for the [`timeout`](MessageBuilder::timeout).
    ///
    /// # Errors
    /// As [`Publisher::send`](crate::Publisher::send).
    pub fn send<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        let (message, body) = self.encode(value)?;
        message.send_bytes(body)
    }

    /// Sends a value without waiting for the confirm, as
    /// [`Publisher::publish`](crate::Publisher::publish) does.
    ///
    /// Blocks while the window is full, at most for the [`timeout`](MessageBuilder::timeout).
    ///
    /// # Errors
    /// As [`Publisher::publish`](crate::Publisher::publish).
    pub fn publish<T: Serialize + ?Sized>(self, value: &T) -> Result<Confirmation> {
        let (message, body) = self.encode(value)?;
        message.publish_bytes(body)
    }

    /// Sends a value without waiting, as [`Publisher::try_publish`](crate::Publisher::try_publish)
    /// does.
    ///
    /// Does not block.
    ///
    /// # Errors
    /// As [`Publisher::try_publish`](crate::Publisher::try_publish).
    pub fn try_publish<T: Serialize + ?Sized>(self, value: &T) -> Result<Confirmation> {
        let (message, body) = self.encode(value)?;
        message.try_publish_bytes(body)
    }

    fn encode<T: Serialize + ?Sized>(mut self, value: &T) -> Result<(MessageBuilder<'a>, Vec<u8>)> {
        let codec = &self.pipeline.definition().codec;
        let body = codec.encode(value)?;
        self.properties = with_format(self.properties, codec);
        Ok((self, body))
    }

    /// Sends bytes without a codec, and waits for the confirm. [`IntoBody`] lists the accepted
    /// types and which of them are copied.
    ///
    /// No content type is sent unless [`properties`](MessageBuilder::properties) sets one.
    ///
    /// Blocks at most for the [`timeout`](MessageBuilder::timeout).
    ///
    /// ```
    /// # fn example(publisher: &carrot::Publisher) -> carrot::Result<()> {
    /// let picture: Vec<u8> = vec![0; 500_000];
    /// publisher
    ///     .message()
    ///     .properties(|properties| properties.with_content_type("image/png"))
    ///     .send_bytes(picture)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Publisher::send`](crate::Publisher::send).
    pub fn send_bytes(self, body: impl IntoBody) -> Result<()> {
        let pipeline = self.pipeline;
        if !pipeline.definition().confirms {
            let terms = self.checked_terms()?;
            return pipeline.send_unconfirmed(self.into_content(body)?, terms).map(drop);
        }
        let message = self.send_body(body)?;
        Confirmation::new(message, Arc::clone(pipeline)).wait()
    }

    /// Sends bytes without a codec and without waiting for the confirm. See
    /// [`send_bytes`](MessageBuilder::send_bytes).
    ///
    /// Blocks while the window is full, at most for the [`timeout`](MessageBuilder::timeout).
    ///
    /// # Errors
    /// As [`Publisher::publish`](crate::Publisher::publish).
    pub fn publish_bytes(self, body: impl IntoBody) -> Result<Confirmation> {
        let pipeline = self.pipeline;
        let message = self.send_body(body)?;
        Ok(Confirmation::new(message, Arc::clone(pipeline)))
    }

    /// Sends bytes without a codec and without waiting. See
    /// [`try_publish`](MessageBuilder::try_publish).
    ///
    /// Does not block.
    ///
    /// # Errors
    /// As [`Publisher::try_publish`](crate::Publisher::try_publish).
    pub fn try_publish_bytes(self, body: impl IntoBody) -> Result<Confirmation> {
        let (pipeline, terms) = (self.pipeline, self.checked_terms()?);
        let message = pipeline.try_send(self.into_content(body)?, terms)?;
        Ok(Confirmation::new(message, Arc::clone(pipeline)))
    }

    fn send_body(self, body: impl IntoBody) -> Result<Arc<InFlight>> {
        let (pipeline, terms) = (self.pipeline, self.checked_terms()?);
        pipeline.send(self.into_content(body)?, terms)
    }

    fn checked_terms(&self) -> Result<SendTerms> {
        if self.terms.timeout.is_zero() {
            Err(Error::invalid("timeout of a message", "0", "more than zero"))
        } else {
            Ok(self.terms)
        }
    }

    fn into_content(mut self, body: impl IntoBody) -> Result<Arc<Content>> {
        if self.makes_message_id {
            self.properties.ensure_message_id(random_id);
        }
        let mut body = body.into_body(self.pipeline.buffers());
        if let Some(compression) = &self.compress {
            compression.compress_content(&mut self.properties, &mut body)?;
        }
        Ok(Arc::new(Content {
            exchange: self.pipeline.exchange().clone(),
            routing_key: self.routing_key,
            properties: self.properties,
            body,
        }))
    }
}

/// Sets the content type and the content encoding of a codec, unless a content type is set. A codec
/// that compresses always sets its content encoding.
pub(crate) fn with_format(mut properties: Properties, codec: &Codec) -> Properties {
    if let Some(encoding) = codec.content_encoding().filter(|_| codec.is_compressed()) {
        properties = properties.with_content_encoding(encoding);
    }
    if properties.content_type().is_none() {
        properties = properties.with_content_type(codec.content_type());
        if let Some(encoding) =
            codec.content_encoding().filter(|_| properties.content_encoding().is_none())
        {
            properties = properties.with_content_encoding(encoding);
        }
    }
    properties
}

/// Returns 128 random bits in the base64 alphabet for URLs.
pub(crate) fn random_id() -> ShortString {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = fastrand::u128(..);
    let words: [u64; 3] = std::array::from_fn(|_| {
        (0..64).step_by(8).fold(0, |word, shift| {
            let digit = DIGITS[(bits & 0x3f) as usize];
            bits >>= 6;
            word | u64::from(digit) << shift
        })
    });
    let digits = words.map(u64::to_le_bytes);
    ShortString::inline(str::from_utf8(&digits.as_flattened()[..22]).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[cfg(feature = "gzip")]
    #[test]
    fn content_encoding_of_a_compressing_codec_is_always_set() {
        let codec = Codec::json().compressed(Compression::gzip());
        for properties in [
            Properties::new(),
            Properties::new().with_content_type("application/vnd.acme+json"),
            Properties::new().with_content_encoding("utf-8"),
        ] {
            let properties = with_format(properties, &codec);
            assert_eq!(properties.content_encoding(), Some("gzip"));
            assert!(properties.content_type().is_some());
        }
    }

    #[test]
    fn random_ids_have_22_digits_and_are_unique() {
        let ids: Vec<ShortString> = (0..1000).map(|_| random_id()).collect();
        assert!(ids.iter().all(|id| id.len() == 22
            && id.bytes().all(|digit| digit.is_ascii_alphanumeric() || b"-_".contains(&digit))));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        // Each of the first 21 digits is any of 64. The last one holds only two bits.
        let digits_at = |at: usize| ids.iter().map(|id| id.as_bytes()[at]).collect::<HashSet<_>>();
        assert!((0..21).all(|at| digits_at(at).len() > 60));
    }
}
