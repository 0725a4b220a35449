//! `carrot bench`.

mod bench_arguments;
mod bench_connections;
mod histogram;
mod plot;
mod results;
mod running;
mod watching;

use carrot::topology::DeleteIf;

pub(crate) use bench_arguments::BenchArguments;
use bench_connections::BenchConnections;
use running::Measured;

use crate::broker_arguments::BrokerArguments;
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;
use crate::printing::counted;

impl BenchArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        if let Some(path) = &self.svg {
            // A path that cannot be written is noticed before the time is spent.
            std::fs::File::create(path).map_err(|error| {
                CommandFailure::input(format!("--svg {}: {error}", path.display()))
            })?;
        }
        let interrupt = Interrupt::install()?;
        let options = broker.options()?;
        let first = interrupt.connecting(|| Ok(carrot::connect(options.clone())?))?;
        let connections = BenchConnections { first, options };
        let queue = self.queue(&connections.options);
        connections.first.declare_queue(queue.clone())?;
        note!("carrot: the queue is {}", queue.name);
        let ran = running::run(self, &connections, &queue.name, &interrupt);
        let deleted = connections.first.delete_queue(&queue.name, DeleteIf::ALWAYS);
        let mut ran = ran?;
        results::print(&ran, broker.json)?;
        if let Some(path) = &self.svg {
            std::fs::write(path, plot::svg(&ran)).map_err(|error| {
                CommandFailure::input(format!("--svg {}: {error}", path.display()))
            })?;
        }
        if let Some(failure) = ran.failure.take() {
            return Err(failure);
        }
        deleted?;
        if interrupt.is_wanted() {
            return Err(CommandFailure::interrupted(interrupted_text(&ran)));
        }
        let missing = ran.published - ran.refused.min(ran.published);
        if self.consumers > 0 && ran.received < missing {
            let text = format!("{} messages did not arrive", missing - ran.received);
            return Err(CommandFailure::not_all(text));
        }
        if ran.refused > 0 {
            let text = format!("the broker refused {} messages", ran.refused);
            return Err(CommandFailure::not_all(text));
        }
        Ok(())
    }
}

fn interrupted_text(ran: &Measured) -> String {
    let confirmed = ran.confirmed.unwrap_or(ran.published);
    let unknown = ran.published.saturating_sub(confirmed).saturating_sub(ran.refused);
    let unconfirmed = match unknown {
        0 => String::new(),
        number => format!("{} unconfirmed, ", counted(number, "message")),
    };
    format!("interrupted: {unconfirmed}the queue was deleted")
}
