//! `carrot delete`.

use carrot::topology::DeleteIf;
use carrot::{Exchange, Queue};
use clap::{Args, Subcommand};

use crate::broker_arguments::BrokerArguments;
use crate::exit::Result;
use crate::message_arguments::entity_name;
use crate::printing::counted;

/// Deletes a queue with its messages, or an exchange. Fails with exit code 5 if it does not exist.
#[derive(Debug, Args)]
pub(crate) struct DeleteArguments {
    #[command(subcommand)]
    entity: DeletedEntity,
}

#[derive(Debug, Subcommand)]
enum DeletedEntity {
    /// Deletes a queue, and prints how many messages it held
    Queue {
        /// Name of the queue
        #[arg(value_parser = entity_name)]
        name: String,
        /// Only if no message is ready in it
        #[arg(long)]
        if_empty: bool,
        /// Only if it has no consumer
        #[arg(long)]
        if_unused: bool,
    },
    /// Deletes an exchange
    Exchange {
        /// Name of the exchange
        #[arg(value_parser = entity_name)]
        name: String,
        /// Only if nothing is bound to it
        #[arg(long)]
        if_unused: bool,
    },
}

impl DeleteArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let connection = broker.connect()?;
        match &self.entity {
            DeletedEntity::Queue { name, if_empty, if_unused } => {
                let condition = match (*if_unused, *if_empty) {
                    (false, false) => DeleteIf::ALWAYS,
                    (true, false) => DeleteIf::UNUSED,
                    (false, true) => DeleteIf::EMPTY,
                    (true, true) => DeleteIf::UNUSED_AND_EMPTY,
                };
                // Brokers delete what does not exist without an error.
                connection.declare_queue(Queue::existing(name))?;
                let messages = connection.delete_queue(name, condition)?;
                let messages = counted(messages.into(), "ready message");
                note!("carrot: the queue held {messages}");
            }
            DeletedEntity::Exchange { name, if_unused } => {
                let condition = if *if_unused { DeleteIf::UNUSED } else { DeleteIf::ALWAYS };
                connection.declare_exchange(Exchange::existing(name))?;
                connection.delete_exchange(name, condition)?;
            }
        }
        Ok(())
    }
}
