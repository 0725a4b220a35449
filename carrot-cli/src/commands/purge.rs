//! `carrot purge`.

use std::io::{IsTerminal, Write};

use carrot::{Connection, Queue};
use clap::Args;

use crate::attended::attend;
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
            match purge(&connection, queue, &interrupt) {
                Ok(purged) => entries.push(vec![queue.as_str().into(), purged.into()]),
                Err(failure) => {
                    done = Err(failure);
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

/// Purges a queue, unless the user ends the command. Returns the number of deleted messages.
fn purge(connection: &Connection, queue: &str, interrupt: &Interrupt) -> Result<u32> {
    if interrupt.is_wanted() {
        return Err(CommandFailure::interrupted("interrupted: the other queues are as before"));
    }
    let (asked, name) = (connection.clone(), queue.to_string());
    match attend("carrot-purge", interrupt, || 0, move || asked.purge_queue(&name))? {
        Some(purged) => Ok(purged?),
        None => Err(CommandFailure::interrupted(format!(
            "interrupted: the broker does not answer: queue {queue:?} may be purged, the others \
             are as before"
        ))),
    }
}
