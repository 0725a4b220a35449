//! Exchanges, queues and bindings as one piece of data: declared together, and compared with a
//! broker.

mod check;
mod definitions;

pub use check::{Difference, DifferenceKind, TopologyCheck};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::backend::Declare;
use crate::error::{Error, Result};
use crate::model::{Binding, Destination, Exchange, Queue};
use crate::recovery::handle::ConnectionHandle;

/// Exchanges, queues and bindings as data, which a program can keep in a file.
///
/// [`Connection::declare_all`](crate::Connection::declare_all) declares them.
/// [`Connection::check`](crate::Connection::check) compares them with the broker.
///
/// ```
/// use carrot::topology::Topology;
/// use carrot::{Binding, Exchange, Queue};
///
/// let topology = Topology::new()
///     .exchange(Exchange::topic("prices"))
///     .queue(Queue::new("usd-prices").quorum())
///     .binding(Binding::queue("prices", "usd-prices", "usd.#"));
///
/// let connection = carrot::connect("memory://")?;
/// connection.declare_all(&topology)?;
/// assert!(connection.check(&topology)?.is_equal());
/// # Ok::<(), carrot::Error>(())
/// ```
///
/// # Files
///
/// A topology is serialized as a table with the lists `exchanges`, `queues` and `bindings`, each of
/// which is optional. Unknown fields are refused. The fields of the entries are those of
/// [`Exchange`], [`Queue`] and [`Binding`]; all except the names are optional, and default as in
/// the constructors. In TOML:
///
/// ```
/// use carrot::topology::Topology;
/// use carrot::{Binding, Exchange, Queue};
/// use std::time::Duration;
///
/// let topology: Topology = toml::from_str(
///     r#"
///         [[exchanges]]
///         name = "prices"
///         type = "topic"
///
///         [[queues]]
///         name = "usd-prices"
///         arguments = { x-message-ttl = 60000 }
///
///         [[bindings]]
///         source = "prices"
///         destination = { queue = "usd-prices" }
///         routing_key = "usd.#"
///     "#,
/// )?;
/// assert_eq!(topology.exchanges, [Exchange::topic("prices")]);
/// assert_eq!(topology.queues[0].name, "usd-prices");
/// assert_eq!(topology.bindings, [Binding::queue("prices", "usd-prices", "usd.#")]);
/// # Ok::<(), toml::de::Error>(())
/// ```
///
/// [`from_definitions`](Topology::from_definitions) reads the file that RabbitMQ exports.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Topology {
    /// The exchanges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<Exchange>,
    /// The queues. Each has a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<Queue>,
    /// The bindings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<Binding>,
}

impl Topology {
    /// Creates an empty topology.
    pub fn new() -> Topology {
        Topology::default()
    }

    /// Adds an exchange. A string stands for a durable direct exchange of that name.
    #[must_use]
    pub fn exchange(mut self, exchange: impl Into<Exchange>) -> Topology {
        self.exchanges.push(exchange.into());
        self
    }

    /// Adds a queue. A string stands for a durable queue of that name.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<Queue>) -> Topology {
        self.queues.push(queue.into());
        self
    }

    /// Adds a binding.
    #[must_use]
    pub fn binding(mut self, binding: Binding) -> Topology {
        self.bindings.push(binding);
        self
    }

    /// Returns the entities in the order of their declaration.
    fn entities(&self) -> impl Iterator<Item = Declare<'_>> {
        let exchanges = self.exchanges.iter().map(Declare::Exchange);
        let queues = self.queues.iter().map(Declare::Queue);
        let bindings = self.bindings.iter().map(Declare::Binding);
        exchanges.chain(queues).chain(bindings)
    }

    /// Checks everything that needs no broker.
    pub(crate) fn validate(&self) -> Result<()> {
        self.entities()
            .try_for_each(|entity| validate(entity).map_err(|error| refused(&entity, error)))
    }

    /// Declares all entities, or fails with the first refusal.
    pub(crate) fn declare(&self, connection: &ConnectionHandle) -> Result<()> {
        self.validate()?;
        self.entities().try_for_each(|entity| {
            connection.declare(entity).map(drop).map_err(|error| refused(&entity, error))
        })
    }
}

fn validate(entity: Declare<'_>) -> Result<()> {
    if let Declare::Queue(queue) = entity {
        if queue.name.is_empty() {
            return Err(Error::invalid("queue", "", "a name of 1 to 255 bytes"));
        }
        queue.validate_delayed_length()?;
    }
    entity.validate()
}

fn refused(entity: &Declare<'_>, error: Error) -> Error {
    Error::Declaration { entity: name_of(entity), source: Arc::new(error) }
}

/// Returns the kind and the name of an entity, such as `queue "jobs"`.
fn name_of(entity: &Declare<'_>) -> String {
    match entity {
        Declare::Exchange(exchange) => format!("exchange {:?}", exchange.name),
        Declare::Queue(queue) => format!("queue {:?}", queue.name),
        Declare::Binding(binding) => {
            let destination = match &binding.destination {
                Destination::Queue(name) => format!("queue {name:?}"),
                Destination::Exchange(name) => format!("exchange {name:?}"),
            };
            format!(
                "binding of {destination} to exchange {:?} with routing key {:?}",
                binding.source, binding.routing_key
            )
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn prices() -> Topology {
        Topology::new()
            .exchange(Exchange::topic("prices").alternate_exchange("unrouted"))
            .exchange(Exchange::fanout("unrouted"))
            .queue(Queue::new("usd-prices").quorum().max_length(10))
            .binding(Binding::queue("prices", "usd-prices", "usd.#"))
            .binding(Binding::exchange("prices", "unrouted", "").argument("n", 1))
    }

    #[test]
    fn topology_survives_json_and_toml() {
        let json = serde_json::to_string(&prices()).unwrap();
        assert_eq!(serde_json::from_str::<Topology>(&json).unwrap(), prices());
        let toml = toml::to_string(&prices()).unwrap();
        assert_eq!(toml::from_str::<Topology>(&toml).unwrap(), prices());
        assert_eq!(serde_json::from_str::<Topology>("{}").unwrap(), Topology::new());
    }

    #[test]
    fn topology_with_misspelt_field_is_refused() {
        let error = serde_json::from_str::<Topology>(r#"{"queue": []}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `queue`"), "{error}");
        let error = serde_json::from_str::<Topology>(r#"{"queues": [{"durable": true}]}"#);
        assert!(error.unwrap_err().to_string().contains("name"));
    }

    #[test]
    fn topology_with_invalid_entity_names_it() {
        let long = "x".repeat(300);
        let cases = [
            (Topology::new().queue(""), "queue \"\""),
            (Topology::new().exchange("first").queue(&*long), "queue \"xxx"),
            (
                Topology::new().binding(Binding::queue("prices", "jobs", &*long)),
                "binding of queue \"jobs\" to exchange \"prices\" with routing key \"xxx",
            ),
        ];
        for (topology, name) in cases {
            let error = topology.validate().unwrap_err();
            assert!(
                matches!(&error, Error::Declaration { entity, .. } if entity.starts_with(name))
            );
            assert!(error.to_string().len() < 900, "{error}");
        }
    }
}
