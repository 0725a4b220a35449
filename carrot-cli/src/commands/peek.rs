//! `carrot peek`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use carrot::backend::Content;
use carrot::consume::StreamOffset;
use carrot::{Connection, Consumer, Error, Message, Queue};
use clap::Args;

use crate::attended::attend;
use crate::broker_arguments::BrokerArguments;
use crate::commands::printed_message::{note_unreadable, print_message};
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;
use crate::printing::counted;

/// The bytes of bodies after which no message is taken.
const MOST_BYTES: usize = 64 << 20;
/// How long the next message of a stream may take. A stream does not say that it has no more.
const STREAM_WAIT: Duration = Duration::from_secs(1);
/// The most messages of a stream that the broker sends ahead.
const STREAM_PREFETCH: u16 = 100;
/// The reply code of RabbitMQ for a fetch from a stream.
const NOT_IMPLEMENTED: u16 = 540;

/// Prints the messages at the head of a queue. Requeues them first.
///
/// AMQP cannot look without taking: the messages are marked as redelivered, other consumers miss
/// them meanwhile, and they count against the delivery limit of a quorum queue of RabbitMQ
/// before 4.3. A stream is read from its first message, and keeps all. RabbitMQ closes the first
/// connection over a look at a stream, and logs that.
#[derive(Debug, Clone, Args)]
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
        let connection = interrupt.connecting(|| broker.connect())?;
        let taken = Arc::new(AtomicU64::new(0));
        let peek = Peek {
            arguments: self.clone(),
            connection,
            interrupt: interrupt.clone(),
            taken: Arc::clone(&taken),
        };
        let progress = || taken.load(Ordering::Acquire);
        let Some(peeked) = attend("carrot-peek", &interrupt, progress, move || peek.run())? else {
            return Err(CommandFailure::interrupted(
                "interrupted: the broker does not answer: the messages are requeued",
            ));
        };
        let peeked = peeked?;
        let number = peeked.contents.len() as u64;
        let mut contents = peeked.contents.into_iter();
        let printed = contents.try_for_each(|peeked| {
            if let Some(reason) = &peeked.unreadable {
                note_unreadable(reason, peeked.content.properties.message_id());
            }
            print_message(&peeked.content, peeked.redelivered, broker.json)
        });
        match number {
            _ if peeked.is_stream => note!("carrot: the stream keeps its messages"),
            0 => {}
            _ => {
                let requeued = counted(number, "message");
                note!("carrot: requeued {requeued}, now marked as redelivered");
            }
        }
        if peeked.is_cut {
            note!("carrot: the bodies have 64 MiB: no further message was taken");
        }
        printed?;
        if interrupt.is_wanted() {
            return Err(CommandFailure::interrupted(match peeked.is_stream {
                true => "interrupted",
                false => "interrupted: the messages were requeued",
            }));
        }
        Ok(())
    }
}

/// A message that was taken.
struct PeekedMessage {
    content: Arc<Content>,
    redelivered: bool,
    /// Why it cannot be read whole.
    unreadable: Option<String>,
}

/// The messages that were taken.
#[derive(Default)]
struct Peeked {
    contents: Vec<PeekedMessage>,
    bytes: usize,
    /// Whether the bodies have reached [`MOST_BYTES`] before --count.
    is_cut: bool,
    is_stream: bool,
}

impl Peeked {
    fn add(&mut self, message: &Message) {
        self.bytes += message.body().len();
        self.contents.push(PeekedMessage {
            content: Arc::clone(message.content()),
            redelivered: message.is_redelivered(),
            unreadable: message.unreadable().map(str::to_string),
        });
    }
}

/// The work of a look, for a thread of its own.
struct Peek {
    arguments: PeekArguments,
    connection: Connection,
    interrupt: Interrupt,
    /// The messages that were taken or requeued.
    taken: Arc<AtomicU64>,
}

impl Peek {
    fn run(&self) -> Result<Peeked> {
        let queue = Queue::existing(&self.arguments.queue);
        let consumer = self.connection.consumer(queue.clone()).build()?;
        let mut held = Vec::new();
        let mut peeked = Peeked::default();
        let fetched = self.fetch(&consumer, &mut held, &mut peeked);
        // Before they are printed, because the output can be blocked. In their order, which quorum
        // queues and ActiveMQ keep then.
        for message in held {
            message.requeue()?;
            self.step();
        }
        match fetched {
            Err(error) if error.reply_code() == Some(NOT_IMPLEMENTED) => {
                let stream = self.connection.consumer(queue).stream_offset(StreamOffset::First);
                let stream = stream.prefetch(STREAM_PREFETCH).build()?;
                peeked.is_stream = true;
                self.read(&stream, &mut peeked)?;
                stream.close()?;
            }
            fetched => {
                fetched?;
                consumer.close()?;
            }
        }
        self.connection.close()?;
        Ok(peeked)
    }

    fn step(&self) {
        self.taken.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether to take another message.
    fn continues(&self, peeked: &mut Peeked) -> bool {
        let is_over = peeked.contents.len() >= self.arguments.count as usize;
        peeked.is_cut = !is_over && peeked.bytes >= MOST_BYTES;
        !is_over && !peeked.is_cut && !self.interrupt.is_wanted()
    }

    /// Takes messages of a queue, and holds them.
    fn fetch(
        &self,
        consumer: &Consumer,
        held: &mut Vec<Message>,
        peeked: &mut Peeked,
    ) -> std::result::Result<(), Error> {
        while self.continues(peeked) {
            let Some(message) = consumer.fetch()? else { break };
            peeked.add(&message);
            held.push(message);
            self.step();
        }
        Ok(())
    }

    /// Reads messages of a stream.
    fn read(&self, stream: &Consumer, peeked: &mut Peeked) -> Result<()> {
        self.interrupt.stops(stream.stop_handle());
        let mut messages = stream.messages()?.timeout(STREAM_WAIT);
        while self.continues(peeked) {
            let Some(message) = messages.next() else { break };
            let message = message?;
            peeked.add(&message);
            message.ack()?;
            self.step();
        }
        Ok(())
    }
}
