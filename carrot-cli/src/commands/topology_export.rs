//! `carrot topology export`.

use carrot::message::Headers;
use carrot::topology::{Destination, Topology};
use carrot::{Binding, Exchange, Queue};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use crate::broker_arguments::BrokerArguments;
use crate::commands::topology_lists::{leading_to, listed};
use crate::escaping;
use crate::exit::{CommandFailure, Result};
use crate::inspection_arguments::NEEDS_INSPECTION;
use crate::printing::print_line;
use crate::queue_listing::named_queues;

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Patterns of queues: * stands for any text, ? for one character. Exports only these, the
    /// bindings that lead to them, and the exchanges of these bindings. Without --management and
    /// --control: names of queues, which are exported without their arguments and bindings
    queues: Vec<String>,
    /// Form of the output. The definitions are those of RabbitMQ, which imports them, with its
    /// policies, and without users, permissions and parameters
    #[arg(long, default_value = "toml")]
    format: ExportFormat,
    /// Export all virtual hosts that the user sees. Needs --format definitions, the only form that
    /// names virtual hosts
    #[arg(long)]
    all_vhosts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum ExportFormat {
    Toml,
    Json,
    Definitions,
}

impl ExportArguments {
    pub(super) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let is_definitions = self.format == ExportFormat::Definitions;
        if self.all_vhosts && !is_definitions {
            return Err(CommandFailure::input(
                "--all-vhosts: neither toml nor json names virtual hosts: --format definitions does",
            ));
        }
        let Some(inspection) = broker.inspection()? else { return self.export_named(broker) };
        let scope = broker.vhosts(self.all_vhosts)?;
        let lists = leading_to(listed(&*inspection, &scope)?, &self.queues);
        if is_definitions {
            let mut definitions = inspection.definitions(&scope)?;
            definitions.extend(lists);
            let definitions = format!("{:#}", Value::Object(definitions));
            return print_line(&escaping::json(&definitions));
        }
        // The lists do not name their virtual host.
        let topology = Topology::from_definitions(&Value::Object(lists).to_string(), "")?;
        self.print(&topology)
    }

    /// Exports the named queues without an interface for listings.
    fn export_named(&self, broker: &BrokerArguments) -> Result<()> {
        if self.queues.is_empty() || self.format == ExportFormat::Definitions {
            let text =
                format!("the protocol of the broker cannot list a topology: {NEEDS_INSPECTION}");
            return Err(CommandFailure::input(text));
        }
        named_queues(&broker.connect()?, &self.queues)?;
        let queues = self.queues.iter().map(Queue::new);
        self.print(&queues.fold(Topology::new(), Topology::queue))?;
        note!("carrot: only names, because AMQP lists no arguments and no bindings");
        Ok(())
    }

    fn print(&self, topology: &Topology) -> Result<()> {
        let text = match self.format {
            ExportFormat::Toml => as_toml(topology)?,
            _ => as_json(topology)?,
        };
        // The strings of TOML have the escapes of JSON.
        print_line(&escaping::json(text.trim_end()))
    }
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
            CommandFailure::other(format!("TOML cannot hold an argument: {error}: --format json"))
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
}
