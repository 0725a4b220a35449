//! `carrot list`.

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::broker_arguments::BrokerArguments;
use crate::exit::{CommandFailure, Result};
use crate::inspection::{EntityKind, Inspection, VhostScope, text_of};
use crate::inspection_arguments::NEEDS_INSPECTION;
use crate::name_pattern::matches_any;
use crate::printing::print_entries;
use crate::queue_listing::{ListedQueue, matching_queues, named_queues};

/// Lists the queues, exchanges, bindings or connections of a virtual host.
///
/// AMQP lists nothing, so --management has to name RabbitMQ's management API, or --control the
/// control interface of a hosted broker. Without either, the command lists the named queues only,
/// without their types and unacknowledged messages.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Kind of the entries
    #[arg(default_value = "queues", value_name = "KIND")]
    what: Listing,
    /// Patterns of names: * stands for any text, ? for one character. A binding is listed if its
    /// source or its destination matches, a connection if its name or its client does. Without
    /// --management or --control: names of queues
    names: Vec<String>,
    /// List all virtual hosts that the user sees, and name that of each entry. Needs --management
    /// or --control
    #[arg(long)]
    all_vhosts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Listing {
    Queues,
    Exchanges,
    Bindings,
    Connections,
}

/// The entities of a listing: their printed fields, and those that a pattern can match.
struct EntityFields {
    kind: EntityKind,
    printed: &'static [&'static str],
    matched: &'static [&'static str],
}

const EXCHANGES: EntityFields = EntityFields {
    kind: EntityKind::Exchanges,
    printed: &["name", "type", "durable", "auto_delete", "internal"],
    matched: &["name"],
};
const BINDINGS: EntityFields = EntityFields {
    kind: EntityKind::Bindings,
    printed: &["source", "destination", "destination_type", "routing_key", "arguments"],
    matched: &["source", "destination"],
};
const CONNECTIONS: EntityFields = EntityFields {
    kind: EntityKind::Connections,
    printed: &["name", "client", "user", "state", "channels"],
    matched: &["name", "client"],
};

impl ListArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let Some(inspection) = broker.inspection()? else { return self.by_amqp(broker) };
        let scope = broker.vhosts(self.all_vhosts)?;
        let fields = match self.what {
            Listing::Queues => {
                let queues = matching_queues(&*inspection, &scope, &self.names)?;
                return print_queues(broker, &scope, &queues);
            }
            Listing::Exchanges => &EXCHANGES,
            Listing::Bindings => &BINDINGS,
            Listing::Connections => &CONNECTIONS,
        };
        self.print(broker, &*inspection, &scope, fields)
    }

    /// Lists the queues that are named.
    fn by_amqp(&self, broker: &BrokerArguments) -> Result<()> {
        let refused = |what: &str| Err(CommandFailure::input(format!("{what}{NEEDS_INSPECTION}")));
        match self.what {
            _ if self.all_vhosts => refused("the protocol of the broker lists no virtual hosts: "),
            Listing::Queues if self.names.is_empty() => {
                refused("the protocol of the broker cannot list queues: name them, or ")
            }
            Listing::Queues => {
                let queues = named_queues(&broker.connect()?, &self.names)?;
                print_queues(broker, &broker.vhosts(false)?, &queues)?;
                note!(
                    "carrot: the protocol of the broker has neither types nor unacknowledged messages: \
                     --management and --control have"
                );
                Ok(())
            }
            _ => refused(
                "the protocol of the broker cannot list exchanges, bindings or connections: ",
            ),
        }
    }

    /// Prints the entries one of whose `matched` fields matches.
    fn print(
        &self,
        broker: &BrokerArguments,
        inspection: &dyn Inspection,
        scope: &VhostScope,
        fields: &EntityFields,
    ) -> Result<()> {
        let EntityFields { kind, printed, matched } = fields;
        let columns: Vec<_> = printed.iter().map(|field| column_of(field)).collect();
        let mut entries = inspection.list(scope, *kind, &columns)?;
        // Every queue has a binding to the default exchange, which AMQP can neither add nor delete.
        entries
            .retain(|entry| *kind != EntityKind::Bindings || !text_of(entry, "source").is_empty());
        entries.retain(|entry| {
            let mut texts = matched.iter().map(|field| text_of(entry, column_of(field)));
            texts.any(|text| matches_any(&self.names, text))
        });
        let printed: Vec<_> = vhost_column(scope).chain(printed.iter().copied()).collect();
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| printed.iter().map(|field| field_of(entry, field)).collect())
            .collect();
        print_entries(broker.json, &printed, &entries)
    }
}

/// The column of the virtual host, if all are listed.
fn vhost_column(scope: &VhostScope) -> impl Iterator<Item = &'static str> {
    matches!(scope, VhostScope::All).then_some("vhost").into_iter()
}

/// The name of a field in the management API.
fn column_of(field: &str) -> &str {
    if field == "client" { "user_provided_name" } else { field }
}

/// A field of an entry, or null.
fn field_of(entry: &Value, field: &str) -> Value {
    entry.get(column_of(field)).cloned().unwrap_or_default()
}

fn print_queues(
    broker: &BrokerArguments,
    scope: &VhostScope,
    queues: &[ListedQueue],
) -> Result<()> {
    let fields = ["name", "type", "ready", "unacknowledged", "consumers"];
    let fields: Vec<_> = vhost_column(scope).chain(fields).collect();
    let entries: Vec<_> = queues
        .iter()
        .map(|queue| {
            let vhost = vhost_column(scope).map(|_| queue.vhost.as_deref().into());
            let own = [
                queue.name.as_str().into(),
                queue.kind.as_deref().into(),
                queue.ready.into(),
                queue.unacknowledged.into(),
                queue.consumers.into(),
            ];
            vhost.chain(own).collect()
        })
        .collect();
    print_entries(broker.json, &fields, &entries)
}
