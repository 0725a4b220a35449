//! `carrot declare`.

use carrot::{Exchange, ExchangeKind, Queue};
use clap::{Args, Subcommand, ValueEnum};

use crate::broker_arguments::BrokerArguments;
use crate::exit::Result;
use crate::message_arguments::{NamedValue, entity_name, named_value};

/// Declares a queue or an exchange. Fails with exit code 5 if it exists with other properties.
#[derive(Debug, Args)]
pub(crate) struct DeclareArguments {
    #[command(subcommand)]
    entity: DeclaredEntity,
}

#[derive(Debug, Subcommand)]
enum DeclaredEntity {
    /// Declares a queue
    Queue {
        /// Name of the queue
        #[arg(value_parser = entity_name)]
        name: String,
        /// Type of the queue. Defaults to that of the virtual host
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<DeclaredQueueKind>,
        /// The queue ends with the broker
        #[arg(long)]
        transient: bool,
        /// The queue is deleted with its last consumer
        #[arg(long)]
        auto_delete: bool,
        /// Argument of the queue: NAME=TEXT, or NAME:=JSON
        #[arg(long = "argument", value_name = "NAME=VALUE", value_parser = named_value)]
        arguments: Vec<NamedValue>,
    },
    /// Declares an exchange
    Exchange {
        /// Name of the exchange
        #[arg(value_parser = entity_name)]
        name: String,
        /// direct, fanout, topic, headers, or the type of a plug-in
        #[arg(long = "type", value_name = "TYPE", default_value = "direct")]
        kind: String,
        /// The exchange ends with the broker
        #[arg(long)]
        transient: bool,
        /// The exchange is deleted with its last binding
        #[arg(long)]
        auto_delete: bool,
        /// Only other exchanges can publish to it
        #[arg(long)]
        internal: bool,
        /// Argument of the exchange: NAME=TEXT, or NAME:=JSON
        #[arg(long = "argument", value_name = "NAME=VALUE", value_parser = named_value)]
        arguments: Vec<NamedValue>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DeclaredQueueKind {
    Classic,
    Quorum,
    Stream,
}

impl DeclareArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let connection = broker.connect()?;
        match &self.entity {
            DeclaredEntity::Queue { name, kind, transient, auto_delete, arguments } => {
                let mut queue = Queue::new(name);
                queue = match kind {
                    None => queue,
                    Some(DeclaredQueueKind::Classic) => queue.classic(),
                    Some(DeclaredQueueKind::Quorum) => queue.quorum(),
                    Some(DeclaredQueueKind::Stream) => queue.stream(),
                };
                if *transient {
                    queue = queue.transient();
                }
                if *auto_delete {
                    queue = queue.auto_delete();
                }
                for argument in arguments {
                    queue = queue.argument(argument.name.as_str(), argument.value.clone());
                }
                connection.declare_queue(queue)?;
            }
            DeclaredEntity::Exchange {
                name,
                kind,
                transient,
                auto_delete,
                internal,
                arguments,
            } => {
                let mut exchange = Exchange::new(name, ExchangeKind::from(kind.as_str()));
                if *transient {
                    exchange = exchange.transient();
                }
                if *auto_delete {
                    exchange = exchange.auto_delete();
                }
                if *internal {
                    exchange = exchange.internal();
                }
                for argument in arguments {
                    exchange = exchange.argument(argument.name.as_str(), argument.value.clone());
                }
                connection.declare_exchange(exchange)?;
            }
        }
        Ok(())
    }
}
