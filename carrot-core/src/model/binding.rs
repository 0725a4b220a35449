use serde::{Deserialize, Serialize};

use crate::model::{Headers, ShortString, Value};

/// The destination of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "DestinationForm", try_from = "DestinationForm")]
#[allow(clippy::exhaustive_enums, reason = "AMQP 0-9-1 binds nothing else")]
pub enum Destination {
    /// A queue.
    Queue(String),
    /// Another exchange (RabbitMQ's exchange-to-exchange bindings).
    Exchange(String),
}

/// A destination as a table with one of two fields. Some formats have no variants.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DestinationForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<String>,
}

impl From<Destination> for DestinationForm {
    fn from(destination: Destination) -> DestinationForm {
        match destination {
            Destination::Queue(name) => {
                DestinationForm { queue: Some(name), ..DestinationForm::default() }
            }
            Destination::Exchange(name) => {
                DestinationForm { exchange: Some(name), ..DestinationForm::default() }
            }
        }
    }
}

impl TryFrom<DestinationForm> for Destination {
    type Error = &'static str;

    fn try_from(form: DestinationForm) -> Result<Destination, &'static str> {
        match form {
            DestinationForm { queue: Some(name), exchange: None } => Ok(Destination::Queue(name)),
            DestinationForm { queue: None, exchange: Some(name) } => {
                Ok(Destination::Exchange(name))
            }
            _ => Err("the destination of a binding is either a queue or an exchange"),
        }
    }
}

/// A binding of a queue, or of another exchange, to a source exchange.
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
    /// The exchange that messages are published to.
    pub source: String,
    /// The routing key, or the pattern for a topic exchange, that a message must match.
    #[serde(default)]
    pub routing_key: String,
    /// The queue or exchange that receives the matching messages.
    pub destination: Destination,
    /// Further arguments, such as the headers that a headers exchange compares.
    #[serde(default)]
    pub arguments: Headers,
}

impl Binding {
    /// Creates a binding of the queue `queue` to the exchange `exchange`.
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

    /// Creates a binding of the exchange `destination` to the exchange `source`.
    ///
    /// Matching messages are routed from `source` to `destination`.
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

    /// Sets one argument.
    ///
    /// Defaults to none.
    #[must_use]
    pub fn argument(mut self, name: impl Into<ShortString>, value: impl Into<Value>) -> Binding {
        self.arguments.insert(name, value);
        self
    }
}
