//! `carrot purge`.

use std::io::{IsTerminal, Write};

use carrot::Queue;
use clap::Args;

use crate::broker_arguments::BrokerArguments;
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;
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
        let interrupt = Interrupt::install()?;
        let mut entries = Vec::new();
        let mut done = Ok(());
        for queue in &self.queues {
            if interrupt.is_wanted() {
                done =
                    Err(CommandFailure::interrupted("interrupted: the other queues are as before"));
                break;
            }
            match connection.purge_queue(queue) {
                Ok(purged) => entries.push(vec![queue.as_str().into(), purged.into()]),
                Err(error) => {
                    done = Err(error.into());
                    break;
                }
            }
        }
        if !entries.is_empty() {
            print_entries(broker.json, &["queue", "purged"], &entries)?;
        }
        done
    }

    fn ask(&self, ready: &[u32]) -> Result<()> {
        let input = std::io::stdin();
        if !input.is_terminal() {
            return Err(CommandFailure::input(
                "purge deletes messages: it needs --yes without a terminal",
            ));
        }
        for (queue, ready) in self.queues.iter().zip(ready) {
            note!("{queue}: {ready} ready messages");
        }
        let mut errors = std::io::stderr().lock();
        write!(errors, "Delete them? [y/N] ")?;
        errors.flush()?;
        drop(errors);
        let mut answer = String::new();
        input.read_line(&mut answer)?;
        if answer.trim().eq_ignore_ascii_case("y") {
            return Ok(());
        }
        Err(CommandFailure::other("nothing was deleted"))
    }
}
