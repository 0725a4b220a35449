//! `carrot topology export`.

use std::collections::HashSet;

use carrot::message::Headers;
use carrot::topology::{Destination, Topology};
use carrot::{Binding, Exchange, Queue};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::broker_arguments::BrokerArguments;
use crate::escaping;
use crate::exit::{CommandFailure, Result};
use crate::management::ManagementClient;
use crate::printing::print_line;

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Form of the output. The definitions are those of RabbitMQ, which imports them, with its
    /// policies, and without users, permissions and parameters
    #[arg(long, default_value = "toml")]
    format: ExportFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExportFormat {
    Toml,
    Json,
    Definitions,
}

impl ExportArguments {
    pub(super) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let management = broker.management()?.ok_or_else(|| {
            CommandFailure::input(
                "AMQP cannot list a topology: give the URL of RabbitMQ's management API with \
                 --management",
            )
        })?;
        let lists = listed(&management)?;
        if matches!(self.format, ExportFormat::Definitions) {
            let definitions = management.definitions()?;
            let kept = ["rabbit_version", "policies"]
                .map(|name| (name.to_string(), definitions.get(name).cloned().unwrap_or_default()));
            let lists: Map<_, _> = kept.into_iter().chain(lists).collect();
            return print_line(&format!("{:#}", Value::Object(lists)));
        }
        // The lists do not name their virtual host.
        let topology = Topology::from_definitions(&Value::Object(lists).to_string(), "")?;
        let text = match self.format {
            ExportFormat::Toml => as_toml(&topology)?,
            _ => as_json(&topology)?,
        };
        print_line(text.trim_end())
    }
}

/// Returns the lists of definitions with everything that AMQP can declare.
///
/// RabbitMQ's own definitions lack internal exchanges, from 4.0 on.
fn listed(management: &ManagementClient) -> Result<Map<String, Value>> {
    let exchanges = ["name", "type", "durable", "auto_delete", "internal", "arguments"];
    let queues = ["name", "durable", "auto_delete", "exclusive", "arguments"];
    let bindings = ["source", "destination", "destination_type", "routing_key", "arguments"];
    Ok(declarable(
        management.list("exchanges", &exchanges)?,
        management.list("queues", &queues)?,
        management.list("bindings", &bindings)?,
    ))
}

/// Leaves out entities of the broker and of single connections, and their bindings.
fn declarable(
    mut exchanges: Vec<Value>,
    mut queues: Vec<Value>,
    mut bindings: Vec<Value>,
) -> Map<String, Value> {
    let text = |entry: &Value, field: &str| {
        entry.get(field).and_then(Value::as_str).unwrap_or_default().to_string()
    };
    let name = |entry: &Value| text(entry, "name");
    let is_own = |name: &str| name.starts_with("amq.") || name.is_empty();
    // Those of the broker are in every virtual host, so bindings can name them.
    let all_exchanges: HashSet<_> = exchanges.iter().map(name).collect();
    exchanges.retain(|exchange| !is_own(&name(exchange)));
    queues.retain(|queue| {
        let is_exclusive = queue.get("exclusive").and_then(Value::as_bool).unwrap_or(false);
        !is_exclusive && !is_own(&name(queue))
    });
    for queue in &mut queues {
        if let Value::Object(fields) = queue {
            fields.remove("exclusive");
        }
    }
    let kept_queues: HashSet<_> = queues.iter().map(name).collect();
    bindings.retain(|binding| {
        let (source, destination) = (text(binding, "source"), text(binding, "destination"));
        let has_destination = match text(binding, "destination_type").as_str() {
            "queue" => kept_queues.contains(&destination),
            _ => all_exchanges.contains(&destination),
        };
        !source.is_empty() && all_exchanges.contains(&source) && has_destination
    });
    let lists = [("exchanges", exchanges), ("queues", queues), ("bindings", bindings)];
    lists.into_iter().map(|(name, entries)| (name.to_string(), entries.into())).collect()
}

/// The fields of a [`Topology`], without those that have their defaults.
#[derive(Serialize)]
struct ExportedTopology<'a, A> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exchanges: Vec<ExportedExchange<'a, A>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    queues: Vec<ExportedQueue<'a, A>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bindings: Vec<ExportedBinding<'a, A>>,
}

#[derive(Serialize)]
struct ExportedExchange<'a, A> {
    name: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    durable: Option<bool>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    auto_delete: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    internal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<A>,
}

#[derive(Serialize)]
struct ExportedQueue<'a, A> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    durable: Option<bool>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    auto_delete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<A>,
}

#[derive(Serialize)]
struct ExportedBinding<'a, A> {
    source: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    routing_key: &'a str,
    destination: &'a Destination,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<A>,
}

/// Selects the fields to write. `convert` brings arguments into a form whose tables stand last, as
/// TOML wants them.
fn exported<A, E>(
    topology: &Topology,
    convert: impl Fn(&Headers) -> std::result::Result<A, E>,
) -> std::result::Result<ExportedTopology<'_, A>, E> {
    let arguments = |headers: &Headers| match headers.is_empty() {
        true => Ok(None),
        false => convert(headers).map(Some),
    };
    let transient = |durable: bool| (!durable).then_some(false);
    Ok(ExportedTopology {
        exchanges: topology
            .exchanges
            .iter()
            .map(
                |Exchange {
                     name, kind, durable, auto_delete, internal, arguments: given, ..
                 }| {
                    Ok(ExportedExchange {
                        name,
                        r#type: kind.as_str(),
                        durable: transient(*durable),
                        auto_delete: *auto_delete,
                        internal: *internal,
                        arguments: arguments(given)?,
                    })
                },
            )
            .collect::<std::result::Result<_, E>>()?,
        queues: topology
            .queues
            .iter()
            .map(|Queue { name, durable, auto_delete, arguments: given, .. }| {
                Ok(ExportedQueue {
                    name,
                    durable: transient(*durable),
                    auto_delete: *auto_delete,
                    arguments: arguments(given)?,
                })
            })
            .collect::<std::result::Result<_, E>>()?,
        bindings: topology
            .bindings
            .iter()
            .map(|Binding { source, routing_key, destination, arguments: given, .. }| {
                Ok(ExportedBinding {
                    source,
                    routing_key,
                    destination,
                    arguments: arguments(given)?,
                })
            })
            .collect::<std::result::Result<_, E>>()?,
    })
}

fn as_toml(topology: &Topology) -> Result<String> {
    exported(topology, |headers| toml::Value::try_from(headers))
        .and_then(|exported| toml::to_string(&exported))
        .map_err(|error| {
            let reason = escaping::line(&error.to_string());
            CommandFailure::other(format!("TOML cannot hold an argument: {reason}: --format json"))
        })
}

fn as_json(topology: &Topology) -> Result<String> {
    exported(topology, |headers| serde_json::to_value(headers))
        .and_then(|exported| serde_json::to_string_pretty(&exported))
        .map_err(|error| CommandFailure::other(format!("the topology is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use carrot::message::Value as Argument;
    use serde_json::json;

    use super::*;

    fn topology() -> Topology {
        let nested: Headers =
            [("b", Argument::from(1)), ("a", Argument::from("x"))].into_iter().collect();
        Topology::new()
            .exchange(Exchange::topic("prices").internal().alternate_exchange("other"))
            .exchange(Exchange::new("other", carrot::ExchangeKind::from("x-own")).transient())
            .queue(
                Queue::new("odd \"name\"\n")
                    .auto_delete()
                    .argument("x-table", Argument::Table(nested))
                    .argument("x-max-length", 9)
                    .argument("x-large", i64::MAX),
            )
            .queue(Queue::new("plain"))
            .binding(Binding::queue("prices", "plain", "a.#").argument("n", 1))
            .binding(Binding::exchange("prices", "other", ""))
    }

    #[test]
    fn exported_topology_is_read_again() {
        let topology = topology();
        let toml = as_toml(&topology).unwrap();
        assert_eq!(toml::from_str::<Topology>(&toml).unwrap(), topology, "{toml}");
        let json = as_json(&topology).unwrap();
        assert_eq!(serde_json::from_str::<Topology>(&json).unwrap(), topology, "{json}");
        assert_eq!(as_toml(&Topology::new()).unwrap(), "");
    }

    #[test]
    fn exported_topology_has_no_defaults() {
        let topology = Topology::new().queue("plain");
        assert_eq!(as_toml(&topology).unwrap(), "[[queues]]\nname = \"plain\"\n");
    }

    #[test]
    fn entities_of_the_broker_and_of_connections_are_left_out() {
        let binding = |source: &str, destination: &str, kind: &str| json!({"source": source, "destination": destination, "destination_type": kind});
        let lists = declarable(
            vec![json!({"name": ""}), json!({"name": "amq.topic"}), json!({"name": "own"})],
            vec![
                json!({"name": "jobs", "exclusive": false}),
                json!({"name": "private", "exclusive": true}),
                json!({"name": "amq.gen-x"}),
            ],
            vec![
                binding("", "jobs", "queue"),
                binding("amq.topic", "jobs", "queue"),
                binding("own", "amq.topic", "exchange"),
                binding("own", "private", "queue"),
                binding("own", "amq.gen-x", "queue"),
                binding("own", "gone", "exchange"),
                binding("gone", "jobs", "queue"),
            ],
        );
        assert_eq!(lists["exchanges"], json!([{"name": "own"}]));
        assert_eq!(lists["queues"], json!([{"name": "jobs"}]));
        let kept = [binding("amq.topic", "jobs", "queue"), binding("own", "amq.topic", "exchange")];
        assert_eq!(lists["bindings"], json!(kept));
    }
}
