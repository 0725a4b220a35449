//! `carrot count`.

use carrot::Queue;
use clap::Args;

use crate::broker_arguments::BrokerArguments;
use crate::exit::Result;
use crate::printing::print_entries;

/// Prints how many messages are ready in queues, and how many consumers each has.
#[derive(Debug, Args)]
pub(crate) struct CountArguments {
    /// Names of the queues
    #[arg(required = true)]
    queues: Vec<String>,
}

impl CountArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let connection = broker.connect()?;
        let mut entries = Vec::new();
        for queue in &self.queues {
            let info = connection.declare_queue(Queue::existing(queue))?;
            entries.push(vec![
                queue.as_str().into(),
                info.message_count.into(),
                info.consumer_count.into(),
            ]);
        }
        print_entries(broker.json, &["queue", "ready", "consumers"], &entries)
    }
}
