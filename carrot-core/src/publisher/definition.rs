mod form;

use std::time::Duration;

use crate::codec::{Codec, Compression};
use crate::model::{DeliveryMode, Exchange, Headers, Properties, Queue, ShortString, Value};
use crate::publish_layer::layer::PublishLayer;
use crate::publisher::settings::PublisherSettings;

#[allow(unused_imports, reason = "documentation links to it")]
use crate::error::Error;

/// The definition of a publisher, as plain data: its exchange, and the defaults of its messages.
///
/// A definition can be stored, cloned, and opened on any connection.
/// [`Connection::publisher`](crate::Connection::publisher) starts a definition that is bound to a
/// connection.
///
/// ```
/// use carrot::{Connection, Publisher, Result, publish::PublisherDefinition};
///
/// fn feed_publisher(connection: &Connection) -> Result<Publisher> {
///     PublisherDefinition::new().exchange("feed").routing_key("importer").open(connection)
/// }
/// ```
///
/// # Configuration files
///
/// A definition without a connection is serialized as a table whose fields have the names of the
/// setters. Every field is optional when deserialized, and defaults to the default of its setter.
///
/// ```
/// use carrot::publish::PublisherDefinition;
///
/// let definition: PublisherDefinition = serde_json::from_str(
///     r#"{
///         "exchange": {"name": "feed", "type": "topic"},
///         "routing_key": "importer",
///         "codec": "text",
///         "send_timeout": 2.5
///     }"#,
/// )?;
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// * A duration is a number of seconds, whole or fractional.
/// * `mandatory`, `without_confirms` and `transient` are booleans.
/// * `headers` and `transient` are serialized as parts of `properties`.
/// * Serializing fails for a codec of the program, and for layers.
/// * Unknown fields are refused. Settings are refused with the errors of `build`, as far as the
///   check needs no connection.
///
/// The format must be self-describing, as JSON, TOML and YAML are.
#[derive(Debug, Clone)]
#[must_use = "a publisher is only opened by `build` or `open`"]
pub struct PublisherDefinition<C = ()> {
    /// The connection that the definition is bound to, if any.
    pub(crate) connection: C,
    pub(crate) settings: PublisherSettings,
}

impl Default for PublisherDefinition {
    fn default() -> PublisherDefinition {
        PublisherDefinition::new()
    }
}

impl PublisherDefinition {
    /// Creates a definition with the default settings, for the default exchange.
    pub fn new() -> PublisherDefinition {
        PublisherDefinition { connection: (), settings: PublisherSettings::default() }
    }
}

/// Settings. Each replaces the previous value, except where noted.
impl<C> PublisherDefinition<C> {
    /// Sets the exchange to send to. The publisher declares the exchange when it opens. A string
    /// stands for a durable direct exchange of that name. [`Exchange::existing`] is only checked.
    ///
    /// Defaults to the default exchange, which routes to the queue named by the routing key.
    pub fn exchange(mut self, exchange: impl Into<Exchange>) -> Self {
        self.settings.exchange = exchange.into();
        self
    }

    /// Sets the queue to publish to, through the default exchange. Its name becomes the routing
    /// key.
    ///
    /// The publisher declares the queue when it opens. Messages then wait in the queue for a
    /// consumer that starts later. A string stands for a durable queue of that name.
    /// [`Queue::existing`] is only checked. Cannot be combined with [`exchange`](Self::exchange),
    /// another [`routing_key`](Self::routing_key) or an exclusive queue.
    ///
    /// Defaults to none.
    pub fn queue(mut self, queue: impl Into<Queue>) -> Self {
        let queue = queue.into();
        self.settings.routing_key.clone_from(&queue.name);
        self.settings.queue = Some(queue);
        self
    }

    /// Sets the routing key of messages without their own, at most 255 bytes.
    ///
    /// Defaults to the empty key.
    pub fn routing_key(mut self, routing_key: impl Into<String>) -> Self {
        self.settings.routing_key = routing_key.into();
        self
    }

    /// Sets the codec, which encodes values as bodies.
    ///
    /// Defaults to [`Codec::json`].
    pub fn codec(mut self, codec: impl Into<Codec>) -> Self {
        self.settings.codec = codec.into();
        self
    }

    /// Compresses the bodies of messages, as the publishers of kombu and celery do: the header
    /// `compression` names the compression. Content type and content encoding stay those of the
    /// body that is not compressed.
    ///
    /// Values and bytes are compressed. A body smaller than [`at_least`](Compression::at_least) is
    /// sent unchanged, and so is a body that would not shrink, and a message that already has the
    /// header. Layers see the compressed body. The limits on bytes in flight and on the size of a
    /// message count the compressed body.
    ///
    /// `None` turns the compression off.
    ///
    /// Defaults to no compression.
    ///
    /// ```
    /// use carrot::codec::Compression;
    ///
    /// # fn example(connection: &carrot::Connection) -> carrot::Result<()> {
    /// let compression = Compression::zstd();
    /// let publisher = connection.publisher().queue("reports").compress(compression).build()?;
    /// publisher.send(&vec!["a long text"; 1000])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn compress(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.settings.compress = compression.into();
        self
    }

    /// Requests the return of every message that could not be routed, as [`Error::Unroutable`].
    ///
    /// Defaults to on for the default exchange with confirms, and to off otherwise.
    pub fn mandatory(mut self) -> Self {
        self.settings.mandatory = Some(true);
        self
    }

    /// Drops messages at the broker if they cannot be routed.
    ///
    /// Defaults as [`mandatory`](Self::mandatory) says.
    pub fn not_mandatory(mut self) -> Self {
        self.settings.mandatory = Some(false);
        self
    }

    /// Sends transient messages. Transient messages are faster, but do not survive a broker
    /// restart.
    ///
    /// Defaults to persistent messages.
    pub fn transient(mut self) -> Self {
        self.settings.properties =
            self.settings.properties.with_delivery_mode(DeliveryMode::Transient);
        self
    }

    /// Disables confirms. `Ok` then only means that the message was written to the connection.
    /// Sending is faster, and messages can be lost without an error.
    ///
    /// Defaults to confirms.
    pub fn without_confirms(mut self) -> Self {
        self.settings.confirms = false;
        self
    }

    /// Limits the time of each message from the sending call to the broker's confirm. More than
    /// zero.
    ///
    /// Defaults to 30 s.
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.settings.send_timeout = timeout;
        self
    }

    /// Limits the number of unconfirmed messages, at least 1.
    ///
    /// Defaults to 1000 messages.
    pub fn max_in_flight(mut self, messages: usize) -> Self {
        self.settings.max_in_flight = messages;
        self
    }

    /// Limits the unconfirmed bytes of bodies, at least 1. A single larger message is sent alone.
    ///
    /// Defaults to 16 MiB.
    pub fn max_bytes_in_flight(mut self, bytes: usize) -> Self {
        self.settings.max_bytes_in_flight = bytes;
        self
    }

    /// Adds a header to every message.
    ///
    /// Defaults to none.
    pub fn header(mut self, name: impl Into<ShortString>, value: impl Into<Value>) -> Self {
        self.settings.properties = self.settings.properties.with_header(name, value);
        self
    }

    /// Sets all headers of every message.
    ///
    /// Defaults to none.
    pub fn headers(mut self, headers: impl Into<Headers>) -> Self {
        self.settings.properties = self.settings.properties.with_headers(headers);
        self
    }

    /// Adds a layer, which sees each message before it is sent, and its outcome. Can be called
    /// several times.
    ///
    /// Defaults to the layers of the connection, which come first.
    pub fn layer(mut self, layer: impl PublishLayer) -> Self {
        self.settings.layers.push(layer);
        self
    }

    /// Replaces all properties of every message. Content type and content encoding then default to
    /// those of the codec. The delivery mode defaults to persistent, and the message id to a random
    /// one.
    ///
    /// Defaults to no other properties.
    pub fn properties(mut self, properties: Properties) -> Self {
        self.settings.properties = properties;
        self
    }
}
