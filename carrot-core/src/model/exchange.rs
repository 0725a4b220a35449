use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Headers, ShortString, Value};

/// The type of an exchange, which decides how messages are routed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
#[non_exhaustive]
pub enum ExchangeKind {
    /// Routes to every queue bound with exactly the routing key of the message.
    #[default]
    Direct,
    /// Routes to every bound queue, and ignores the routing key.
    Fanout,
    /// Routes to every queue whose binding pattern matches the routing key.
    ///
    /// Patterns are words separated by dots. `*` matches one word, `#` zero or more.
    Topic,
    /// Routes to every queue whose binding arguments match the headers of the message.
    ///
    /// The binding argument `x-match` selects whether all headers or any must match.
    Headers,
    /// A type that a vendor or a plug-in adds, by name.
    Custom(String),
}

impl ExchangeKind {
    /// Returns the AMQP name, such as `topic`.
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

impl From<String> for ExchangeKind {
    fn from(name: String) -> ExchangeKind {
        ExchangeKind::from(&*name)
    }
}

impl From<&String> for ExchangeKind {
    fn from(name: &String) -> ExchangeKind {
        ExchangeKind::from(name.as_str())
    }
}

impl From<ExchangeKind> for String {
    fn from(kind: ExchangeKind) -> String {
        kind.as_str().into()
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The definition of an exchange, to which messages are published.
///
/// ```
/// use carrot::{Exchange, ExchangeKind};
///
/// let exchange = Exchange::topic("prices").alternate_exchange("unrouted");
/// assert_eq!(exchange.kind, ExchangeKind::Topic);
/// assert!(exchange.durable);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Exchange {
    /// The name, at most 255 bytes.
    ///
    /// The empty name is the default exchange. The default exchange routes to the queue that the
    /// routing key names, and is never declared.
    pub name: String,
    /// The type, which decides how messages are routed.
    #[serde(rename = "type", default)]
    pub kind: ExchangeKind,
    /// Whether the exchange survives a broker restart.
    #[serde(default = "durable")]
    pub durable: bool,
    /// Whether the broker deletes the exchange when the last binding is removed.
    #[serde(default)]
    pub auto_delete: bool,
    /// Whether clients cannot publish to the exchange, only other exchanges can.
    #[serde(default)]
    pub internal: bool,
    /// Whether declaring only checks that the exchange exists, and creates nothing.
    #[serde(default)]
    pub passive: bool,
    /// Further arguments, such as `alternate-exchange`.
    #[serde(default)]
    pub arguments: Headers,
}

/// Returns the default of [`Exchange::durable`] and [`Queue::durable`](crate::Queue::durable).
pub(super) fn durable() -> bool {
    true
}

impl Exchange {
    /// Creates the definition of a durable exchange of type `kind`.
    pub fn new(name: impl Into<String>, kind: ExchangeKind) -> Exchange {
        Exchange { name: name.into(), kind, durable: true, ..Exchange::default() }
    }

    /// Creates the definition of a durable direct exchange.
    pub fn direct(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Direct)
    }

    /// Creates the definition of a durable fanout exchange.
    pub fn fanout(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Fanout)
    }

    /// Creates the definition of a durable topic exchange.
    pub fn topic(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Topic)
    }

    /// Creates the definition of a durable headers exchange.
    pub fn headers(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Headers)
    }

    /// Creates the definition of a durable exchange that spreads messages over its queues by a hash
    /// (type `x-consistent-hash`).
    ///
    /// Messages with the same routing key reach the same queue. The routing key of a binding is the
    /// weight of its queue: a whole number, at least 1. The argument `hash-header` or
    /// `hash-property` names another part of the message to hash.
    ///
    /// Needs the plug-in `rabbitmq_consistent_hash_exchange`. See [`modulus_hash`] about brokers
    /// without the type.
    ///
    /// [`modulus_hash`]: Exchange::modulus_hash
    ///
    /// ```
    /// use carrot::{Exchange, ExchangeKind};
    ///
    /// let exchange = Exchange::consistent_hash("by-user").argument("hash-header", "user");
    /// assert_eq!(exchange.kind, ExchangeKind::Custom("x-consistent-hash".into()));
    /// ```
    pub fn consistent_hash(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Custom("x-consistent-hash".into()))
    }

    /// Creates the definition of a durable exchange that routes each message to one bound queue, by
    /// a hash of the routing key modulo the number of bindings (type `x-modulus-hash`).
    ///
    /// RabbitMQ 4.3 has the type. Earlier releases need the plug-in `rabbitmq_sharding`.
    ///
    /// A broker without the type refuses the declaration: RabbitMQ 4.x with
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed), earlier releases with
    /// [`Error::HardError`](crate::Error::HardError) (code 503), which costs the connection. The
    /// memory broker does the same for the release that it imitates.
    ///
    /// ```
    /// use carrot::{Exchange, ExchangeKind};
    ///
    /// let exchange = Exchange::modulus_hash("shards");
    /// assert_eq!(exchange.kind, ExchangeKind::Custom("x-modulus-hash".into()));
    /// ```
    pub fn modulus_hash(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Custom("x-modulus-hash".into()))
    }

    /// Creates the definition of a durable exchange that routes each message to a random bound
    /// queue (type `x-random`).
    ///
    /// Needs the plug-in `rabbitmq_random_exchange`. See [`modulus_hash`](Exchange::modulus_hash)
    /// about brokers without the type.
    ///
    /// ```
    /// use carrot::{Exchange, ExchangeKind};
    ///
    /// let exchange = Exchange::random("spread");
    /// assert_eq!(exchange.kind, ExchangeKind::Custom("x-random".into()));
    /// ```
    pub fn random(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Custom("x-random".into()))
    }

    /// Creates the definition of a durable exchange that routes each message to a random bound
    /// queue on the publisher's node (type `x-local-random`).
    ///
    /// Messages are not routed if that node has no bound queue. The routing key of a binding must
    /// be empty.
    ///
    /// RabbitMQ 4.0 and later have the type. See [`modulus_hash`](Exchange::modulus_hash) about
    /// brokers without the type.
    ///
    /// ```
    /// use carrot::{Exchange, ExchangeKind};
    ///
    /// let exchange = Exchange::local_random("requests");
    /// assert_eq!(exchange.kind, ExchangeKind::Custom("x-local-random".into()));
    /// ```
    pub fn local_random(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Custom("x-local-random".into()))
    }

    /// Creates the definition of a durable fanout exchange that sends its last messages to each
    /// newly bound queue (type `x-recent-history`).
    ///
    /// The argument `x-recent-history-length` sets the number of messages, 20 by default.
    ///
    /// Needs the plug-in `rabbitmq_recent_history_exchange`. See
    /// [`modulus_hash`](Exchange::modulus_hash) about brokers without the type.
    ///
    /// ```
    /// use carrot::{Exchange, ExchangeKind};
    ///
    /// let exchange = Exchange::recent_history("chat").argument("x-recent-history-length", 50);
    /// assert_eq!(exchange.kind, ExchangeKind::Custom("x-recent-history".into()));
    /// ```
    pub fn recent_history(name: impl Into<String>) -> Exchange {
        Exchange::new(name, ExchangeKind::Custom("x-recent-history".into()))
    }

    /// Creates the definition of an exchange that another client owns.
    ///
    /// Declaring the exchange checks that the exchange exists, and never creates one. A missing
    /// exchange fails with [`Error::NotFound`](crate::Error::NotFound).
    pub fn existing(name: impl Into<String>) -> Exchange {
        Exchange { passive: true, ..Exchange::new(name, ExchangeKind::Direct) }
    }

    /// Returns the default exchange, which routes to the queue that the routing key names.
    ///
    /// The default exchange always exists and cannot be declared, bound or deleted.
    pub fn default_exchange() -> Exchange {
        Exchange::new("", ExchangeKind::Direct)
    }

    /// Returns whether this is the default exchange.
    pub fn is_default(&self) -> bool {
        self.name.is_empty()
    }

    /// Declares a transient exchange, which does not survive a broker restart.
    ///
    /// Defaults to durable.
    #[must_use]
    pub fn transient(mut self) -> Exchange {
        self.durable = false;
        self
    }

    /// Deletes the exchange when the last binding is removed.
    ///
    /// Defaults to keeping the exchange.
    #[must_use]
    pub fn auto_delete(mut self) -> Exchange {
        self.auto_delete = true;
        self
    }

    /// Refuses messages from clients, and accepts only messages from bound exchanges.
    ///
    /// Defaults to accepting messages from clients.
    #[must_use]
    pub fn internal(mut self) -> Exchange {
        self.internal = true;
        self
    }

    /// Routes messages that match no binding to `exchange` (RabbitMQ's `alternate-exchange`).
    ///
    /// Defaults to none.
    #[must_use]
    pub fn alternate_exchange(self, exchange: impl Into<String>) -> Exchange {
        self.argument("alternate-exchange", exchange.into())
    }

    /// Sets one more argument.
    ///
    /// Defaults to none.
    #[must_use]
    pub fn argument(mut self, name: impl Into<ShortString>, value: impl Into<Value>) -> Exchange {
        self.arguments.insert(name, value);
        self
    }
}

/// Converts a name to the definition of a durable direct exchange.
impl From<&str> for Exchange {
    fn from(name: &str) -> Exchange {
        Exchange::direct(name)
    }
}

/// Converts a name to the definition of a durable direct exchange.
impl From<String> for Exchange {
    fn from(name: String) -> Exchange {
        Exchange::direct(name)
    }
}

/// Converts a name to the definition of a durable direct exchange.
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
