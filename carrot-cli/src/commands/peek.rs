//! `carrot peek`.

use std::sync::Arc;

use carrot::{Consumer, Message, Queue};
use clap::Args;

use crate::broker_arguments::BrokerArguments;
use crate::commands::printed_message::print_message;
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;
use crate::printing::counted;

/// The bytes of bodies after which no message is taken.
const MOST_BYTES: usize = 64 << 20;

/// Prints the messages at the head of a queue. Requeues them first.
///
/// AMQP cannot look without taking: the messages are marked as redelivered, other consumers miss
/// them meanwhile, and they count against the delivery limit of a quorum queue of RabbitMQ
/// before 4.3.
#[derive(Debug, Args)]
pub(crate) struct PeekArguments {
    /// Name of the queue
    queue: String,
    /// The most messages to print. Ends earlier once their bodies have 64 MiB
    #[arg(long, short = 'n', default_value = "10")]
    count: u32,
}

impl PeekArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let interrupt = Interrupt::install()?;
        let (connection, consumer) = interrupt.connecting(|| {
            let connection = broker.connect()?;
            let consumer = connection.consumer(Queue::existing(&self.queue)).build()?;
            Ok((connection, consumer))
        })?;
        let mut held = Vec::new();
        let fetched = self.fetch(&consumer, &interrupt, &mut held);
        let contents: Vec<_> = held
            .iter()
            .map(|message| (Arc::clone(message.content()), message.is_redelivered()))
            .collect();
        // Before they are printed, because the output can be blocked. In their order, which quorum
        // queues and ActiveMQ keep then.
        for message in held {
            message.requeue()?;
        }
        let is_cut = fetched?;
        consumer.close()?;
        connection.close()?;
        let number = contents.len() as u64;
        let mut contents = contents.into_iter();
        let printed = contents.try_for_each(|(content, redelivered)| {
            print_message(&content, redelivered, broker.json)
        });
        if number > 0 {
            let requeued = counted(number, "message");
            note!("carrot: requeued {requeued}, now marked as redelivered");
        }
        if is_cut {
            note!("carrot: the bodies have 64 MiB: no further message was taken");
        }
        printed?;
        if interrupt.is_wanted() {
            return Err(CommandFailure::interrupted("interrupted: the messages were requeued"));
        }
        Ok(())
    }

    /// Takes messages. Returns whether their bodies have reached [`MOST_BYTES`] before --count.
    fn fetch(
        &self,
        consumer: &Consumer,
        interrupt: &Interrupt,
        held: &mut Vec<Message>,
    ) -> Result<bool> {
        let mut bytes = 0;
        while (held.len() as u64) < u64::from(self.count) && !interrupt.is_wanted() {
            if bytes >= MOST_BYTES {
                return Ok(true);
            }
            let Some(message) = consumer.fetch()? else { break };
            bytes += message.body().len();
            held.push(message);
        }
        Ok(false)
    }
}
