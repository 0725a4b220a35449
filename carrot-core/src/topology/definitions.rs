//! Reads the definitions that RabbitMQ exports.

use serde::Deserialize;
use serde_json::Map;

use crate::error::{Error, Result};
use crate::model::{Binding, Destination, Exchange, ExchangeKind, Headers, Queue};
use crate::topology::Topology;

/// The name of the file in errors.
const FILE: &str = "definitions";

/// A file of definitions. RabbitMQ writes more than a topology holds, so other fields are skipped.
#[derive(Deserialize)]
struct Definitions {
    #[serde(default)]
    exchanges: Vec<InVhost<DefinedExchange>>,
    #[serde(default)]
    queues: Vec<InVhost<DefinedQueue>>,
    #[serde(default)]
    bindings: Vec<InVhost<DefinedBinding>>,
}

/// An entity with its virtual host, which the definitions of a single one do not name.
#[derive(Deserialize)]
struct InVhost<T> {
    vhost: Option<String>,
    #[serde(flatten)]
    entity: T,
}

#[derive(Deserialize)]
struct DefinedExchange {
    name: String,
    #[serde(rename = "type")]
    kind: ExchangeKind,
    durable: bool,
    #[serde(default)]
    auto_delete: bool,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    arguments: Headers,
}

#[derive(Deserialize)]
struct DefinedQueue {
    name: String,
    durable: bool,
    #[serde(default)]
    auto_delete: bool,
    #[serde(default)]
    arguments: Headers,
}

#[derive(Deserialize)]
struct DefinedBinding {
    source: String,
    destination: String,
    destination_type: String,
    #[serde(default)]
    routing_key: String,
    #[serde(default)]
    arguments: Headers,
}

impl Topology {
    /// Reads the exchanges, queues and bindings of one virtual host from the JSON definitions that
    /// RabbitMQ exports (`rabbitmqctl export_definitions`, `GET /api/definitions`).
    ///
    /// Reads all entities of a file that names no virtual hosts, as the export of a single one
    /// does. Skips everything that AMQP cannot declare: users, permissions, policies, parameters
    /// and limits. Arguments that a policy sets are therefore missing in the topology.
    ///
    /// # Errors
    /// - [`Error::Config`]: the text is no JSON of definitions, or names other virtual hosts only.
    ///
    /// ```
    /// use carrot::Queue;
    /// use carrot::topology::Topology;
    ///
    /// let topology = Topology::from_definitions(
    ///     r#"{
    ///         "rabbit_version": "4.3.6",
    ///         "queues": [{"name": "jobs", "vhost": "/", "durable": true, "auto_delete": false,
    ///                     "arguments": {"x-queue-type": "quorum"}}],
    ///         "exchanges": [], "bindings": []
    ///     }"#,
    ///     "/",
    /// )?;
    /// assert_eq!(topology.queues, [Queue::new("jobs").quorum()]);
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn from_definitions(json: &str, vhost: &str) -> Result<Topology> {
        let unreadable = |error: serde_json::Error| Error::config(FILE, error.to_string());
        let object: Map<String, serde_json::Value> =
            serde_json::from_str(json).map_err(unreadable)?;
        let definitions = serde_json::from_value(object.into()).map_err(unreadable)?;
        let Definitions { exchanges, queues, bindings } = definitions;
        let others = exchanges
            .iter()
            .map(|exchange| &exchange.vhost)
            .chain(queues.iter().map(|queue| &queue.vhost))
            .chain(bindings.iter().map(|binding| &binding.vhost))
            .flatten()
            .collect::<Vec<_>>();
        if let Some(other) = others.first()
            && !others.iter().any(|named| *named == vhost)
        {
            return Err(Error::config(
                FILE,
                format!("there is nothing of virtual host {vhost:?}, only of others: {other:?}"),
            ));
        }
        Ok(Topology {
            exchanges: of(vhost, exchanges).map(DefinedExchange::into_exchange).collect(),
            queues: of(vhost, queues).map(DefinedQueue::into_queue).collect(),
            bindings: of(vhost, bindings)
                .map(DefinedBinding::into_binding)
                .collect::<Result<Vec<_>>>()?,
        })
    }
}

/// Returns the entities of one virtual host.
fn of<T>(vhost: &str, entities: Vec<InVhost<T>>) -> impl Iterator<Item = T> {
    entities
        .into_iter()
        .filter(move |entity| entity.vhost.as_deref().is_none_or(|named| named == vhost))
        .map(|entity| entity.entity)
}

impl DefinedExchange {
    fn into_exchange(self) -> Exchange {
        let DefinedExchange { name, kind, durable, auto_delete, internal, arguments } = self;
        Exchange { durable, auto_delete, internal, arguments, ..Exchange::new(name, kind) }
    }
}

impl DefinedQueue {
    fn into_queue(self) -> Queue {
        let DefinedQueue { name, durable, auto_delete, arguments } = self;
        Queue { durable, auto_delete, arguments, ..Queue::new(name) }
    }
}

impl DefinedBinding {
    fn into_binding(self) -> Result<Binding> {
        let destination = match &*self.destination_type {
            "queue" => Destination::Queue(self.destination),
            "exchange" => Destination::Exchange(self.destination),
            other => {
                return Err(Error::config(
                    FILE,
                    format!(
                        "the destination type of a binding is {other:?}, not queue or exchange"
                    ),
                ));
            }
        };
        Ok(Binding {
            source: self.source,
            destination,
            routing_key: self.routing_key,
            arguments: self.arguments,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    const EXPORTED: &str = r#"{
        "rabbit_version": "3.10.8",
        "users": [{"name": "guest", "password_hash": "x", "tags": ["administrator"]}],
        "vhosts": [{"name": "/"}, {"name": "other"}],
        "policies": [{"vhost": "/", "name": "p", "pattern": ".*", "definition": {"ha-mode": "all"}}],
        "queues": [
            {"name": "jobs", "vhost": "/", "durable": true, "auto_delete": false,
             "arguments": {"x-queue-type": "quorum", "x-max-length": 10}},
            {"name": "elsewhere", "vhost": "other", "durable": false, "auto_delete": true,
             "arguments": {}}
        ],
        "exchanges": [
            {"name": "prices", "vhost": "/", "type": "topic", "durable": true,
             "auto_delete": false, "internal": true,
             "arguments": {"alternate-exchange": "unrouted"}}
        ],
        "bindings": [
            {"source": "prices", "vhost": "/", "destination": "jobs", "destination_type": "queue",
             "routing_key": "usd.#", "arguments": {}},
            {"source": "prices", "vhost": "/", "destination": "copies",
             "destination_type": "exchange", "routing_key": "", "arguments": {"n": 1}}
        ]
    }"#;

    #[test]
    fn definitions_of_a_vhost_are_read() {
        let expected = Topology::new()
            .exchange(Exchange::topic("prices").internal().alternate_exchange("unrouted"))
            .queue(Queue::new("jobs").quorum().argument("x-max-length", 10))
            .binding(Binding::queue("prices", "jobs", "usd.#"))
            .binding(Binding::exchange("prices", "copies", "").argument("n", 1));
        assert_eq!(Topology::from_definitions(EXPORTED, "/").unwrap(), expected);
        let other = Topology::from_definitions(EXPORTED, "other").unwrap();
        assert_eq!(other, Topology::new().queue(Queue::new("elsewhere").transient().auto_delete()));
    }

    #[test]
    fn definitions_without_vhosts_are_read_whole() {
        let single = r#"{"queues": [{"name": "jobs", "durable": true}]}"#;
        let topology = Topology::from_definitions(single, "any").unwrap();
        assert_eq!(topology, Topology::new().queue("jobs"));
        assert_eq!(Topology::from_definitions("{}", "/").unwrap(), Topology::new());
    }

    #[test]
    fn definitions_that_are_none_are_refused() {
        let of_no_kind = r#"{"bindings": [{"source": "a", "destination": "b",
            "destination_type": "shovel"}]}"#;
        let cases = [
            (EXPORTED, "third", "virtual host \"third\""),
            ("[]", "/", "expected a map"),
            ("not JSON", "/", "line 1"),
            (r#"{"queues": [{"durable": true}]}"#, "/", "name"),
            (of_no_kind, "/", "shovel"),
        ];
        for (json, vhost, words) in cases {
            let error = Topology::from_definitions(json, vhost).unwrap_err();
            assert!(matches!(error, Error::Config { .. }));
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
