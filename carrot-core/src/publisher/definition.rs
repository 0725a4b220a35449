use std::time::Duration;

use crate::codec::Codec;
use crate::model::{DeliveryMode, Exchange, Headers, Properties, Queue, ShortString, Value};
use crate::publisher::settings::PublisherSettings;

#[cfg(doc)]
use crate::error::Error;

/// What a publisher is to be, as plain data: where it sends to, and what its messages have in
/// common.
///
/// It can be kept, cloned, and opened on any connection: what a sub-class of `Publisher` is in
/// carrot for Python. [`Connection::publisher`](crate::Connection::publisher) gives the same
/// settings bound to a connection.
///
/// ```
/// use carrot::{Connection, Publisher, Result, publish::PublisherDefinition};
///
/// fn feed_publisher(connection: &Connection) -> Result<Publisher> {
///     PublisherDefinition::new().exchange("feed").routing_key("importer").open(connection)
/// }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a publisher is only opened by `build` or `open`"]
pub struct PublisherDefinition<C = ()> {
    /// The connection that it is bound to, if any.
    pub(crate) connection: C,
    pub(crate) settings: PublisherSettings,
}

impl Default for PublisherDefinition {
    fn default() -> PublisherDefinition {
        PublisherDefinition::new()
    }
}

impl PublisherDefinition {
    /// The defaults, for the default exchange.
    pub fn new() -> PublisherDefinition {
        PublisherDefinition { connection: (), settings: PublisherSettings::default() }
    }
}

/// Settings. Each takes the place of what was set before, unless it says otherwise.
impl<C> PublisherDefinition<C> {
    /// The exchange to send to. It is declared when the publisher opens; a string stands for a
    /// durable direct exchange of that name, and [`Exchange::existing`] is not declared but
    /// checked. Defaults to the default exchange, which routes to the queue that the routing key
    /// names.
    pub fn exchange(mut self, exchange: impl Into<Exchange>) -> Self {
        self.settings.exchange = exchange.into();
        self
    }

    /// The queue to publish to, through the default exchange. The publisher declares it when it
    /// opens, so messages wait for a consumer that starts later. A string stands for a durable
    /// queue of that name; [`Queue::existing`] is only checked. Its name becomes the routing key.
    /// Excludes [`exchange`](Self::exchange), another [`routing_key`](Self::routing_key) and
    /// exclusive queues. Defaults to none.
    pub fn queue(mut self, queue: impl Into<Queue>) -> Self {
        let queue = queue.into();
        self.settings.routing_key.clone_from(&queue.name);
        self.settings.queue = Some(queue);
        self
    }

    /// The routing key of messages that bring none of their own, at most 255 bytes. Defaults to the
    /// empty key.
    pub fn routing_key(mut self, routing_key: impl Into<String>) -> Self {
        self.settings.routing_key = routing_key.into();
        self
    }

    /// How values become bodies. Defaults to [`Codec::json`].
    pub fn codec(mut self, codec: impl Into<Codec>) -> Self {
        self.settings.codec = codec.into();
        self
    }

    /// Has the broker return every message that no queue takes, as [`Error::Unroutable`]. Defaults
    /// to on for the default exchange with confirms, and to off otherwise.
    pub fn mandatory(mut self) -> Self {
        self.settings.mandatory = Some(true);
        self
    }

    /// Has the broker drop a message that no queue takes. See [`mandatory`](Self::mandatory).
    pub fn not_mandatory(mut self) -> Self {
        self.settings.mandatory = Some(false);
        self
    }

    /// Lets messages go with a restart of the broker, which is faster. Defaults to persistent.
    pub fn transient(mut self) -> Self {
        self.settings.properties =
            self.settings.properties.with_delivery_mode(DeliveryMode::Transient);
        self
    }

    /// Takes `Ok` to mean that a message was handed to the operating system's side of the
    /// connection, and no more: faster, and messages are lost without notice. Defaults to waiting
    /// for the broker's confirms.
    pub fn without_confirms(mut self) -> Self {
        self.settings.confirms = false;
        self
    }

    /// How long each message may take from the call that sends it to the broker's confirm. Not
    /// zero. Defaults to 30 s.
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.settings.send_timeout = timeout;
        self
    }

    /// How many messages may be unconfirmed at once, at least 1. Defaults to 1000.
    pub fn max_in_flight(mut self, messages: usize) -> Self {
        self.settings.max_in_flight = messages;
        self
    }

    /// How many bytes of bodies may be unconfirmed at once; a single larger message is sent alone.
    /// At least 1. Defaults to 16 MiB.
    pub fn max_bytes_in_flight(mut self, bytes: usize) -> Self {
        self.settings.max_bytes_in_flight = bytes;
        self
    }

    /// A header that every message carries. Defaults to none.
    pub fn header(mut self, name: impl Into<ShortString>, value: impl Into<Value>) -> Self {
        self.settings.properties = self.settings.properties.with_header(name, value);
        self
    }

    /// All headers that every message carries. Defaults to none.
    pub fn headers(mut self, headers: impl Into<Headers>) -> Self {
        self.settings.properties = self.settings.properties.with_headers(headers);
        self
    }

    /// The properties that every message carries, over those set before. The content type and
    /// encoding are the codec's unless they are set here, the delivery mode persistent, the message
    /// id a random one. Defaults to none.
    pub fn properties(mut self, properties: Properties) -> Self {
        self.settings.properties = properties;
        self
    }
}
