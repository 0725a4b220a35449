use serde::{Deserialize, Serialize};

use crate::model::{Headers, ShortString, Value};

/// Where a binding leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// To a queue.
    Queue(String),
    /// To another exchange (RabbitMQ's exchange-to-exchange bindings).
    Exchange(String),
}

/// A way from an exchange to a queue, or to another exchange.
///
/// ```
/// use carrot::{Binding, topology::Destination};
///
/// let binding = Binding::queue("prices", "usd-prices", "usd.#");
/// assert_eq!(binding.destination, Destination::Queue("usd-prices".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Binding {
    /// The exchange it starts at.
    pub source: String,
    /// Where it leads.
    pub destination: Destination,
    /// The routing key, or pattern, that it lets through.
    #[serde(default)]
    pub routing_key: String,
    /// Further arguments: what a headers exchange compares.
    #[serde(default)]
    pub arguments: Headers,
}

impl Binding {
    /// Binds a queue to an exchange.
    pub fn queue(
        exchange: impl Into<String>,
        queue: impl Into<String>,
        routing_key: impl Into<String>,
    ) -> Binding {
        Binding {
            source: exchange.into(),
            destination: Destination::Queue(queue.into()),
            routing_key: routing_key.into(),
            arguments: Headers::new(),
        }
    }

    /// Binds the exchange `destination` to the exchange `source`, so that messages flow from
    /// `source` to `destination`.
    pub fn exchange(
        source: impl Into<String>,
        destination: impl Into<String>,
        routing_key: impl Into<String>,
    ) -> Binding {
        Binding {
            source: source.into(),
            destination: Destination::Exchange(destination.into()),
            routing_key: routing_key.into(),
            arguments: Headers::new(),
        }
    }

    /// Sets one argument. Defaults to none.
    #[must_use]
    pub fn argument(mut self, name: impl Into<ShortString>, value: impl Into<Value>) -> Binding {
        self.arguments.insert(name, value);
        self
    }
}
