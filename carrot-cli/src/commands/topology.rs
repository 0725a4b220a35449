//! `carrot topology`.

use std::path::{Path, PathBuf};

use carrot::topology::Topology;
use clap::{Args, Subcommand};

use crate::broker_arguments::BrokerArguments;
use crate::commands::topology_check;
use crate::commands::topology_export::ExportArguments;
use crate::exit::{CommandFailure, Result};

/// Declares, compares or exports exchanges, queues and bindings.
///
/// The file is TOML or JSON with the lists exchanges, queues and bindings, or the definitions that
/// RabbitMQ exports.
#[derive(Debug, Args)]
pub(crate) struct TopologyArguments {
    #[command(subcommand)]
    work: Work,
}

#[derive(Debug, Subcommand)]
enum Work {
    /// Declares everything of the file. Deletes nothing
    Apply(FileArguments),
    /// Prints what differs between the file and the broker. Exit code 5 if anything differs. AMQP
    /// lists no bindings, so they are compared with --management or --control only, and so are
    /// arguments that the broker ignores
    Check(FileArguments),
    /// Prints the exchanges, queues and bindings of the virtual host. Needs --management or
    /// --control. Without the exchanges that every virtual host has, exclusive queues, and the
    /// bindings to the default exchange
    Export(ExportArguments),
}

#[derive(Debug, Args)]
struct FileArguments {
    /// File of the topology; its name ends in .toml or .json
    file: PathBuf,
}

impl TopologyArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let file = match &self.work {
            Work::Apply(FileArguments { file }) | Work::Check(FileArguments { file }) => file,
            Work::Export(arguments) => return arguments.run(broker),
        };
        let options = broker.options()?;
        let topology = read(file, &options.vhost)?;
        let connection = carrot::connect(options)?;
        if matches!(self.work, Work::Apply(_)) {
            return Ok(connection.declare_all(&topology)?);
        }
        topology_check::run(broker, &connection, &topology)
    }
}

/// Reads a topology from a file of any of the three forms.
fn read(path: &Path, vhost: &str) -> Result<Topology> {
    let failed = |reason: String| CommandFailure::input(format!("{}: {}", path.display(), reason));
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml::from_str(&text).map_err(|error| failed(error.to_string())),
        Some("json") if is_export(&text) => {
            Topology::from_definitions(&text, vhost).map_err(|error| failed(error.to_string()))
        }
        Some("json") => serde_json::from_str(&text).map_err(|error| failed(error.to_string())),
        _ => Err(failed("the name ends neither in .toml nor in .json".into())),
    }
}

/// Whether a JSON file is what RabbitMQ exports: its bindings name the type of the destination, and
/// it names releases or virtual hosts.
fn is_export(text: &str) -> bool {
    let Ok(serde_json::Value::Object(file)) = serde_json::from_str(text) else { return false };
    let own = ["exchanges", "queues", "bindings"];
    let entries = own.iter().filter_map(|list| file.get(*list)?.as_array()).flatten();
    let names_vhost = entries.clone().any(|entry| entry.get("vhost").is_some());
    let names_type = entries.clone().any(|entry| entry.get("destination_type").is_some());
    file.keys().any(|key| !own.contains(&key.as_str())) || names_vhost || names_type
}
