//! `carrot purge`.

use std::io::{IsTerminal, Write};

use carrot::Queue;
use clap::Args;

use crate::broker_arguments::BrokerArguments;
use crate::escaping;
use crate::exit::{CommandFailure, Result};
use crate::printing::print_entries;

/// Deletes the ready messages of queues.
#[derive(Debug, Args)]
pub(crate) struct PurgeArguments {
    /// Names of the queues
    #[arg(required = true)]
    queues: Vec<String>,
    /// Do not ask. Needed if the input is no terminal
    #[arg(long)]
    yes: bool,
}

impl PurgeArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let connection = broker.connect()?;
        let mut ready = Vec::new();
        for queue in &self.queues {
            ready.push(connection.declare_queue(Queue::existing(queue))?.message_count);
        }
        if !self.yes {
            self.ask(&ready)?;
        }
        let mut entries = Vec::new();
        for queue in &self.queues {
            let purged = connection.purge_queue(queue)?;
            entries.push(vec![queue.as_str().into(), purged.into()]);
        }
        print_entries(broker.json, &["queue", "purged"], &entries)
    }

    fn ask(&self, ready: &[u32]) -> Result<()> {
        let input = std::io::stdin();
        if !input.is_terminal() {
            return Err(CommandFailure::input(
                "purge deletes messages: it needs --yes without a terminal",
            ));
        }
        for (queue, ready) in self.queues.iter().zip(ready) {
            eprintln!("{}: {ready} ready messages", escaping::line(queue));
        }
        eprint!("Delete them? [y/N] ");
        std::io::stderr().flush()?;
        let mut answer = String::new();
        input.read_line(&mut answer)?;
        if answer.trim().eq_ignore_ascii_case("y") {
            return Ok(());
        }
        Err(CommandFailure::other("nothing was deleted"))
    }
}
