//! Exchanges, queues and bindings as plain data: what is to be declared.

use std::fmt;
use std::time::Duration;

use crate::{Headers, Value};

/// How an exchange picks the queues for a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum ExchangeKind {
    /// To every queue bound with exactly the message's routing key.
    #[default]
    Direct,
    /// To every bound queue, whatever the routing key.
    Fanout,
    /// To every queue whose pattern matches the routing key: words separated by dots, `*` for one word, `#` for zero or more.
    Topic,
    /// To every queue whose binding arguments match the message's headers, as its `x-match` argument says.
    Headers,
    /// A type that a vendor or plug-in adds, by its name.
    Custom(String),
}

impl ExchangeKind {
    /// The name that goes over the wire, such as `topic`.
    pub fn as_str(&self) -> &str {
        match self {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Topic => "topic",
            ExchangeKind::Headers => "headers",
            ExchangeKind::Custom(name) => name,
        }
    }
}

impl From<&str> for ExchangeKind {
    fn from(name: &str) -> ExchangeKind {
        match name {
            "direct" => ExchangeKind::Direct,
            "fanout" => ExchangeKind::Fanout,
            "topic" => ExchangeKind::Topic,
            "headers" => ExchangeKind::Headers,
            other => ExchangeKind::Custom(other.to_string()),
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// An exchange to declare: where publishers send to.
///
/// ```
/// use carrot::{Exchange, ExchangeKind};
///
/// let exchange = Exchange::topic("prices").alternate_exchange("unrouted");
/// assert_eq!(exchange.kind, ExchangeKind::Topic);
/// assert!(exchange.durable);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Exchange {
    /// The name, at most 255 bytes. The empty name is the default exchange, which reaches every queue by its name and is never declared.
    pub name: String,
    /// How it routes.
    pub kind: ExchangeKind,
    /// Whether it outlives a restart of the broker.
    pub durable: bool,
    /// Whether it goes away once its last binding does.
    pub auto_delete: bool,
    /// Whether only other exchanges can publish to it.
    pub internal: bool,
    /// Whether it is only checked for existence, not created.
    pub passive: bool,
    /// Further arguments, such as `alternate-exchange`.
    pub arguments: Headers,
}

impl Exchange {
    /// A durable exchange of the given kind.
    pub fn new(name: impl Into<String>, kind: ExchangeKind) -> Exchange {
        Exchange { name: name.into(), kind, durable: true, ..Exchange::default() }
    }

    /// A durable direct exchange.
    pub fn direct(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Direct)
    }

    /// A durable fanout exchange.
    pub fn fanout(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Fanout)
    }

    /// A durable topic exchange.
    pub fn topic(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Topic)
    }

    /// A durable headers exchange.
    pub fn headers(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Headers)
    }

    /// An exchange that somebody else owns: it is checked for existence ([`Error::NotFound`](crate::Error::NotFound)) and never created.
    pub fn existing(name: impl Into<String>) -> Exchange {
        Exchange { passive: true, ..Exchange::new(name, ExchangeKind::Direct) }
    }

    /// The default exchange, which routes to the queue that the routing key names. It always exists and cannot be declared, bound or
    /// deleted.
    pub fn default_exchange() -> Exchange {
        Exchange::new("", ExchangeKind::Direct)
    }

    /// Whether this is the default exchange.
    pub fn is_default(&self) -> bool {
        self.name.is_empty()
    }

    /// Lets it go with a restart of the broker. Defaults to durable.
    #[must_use]
    pub fn transient(mut self) -> Exchange {
        self.durable = false;
        self
    }

    /// Deletes it once its last binding goes. Defaults to staying.
    #[must_use]
    pub fn auto_delete(mut self) -> Exchange {
        self.auto_delete = true;
        self
    }

    /// Closes it to publishers, so that only exchanges bound to it reach it. Defaults to open.
    #[must_use]
    pub fn internal(mut self) -> Exchange {
        self.internal = true;
        self
    }

    /// Sends what fits no binding to another exchange (RabbitMQ's `alternate-exchange`). Defaults to none.
    #[must_use]
    pub fn alternate_exchange(self, exchange: impl Into<String>) -> Exchange {
        self.argument("alternate-exchange", exchange.into())
    }

    /// Sets one more argument. Defaults to none.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<Value>) -> Exchange {
        self.arguments.insert(name, value);
        self
    }
}

/// A string is a durable direct exchange of that name.
impl From<&str> for Exchange {
    fn from(name: &str) -> Exchange {
        Exchange::direct(name)
    }
}

/// A string is a durable direct exchange of that name.
impl From<String> for Exchange {
    fn from(name: String) -> Exchange {
        Exchange::direct(name)
    }
}

/// A string is a durable direct exchange of that name.
impl From<&String> for Exchange {
    fn from(name: &String) -> Exchange {
        Exchange::direct(name)
    }
}

impl From<&Exchange> for Exchange {
    fn from(exchange: &Exchange) -> Exchange {
        exchange.clone()
    }
}

/// What a queue does with a message that exceeds its limits (RabbitMQ's `x-overflow`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// Drops, or dead-letters, from its head.
    DropHead,
    /// Refuses the new message: its publisher is told by a nack.
    RejectPublish,
    /// Refuses the new message and dead-letters it.
    RejectPublishDeadLetter,
}

impl Overflow {
    /// The value of the `x-overflow` argument.
    pub fn as_str(self) -> &'static str {
        match self {
            Overflow::DropHead => "drop-head",
            Overflow::RejectPublish => "reject-publish",
            Overflow::RejectPublishDeadLetter => "reject-publish-dlx",
        }
    }
}

/// A queue to declare: where messages wait.
///
/// ```
/// use std::time::Duration;
/// use carrot::{Queue, Value};
///
/// let queue = Queue::new("jobs").message_ttl(Duration::from_secs(60)).dead_letter_exchange("failed");
/// assert_eq!(queue.arguments.get("x-message-ttl"), Some(&Value::I64(60_000)));
///
/// let private = Queue::server_named();
/// assert!(private.exclusive && private.auto_delete);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Queue {
    /// The name, at most 255 bytes. If it is empty, the broker makes one up.
    pub name: String,
    /// Whether it outlives a restart of the broker.
    pub durable: bool,
    /// Whether only the connection that declares it can use it; it goes away with that connection.
    pub exclusive: bool,
    /// Whether it goes away once its last consumer does.
    pub auto_delete: bool,
    /// Whether it is only checked for existence, not created.
    pub passive: bool,
    /// Further arguments, such as `x-message-ttl`.
    pub arguments: Headers,
}

impl Queue {
    /// A durable queue.
    pub fn new(name: impl Into<String>) -> Queue {
        Queue { name: name.into(), durable: true, ..Queue::default() }
    }

    /// A queue of this connection alone, named by the broker: exclusive, auto-delete, not durable.
    pub fn server_named() -> Queue {
        Queue { exclusive: true, auto_delete: true, ..Queue::default() }
    }

    /// A queue that somebody else owns: it is checked for existence ([`Error::NotFound`](crate::Error::NotFound)) and never created.
    pub fn existing(name: impl Into<String>) -> Queue {
        Queue { passive: true, ..Queue::new(name) }
    }

    /// Whether the broker deletes it when it is no longer used, or its connection ends.
    pub(crate) fn goes_by_itself(&self) -> bool {
        self.exclusive || self.auto_delete || self.name.is_empty() || self.arguments.contains("x-expires")
    }

    /// Lets it go with a restart of the broker. Defaults to durable.
    #[must_use]
    pub fn transient(mut self) -> Queue {
        self.durable = false;
        self
    }

    /// Closes it to every other connection; implies [`auto_delete`](Queue::auto_delete). Defaults to shared.
    #[must_use]
    pub fn exclusive(mut self) -> Queue {
        self.exclusive = true;
        self.auto_delete = true;
        self
    }

    /// Deletes it once its last consumer goes; a queue that never had one stays. Defaults to staying.
    #[must_use]
    pub fn auto_delete(mut self) -> Queue {
        self.auto_delete = true;
        self
    }

    /// How long a message may wait (`x-message-ttl`, whole milliseconds). Zero drops what cannot be delivered at once. Defaults to no
    /// limit.
    #[must_use]
    pub fn message_ttl(self, ttl: Duration) -> Queue {
        self.argument("x-message-ttl", milliseconds(ttl))
    }

    /// Deletes the queue once it was unused for so long: no consumer, no get, no declaration (`x-expires`, whole milliseconds, at least
    /// one). Defaults to never.
    #[must_use]
    pub fn expires(self, unused: Duration) -> Queue {
        self.argument("x-expires", milliseconds(unused))
    }

    /// How many ready messages it may hold (`x-max-length`). Defaults to no limit.
    #[must_use]
    pub fn max_length(self, messages: u32) -> Queue {
        self.argument("x-max-length", i64::from(messages))
    }

    /// How many bytes of ready bodies it may hold (`x-max-length-bytes`). Defaults to no limit.
    #[must_use]
    pub fn max_length_bytes(self, bytes: u64) -> Queue {
        self.argument("x-max-length-bytes", i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    /// What happens beyond those limits (`x-overflow`). Defaults to dropping from the head.
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Queue {
        self.argument("x-overflow", overflow.as_str())
    }

    /// Where a rejected, expired or dropped message goes (`x-dead-letter-exchange`). Defaults to nowhere.
    #[must_use]
    pub fn dead_letter_exchange(self, exchange: impl Into<String>) -> Queue {
        self.argument("x-dead-letter-exchange", exchange.into())
    }

    /// The routing key of dead letters (`x-dead-letter-routing-key`). Defaults to the message's own.
    #[must_use]
    pub fn dead_letter_routing_key(self, routing_key: impl Into<String>) -> Queue {
        self.argument("x-dead-letter-routing-key", routing_key.into())
    }

    /// Makes it a priority queue with priorities 0 to `highest` (`x-max-priority`; RabbitMQ advises at most 10). Defaults to none.
    #[must_use]
    pub fn max_priority(self, highest: u8) -> Queue {
        self.argument("x-max-priority", i32::from(highest))
    }

    /// Lets one consumer at a time receive, the others stand by (`x-single-active-consumer`). Defaults to all.
    #[must_use]
    pub fn single_active_consumer(self) -> Queue {
        self.argument("x-single-active-consumer", true)
    }

    /// Makes it a replicated quorum queue (`x-queue-type`); such a queue is durable, and neither exclusive nor auto-delete. Defaults to
    /// a classic queue.
    #[must_use]
    pub fn quorum(self) -> Queue {
        self.argument("x-queue-type", "quorum")
    }

    /// How often a message of a quorum queue may be delivered again before it is dropped or dead-lettered (`x-delivery-limit`). Defaults to no
    /// limit.
    #[must_use]
    pub fn delivery_limit(self, deliveries: u32) -> Queue {
        self.argument("x-delivery-limit", i64::from(deliveries))
    }

    /// Sets one more argument. Defaults to none.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<Value>) -> Queue {
        self.arguments.insert(name, value);
        self
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A string is a durable queue of that name.
impl From<&str> for Queue {
    fn from(name: &str) -> Queue {
        Queue::new(name)
    }
}

/// A string is a durable queue of that name.
impl From<String> for Queue {
    fn from(name: String) -> Queue {
        Queue::new(name)
    }
}

/// A string is a durable queue of that name.
impl From<&String> for Queue {
    fn from(name: &String) -> Queue {
        Queue::new(name)
    }
}

impl From<&Queue> for Queue {
    fn from(queue: &Queue) -> Queue {
        queue.clone()
    }
}

/// Where a binding leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// To a queue.
    Queue(String),
    /// To another exchange (RabbitMQ's exchange-to-exchange bindings).
    Exchange(String),
}

/// A way from an exchange to a queue, or to another exchange.
///
/// ```
/// use carrot::{Binding, Destination};
///
/// let binding = Binding::queue("prices", "usd-prices", "usd.#");
/// assert_eq!(binding.destination, Destination::Queue("usd-prices".into()));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Binding {
    /// The exchange it starts at.
    pub source: String,
    /// Where it leads.
    pub destination: Destination,
    /// The routing key, or pattern, that it lets through.
    pub routing_key: String,
    /// Further arguments: what a headers exchange compares.
    pub arguments: Headers,
}

impl Binding {
    /// Binds a queue to an exchange.
    pub fn queue(exchange: impl Into<String>, queue: impl Into<String>, routing_key: impl Into<String>) -> Binding {
        Binding {
            source: exchange.into(),
            destination: Destination::Queue(queue.into()),
            routing_key: routing_key.into(),
            arguments: Headers::new(),
        }
    }

    /// Binds the exchange `destination` to the exchange `source`, so that messages flow from `source` to `destination`.
    pub fn exchange(source: impl Into<String>, destination: impl Into<String>, routing_key: impl Into<String>) -> Binding {
        Binding {
            source: source.into(),
            destination: Destination::Exchange(destination.into()),
            routing_key: routing_key.into(),
            arguments: Headers::new(),
        }
    }

    /// Sets one argument. Defaults to none.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<Value>) -> Binding {
        self.arguments.insert(name, value);
        self
    }
}
