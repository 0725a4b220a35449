use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Headers, ShortString, Value};

/// How an exchange picks the queues for a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum ExchangeKind {
    /// To every queue bound with exactly the message's routing key.
    #[default]
    Direct,
    /// To every bound queue, whatever the routing key.
    Fanout,
    /// To every queue whose pattern matches the routing key: words separated by dots, `*` for one
    /// word, `#` for zero or more.
    Topic,
    /// To every queue whose binding arguments match the message's headers, as its `x-match`
    /// argument says.
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

impl From<String> for ExchangeKind {
    fn from(name: String) -> ExchangeKind {
        ExchangeKind::from(&*name)
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

/// An exchange to declare: where publishers send to.
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
    /// The name, at most 255 bytes. The empty name is the default exchange, which reaches every
    /// queue by its name and is never declared.
    pub name: String,
    /// How it routes.
    #[serde(rename = "type", default)]
    pub kind: ExchangeKind,
    /// Whether it outlives a restart of the broker.
    #[serde(default = "durable")]
    pub durable: bool,
    /// Whether it goes away once its last binding does.
    #[serde(default)]
    pub auto_delete: bool,
    /// Whether only other exchanges can publish to it.
    #[serde(default)]
    pub internal: bool,
    /// Whether it is only checked for existence, not created.
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

    /// An exchange that somebody else owns: it is checked for existence
    /// ([`Error::NotFound`](crate::Error::NotFound)) and never created.
    pub fn existing(name: impl Into<String>) -> Exchange {
        Exchange { passive: true, ..Exchange::new(name, ExchangeKind::Direct) }
    }

    /// The default exchange, which routes to the queue that the routing key names. It always exists
    /// and cannot be declared, bound or deleted.
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

    /// Sends what fits no binding to another exchange (RabbitMQ's `alternate-exchange`). Defaults
    /// to none.
    #[must_use]
    pub fn alternate_exchange(self, exchange: impl Into<String>) -> Exchange {
        self.argument("alternate-exchange", exchange.into())
    }

    /// Sets one more argument. Defaults to none.
    #[must_use]
    pub fn argument(mut self, name: impl Into<ShortString>, value: impl Into<Value>) -> Exchange {
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
