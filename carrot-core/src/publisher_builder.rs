use std::time::Duration;

use crate::backend::Declare;
use crate::{Codec, Connection, DeliveryMode, Error, Exchange, Headers, Properties, Publisher, Queue, Result, Value};

/// What a publisher is to be, as plain data: where it sends to, and what its messages have in common.
///
/// It can be kept, cloned, and opened on any connection: what a sub-class of `Publisher` is in carrot for Python.
/// [`Connection::publisher`] gives the same settings bound to a connection.
///
/// ```
/// use carrot::{Connection, Publisher, PublisherDefinition, Result};
///
/// fn feed_publisher(connection: &Connection) -> Result<Publisher> {
///     PublisherDefinition::new().exchange("feed").routing_key("importer").open(connection)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct PublisherDefinition {
    pub(crate) exchange: Exchange,
    pub(crate) routing_key: String,
    /// `None` for the default, which depends on the exchange.
    mandatory: Option<bool>,
    /// What the publisher declares besides its exchange.
    pub(crate) queue: Option<Queue>,
    pub(crate) confirms: bool,
    pub(crate) send_timeout: Duration,
    pub(crate) max_in_flight: usize,
    pub(crate) max_bytes_in_flight: usize,
    pub(crate) codec: Codec,
    properties: Properties,
}

impl Default for PublisherDefinition {
    fn default() -> PublisherDefinition {
        PublisherDefinition {
            exchange: Exchange::default_exchange(),
            routing_key: String::new(),
            mandatory: None,
            queue: None,
            confirms: true,
            send_timeout: Duration::from_secs(30),
            max_in_flight: 1000,
            max_bytes_in_flight: 16 << 20,
            codec: Codec::json(),
            properties: Properties::new(),
        }
    }
}

settings! {
    PublisherDefinition, PublisherBuilder;

    /// The exchange to send to. It is declared when the publisher opens; a string stands for a durable direct exchange of that name,
    /// and [`Exchange::existing`] is not declared but checked. Defaults to the default exchange, which routes to the queue that the
    /// routing key names.
    fn exchange(mut self, exchange: impl Into<Exchange>) {
        self.exchange = exchange.into();
        self
    }

    /// The queue to publish to, through the default exchange. The publisher declares it when it opens, so messages wait for a consumer that
    /// starts later. A string stands for a durable queue of that name; [`Queue::existing`] is only checked. Its name becomes the routing key.
    /// Excludes [`exchange`](Self::exchange), another [`routing_key`](Self::routing_key) and exclusive queues. Defaults to none.
    fn queue(mut self, queue: impl Into<Queue>) {
        let queue = queue.into();
        self.routing_key.clone_from(&queue.name);
        self.queue = Some(queue);
        self
    }

    /// The routing key of messages that bring none of their own, at most 255 bytes. Defaults to the empty key.
    fn routing_key(mut self, routing_key: impl Into<String>) {
        self.routing_key = routing_key.into();
        self
    }

    /// How values become bodies. Defaults to [`Codec::json`].
    fn codec(mut self, codec: impl Into<Codec>) {
        self.codec = codec.into();
        self
    }

    /// Has the broker return every message that no queue takes, as [`Error::Unroutable`]. Defaults to on for the default exchange with
    /// confirms, and to off otherwise.
    fn mandatory(mut self) {
        self.mandatory = Some(true);
        self
    }

    /// Has the broker drop a message that no queue takes. See [`mandatory`](Self::mandatory).
    fn not_mandatory(mut self) {
        self.mandatory = Some(false);
        self
    }

    /// Lets messages go with a restart of the broker, which is faster. Defaults to persistent.
    fn transient(mut self) {
        self.properties = self.properties.with_delivery_mode(DeliveryMode::Transient);
        self
    }

    /// Takes `Ok` to mean that a message was handed to the operating system's side of the connection, and no more: faster, and
    /// messages are lost without notice. Defaults to waiting for the broker's confirms.
    fn without_confirms(mut self) {
        self.confirms = false;
        self
    }

    /// How long each message may take from the call that sends it to the broker's confirm. Not zero. Defaults to 30 s.
    fn send_timeout(mut self, timeout: Duration) {
        self.send_timeout = timeout;
        self
    }

    /// How many messages may be unconfirmed at once, at least 1. Defaults to 1000.
    fn max_in_flight(mut self, messages: usize) {
        self.max_in_flight = messages;
        self
    }

    /// How many bytes of bodies may be unconfirmed at once; a single larger message is sent alone. At least 1. Defaults to 16 MiB.
    fn max_bytes_in_flight(mut self, bytes: usize) {
        self.max_bytes_in_flight = bytes;
        self
    }

    /// A header that every message carries. Defaults to none.
    fn header(mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.properties = self.properties.with_header(name, value);
        self
    }

    /// All headers that every message carries. Defaults to none.
    fn headers(mut self, headers: impl Into<Headers>) {
        self.properties = self.properties.with_headers(headers);
        self
    }

    /// The properties that every message carries, over those set before. The content type and encoding are the codec's unless they are
    /// set here, the delivery mode persistent, the message id a random one. Defaults to none.
    fn properties(mut self, properties: Properties) {
        self.properties = properties;
        self
    }
}

impl PublisherDefinition {
    /// The defaults, for the default exchange.
    pub fn new() -> PublisherDefinition {
        PublisherDefinition::default()
    }

    /// Binds the definition to a connection, for further settings.
    pub fn on(&self, connection: &Connection) -> PublisherBuilder {
        PublisherBuilder { connection: connection.clone(), definition: self.clone() }
    }

    /// Opens a publisher on a connection; as [`PublisherBuilder::build`].
    ///
    /// # Errors
    /// As [`PublisherBuilder::build`].
    pub fn open(&self, connection: &Connection) -> Result<Publisher> {
        self.on(connection).build()
    }

    fn validate_queue(&self, queue: &Queue) -> Result<()> {
        if queue.name.is_empty() {
            return Err(Error::invalid("queue", "", "a name, because a publisher has to know where to send"));
        }
        if queue.exclusive {
            return Err(Error::invalid("queue", &queue.name, "a queue that is not exclusive, because consumers have another connection"));
        }
        if !self.exchange.is_default() {
            return Err(Error::invalid("exchange", &self.exchange.name, "the default exchange, because a queue was named to feed"));
        }
        if self.routing_key != queue.name {
            return Err(Error::invalid("routing key", &self.routing_key, "the name of the queue that was named to feed"));
        }
        Declare::Queue(queue).validate()
    }

    /// Whether messages are mandatory unless they say otherwise. Without confirms, nobody would hear of a return.
    pub(crate) fn is_mandatory(&self) -> bool {
        self.mandatory.unwrap_or(self.exchange.is_default() && self.confirms)
    }

    /// What every message starts with.
    pub(crate) fn template(&self) -> Properties {
        match self.properties.delivery_mode() {
            Some(_) => self.properties.clone(),
            None => self.properties.clone().with_delivery_mode(DeliveryMode::Persistent),
        }
    }

    fn validate(&self) -> Result<()> {
        if self.send_timeout.is_zero() {
            return Err(Error::invalid("send timeout", "0", "more than zero"));
        }
        if self.max_in_flight == 0 || self.max_bytes_in_flight == 0 {
            return Err(Error::invalid("messages and bytes in flight", "0", "at least 1"));
        }
        if let Some(queue) = &self.queue {
            self.validate_queue(queue)?;
        }
        crate::validate::short_string("exchange", &self.exchange.name)?;
        crate::validate::short_string("routing key", &self.routing_key)
    }
}

/// A [`PublisherDefinition`] bound to a connection; made by [`Connection::publisher`].
#[derive(Debug, Clone)]
#[must_use = "a publisher is only opened by `build`"]
pub struct PublisherBuilder {
    connection: Connection,
    definition: PublisherDefinition,
}

impl PublisherBuilder {
    /// Opens the publisher: a channel, and its exchange.
    ///
    /// Blocks for a few round trips, for connecting if need be, and at most for the connection's deadlines.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a setting out of its limits. [`Error::Connect`], [`Error::Authentication`], [`Error::Timeout`],
    /// [`Error::Disconnected`] from connecting. [`Error::Precondition`] if the exchange exists with other properties,
    /// [`Error::NotFound`] if it was to exist and does not, [`Error::AccessRefused`] if its name is reserved.
    pub fn build(self) -> Result<Publisher> {
        self.definition.validate()?;
        Publisher::open(&self.connection, self.definition)
    }
}
