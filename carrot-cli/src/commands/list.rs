//! `carrot list`.

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::broker_arguments::BrokerArguments;
use crate::exit::{CommandFailure, Result};
use crate::management::ManagementClient;
use crate::name_pattern::matches_any;
use crate::printing::print_entries;
use crate::queue_listing::{ListedQueue, matching_queues, named_queues};

/// Lists the queues, exchanges, bindings or connections of a virtual host.
///
/// AMQP lists nothing, so --management has to name RabbitMQ's management API. Without it, the
/// command lists the named queues only, without their types and unacknowledged messages.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Kind of the entries
    #[arg(default_value = "queues", value_name = "KIND")]
    what: Listing,
    /// Patterns of names: * stands for any text, ? for one character. A binding is listed if its
    /// source or its destination matches. Without --management: names of queues
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Listing {
    Queues,
    Exchanges,
    Bindings,
    Connections,
}

impl ListArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let management = broker.management()?;
        match (self.what, management) {
            (Listing::Queues, Some(management)) => {
                print_queues(broker, &matching_queues(&management, &self.names)?)
            }
            (Listing::Queues, None) if !self.names.is_empty() => {
                let queues = named_queues(&broker.connect()?, &self.names)?;
                print_queues(broker, &queues)?;
                eprintln!(
                    "carrot: AMQP has neither types nor unacknowledged messages: --management has"
                );
                Ok(())
            }
            (Listing::Queues, None) => Err(CommandFailure::input(
                "AMQP cannot list queues: name them, or give the URL of RabbitMQ's management API \
                 with --management",
            )),
            (_, None) => Err(CommandFailure::input(
                "AMQP cannot list exchanges, bindings or connections: give the URL of RabbitMQ's \
                 management API with --management",
            )),
            (Listing::Exchanges, Some(management)) => {
                let fields = ["name", "type", "durable", "auto_delete", "internal"];
                self.print(broker, &management, "exchanges", &fields, &["name"])
            }
            (Listing::Bindings, Some(management)) => {
                let fields =
                    ["source", "destination", "destination_type", "routing_key", "arguments"];
                let matched = ["source", "destination"];
                self.print(broker, &management, "bindings", &fields, &matched)
            }
            (Listing::Connections, Some(management)) => {
                let fields = ["name", "client", "user", "state", "channels"];
                self.print(broker, &management, "connections", &fields, &["name"])
            }
        }
    }

    /// Prints the entries one of whose `matched` fields matches.
    fn print(
        &self,
        broker: &BrokerArguments,
        management: &ManagementClient,
        listing: &str,
        fields: &[&str],
        matched: &[&str],
    ) -> Result<()> {
        let text = |entry: &Value, field: &str| {
            entry.get(field).and_then(Value::as_str).unwrap_or_default().to_string()
        };
        let columns: Vec<_> = fields.iter().map(|field| column_of(field)).collect();
        let mut entries = management.list(listing, &columns)?;
        // Every queue has a binding to the default exchange, which AMQP can neither add nor delete.
        entries.retain(|entry| listing != "bindings" || !text(entry, "source").is_empty());
        entries.retain(|entry| {
            matched.iter().any(|field| matches_any(&self.names, &text(entry, field)))
        });
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| fields.iter().map(|field| field_of(entry, field)).collect())
            .collect();
        print_entries(broker.json, fields, &entries)
    }
}

/// The name of a field in the management API.
fn column_of(field: &str) -> &str {
    if field == "client" { "user_provided_name" } else { field }
}

/// A field of an entry, or null.
fn field_of(entry: &Value, field: &str) -> Value {
    entry.get(column_of(field)).cloned().unwrap_or_default()
}

fn print_queues(broker: &BrokerArguments, queues: &[ListedQueue]) -> Result<()> {
    let entries: Vec<_> = queues
        .iter()
        .map(|queue| {
            vec![
                queue.name.as_str().into(),
                queue.kind.as_deref().into(),
                queue.ready.into(),
                queue.unacknowledged.into(),
                queue.consumers.into(),
            ]
        })
        .collect();
    let fields = ["name", "type", "ready", "unacknowledged", "consumers"];
    print_entries(broker.json, &fields, &entries)
}
