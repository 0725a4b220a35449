//! `carrot peek`.

use carrot::Queue;
use clap::Args;

use crate::broker_arguments::BrokerArguments;
use crate::commands::consume::print_message;
use crate::exit::Result;
use crate::interrupt::Interrupt;
use crate::printing::counted;

/// Prints the messages at the head of a queue, and requeues them.
///
/// AMQP cannot look without taking: the messages are marked as redelivered, other consumers miss
/// them meanwhile, and they count against the delivery limit of a quorum queue of RabbitMQ
/// before 4.3.
#[derive(Debug, Args)]
pub(crate) struct PeekArguments {
    /// Name of the queue
    queue: String,
    /// The most messages to print
    #[arg(long, short = 'n', default_value = "10")]
    count: u32,
}

impl PeekArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let interrupt = Interrupt::install()?;
        let connection = broker.connect()?;
        let consumer = connection.consumer(Queue::existing(&self.queue)).build()?;
        let mut held = Vec::new();
        let mut printed = Ok(());
        for message in consumer.fetch_all() {
            let message = message?;
            printed = print_message(&message, broker.json);
            held.push(message);
            let is_enough = held.len() as u64 >= u64::from(self.count);
            if is_enough || printed.is_err() || interrupt.is_wanted() {
                break;
            }
        }
        let number = held.len() as u64;
        // In their order, which quorum queues and ActiveMQ keep then.
        for message in held {
            message.requeue()?;
        }
        consumer.close()?;
        connection.close()?;
        if number > 0 {
            let requeued = counted(number, "message");
            note!("carrot: requeued {requeued}, now marked as redelivered");
        }
        printed
    }
}
