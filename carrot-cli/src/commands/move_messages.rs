//! `carrot move`.

use std::time::Duration;

use carrot::config::Credentials;
use carrot::{Connection, ConnectionOptions, Consumer, Message, Publisher, Queue};
use clap::{ArgGroup, Args};
use indicatif::ProgressBar;

use crate::attended::attend;
use crate::broker_arguments::BrokerArguments;
use crate::commands::held_messages::HeldMessages;
use crate::commands::move_back::{GoingBack, Taken, origin};
use crate::commands::move_result::MoveResult;
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;
use crate::message_arguments::{NamedValue, named_value};
use crate::plain_json::is_equal_header;
use crate::progress;

const EXAMPLES: &str = "\
Examples:
  carrot move jobs.failed --back                   show where the messages came from
  carrot move jobs.failed --back --trust-headers   move them there
  carrot move jobs.failed --to jobs -n 10          move ten to a queue of your choice";

/// Moves messages to another queue, or dead letters back to the queues where they came from.
///
/// Each message is confirmed by the broker in its new queue before it is acknowledged in the old
/// one. A move that was ended can be run again; a message can be doubled then, and none is lost.
/// --to keeps body and properties, except the name of another user, which brokers refuse.
#[derive(Debug, Clone, Args)]
#[command(
    group = ArgGroup::new("destination").required(true).args(["to", "back"]),
    after_help = EXAMPLES
)]
pub(crate) struct MoveArguments {
    /// Queue that has the messages
    from: String,
    /// Queue that gets them
    #[arg(long, value_name = "QUEUE")]
    to: Option<String>,
    /// Move dead letters and parked messages back. Their headers name the queues: the command
    /// shows them, and moves nothing without --trust-headers
    #[arg(long)]
    back: bool,
    /// Move to the queues that the headers name. Every publisher can write such headers
    #[arg(long, requires = "back", conflicts_with = "to")]
    trust_headers: bool,
    /// Show the messages that would be moved, and move none. Holds all messages meanwhile
    #[arg(long)]
    dry_run: bool,
    /// Hold at most this many MiB of messages until the end: those that stay in their queue, and
    /// all with --dry-run. A message counts with its properties and 256 bytes more. The command
    /// ends with a report when the limit is reached, because a requeued message is delivered
    /// again first
    #[arg(long, value_name = "MIB", default_value = "64",
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_held: u32,
    /// The most messages to move. Looks at those that are in the queue at the beginning
    #[arg(long, short = 'n')]
    count: Option<u64>,
    /// Only messages with this routing key
    #[arg(long, value_name = "KEY")]
    if_routing_key: Option<String>,
    /// Only messages with this header: NAME=TEXT, or NAME:=JSON. Numbers are compared by value,
    /// whichever type they have on the wire. Can be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = named_value)]
    if_header: Vec<NamedValue>,
    /// Only dead letters of this queue
    #[arg(long, value_name = "QUEUE")]
    if_died_in: Option<String>,
}

impl MoveArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        if self.to.as_ref() == Some(&self.from) {
            return Err(CommandFailure::input("--to is the queue that has the messages"));
        }
        let interrupt = Interrupt::install()?;
        let options = broker.options()?;
        let user = user_of(&options);
        let connection = interrupt.connecting(|| Ok(carrot::connect(options)?))?;
        let moved = MoveResult::default();
        let progress = progress::bar(0);
        let work = Moving {
            arguments: self.clone(),
            connection,
            user,
            timeout: broker.timeout,
            interrupt: interrupt.clone(),
            progress: progress.clone(),
            moved: moved.clone(),
        };
        let ended = attend("carrot-move", &interrupt, || moved.progress(), move || work.run())?;
        progress.finish_and_clear();
        let numbers = moved.numbers();
        let only_shows = self.only_shows();
        numbers.report(broker.json, only_shows, matches!(ended, Some(Ok(()))))?;
        let Some(done) = ended else {
            return Err(CommandFailure::interrupted(match only_shows {
                true => "interrupted: the broker does not answer: the messages are requeued",
                false => {
                    "interrupted: the broker does not answer: the rest stays in its queue, and the \
                     last messages may be in both"
                }
            }));
        };
        done?;
        if interrupt.is_wanted() {
            return Err(CommandFailure::interrupted("interrupted: the rest stays in its queue"));
        }
        if only_shows && !self.dry_run {
            return Err(CommandFailure::input(
                "nothing was moved: the queues are those that headers name, which every publisher \
                 can write; --trust-headers moves the messages there, --to to a queue of your choice",
            ));
        }
        if only_shows { Ok(()) } else { numbers.check() }
    }

    /// Whether no message is moved.
    fn only_shows(&self) -> bool {
        self.dry_run || (self.back && !self.trust_headers)
    }

    /// Whether --count messages were moved, or would be.
    fn is_enough(&self, moved: &MoveResult) -> bool {
        self.count.is_some_and(|count| moved.moved() >= count)
    }

    /// The messages that the progress counts: those that are looked at.
    fn bar_length(&self, looks: u64) -> u64 {
        let chooses = self.if_routing_key.is_some()
            || self.if_died_in.is_some()
            || !self.if_header.is_empty();
        if chooses { looks } else { self.count.unwrap_or(u64::MAX).min(looks) }
    }

    fn is_meant(&self, message: &Message) -> bool {
        let has_key = self.if_routing_key.as_ref().is_none_or(|key| message.routing_key() == key);
        let mut headers = self.if_header.iter();
        let died_in = |queue: &String| message.deaths().iter().any(|death| death.queue == *queue);
        has_key
            && headers.all(|header| {
                message
                    .header(&header.name)
                    .is_some_and(|value| is_equal_header(value, &header.value))
            })
            && self.if_died_in.as_ref().is_none_or(died_in)
    }
}

/// The work of a move, for a thread of its own.
struct Moving {
    arguments: MoveArguments,
    connection: Connection,
    user: Option<String>,
    /// For the confirm of each message.
    timeout: Duration,
    interrupt: Interrupt,
    progress: ProgressBar,
    moved: MoveResult,
}

impl Moving {
    /// Moves the messages, and requeues those that stay.
    fn run(&self) -> Result<()> {
        let from = &self.arguments.from;
        let ready = self.connection.declare_queue(Queue::existing(from))?.message_count;
        let consumer = self.connection.consumer(Queue::existing(from)).build()?;
        self.moved.begin(ready.into());
        let mut held = HeldMessages::new((self.arguments.max_held as usize) << 20);
        let done = if self.arguments.only_shows() {
            self.show(&consumer, ready.into(), &mut held)
        } else {
            self.move_messages(&consumer, ready.into(), &mut held)
        };
        let requeued = held.requeue(|| self.moved.requeue());
        done.and(requeued)?;
        consumer.close()?;
        Ok(self.connection.close()?)
    }

    /// Whether to look at another one of `left` messages.
    fn continues(&self, left: u64, held: &HeldMessages) -> bool {
        if left == 0 || self.interrupt.is_wanted() || self.arguments.is_enough(&self.moved) {
            return false;
        }
        if held.is_full() {
            self.moved.fill();
            return false;
        }
        true
    }

    /// Counts where the messages would go, and holds them. Looks at `left` messages: those that
    /// come meanwhile, or come back, do not make the move endless.
    fn show(&self, consumer: &Consumer, mut left: u64, held: &mut HeldMessages) -> Result<()> {
        while self.continues(left, held) {
            let Some(message) = consumer.fetch()? else { break };
            let queue = self.arguments.to.clone().or_else(|| origin(&message));
            if let Some(queue) = queue.filter(|_| self.arguments.is_meant(&message)) {
                self.moved.count(queue);
            }
            self.moved.hold(message, held);
            self.moved.look();
            left -= 1;
        }
        Ok(())
    }

    fn move_messages(
        &self,
        consumer: &Consumer,
        mut left: u64,
        held: &mut HeldMessages,
    ) -> Result<()> {
        let publisher = match &self.arguments.to {
            Some(queue) => {
                self.connection.declare_queue(Queue::existing(queue))?;
                let publisher = self.connection.publisher().send_timeout(self.timeout);
                Some(publisher.routing_key(queue).mandatory().build()?)
            }
            None => None,
        };
        let mut way = match &publisher {
            Some(publisher) => Way::Copying(Copying { publisher, user: self.user.clone() }),
            None => Way::Back(GoingBack::new(&self.connection)),
        };
        self.progress.set_length(self.arguments.bar_length(left));
        while self.continues(left, held) {
            let Some(message) = consumer.fetch()? else { break };
            match (&mut way, &self.arguments.to) {
                _ if !self.arguments.is_meant(&message) => self.moved.hold(message, held),
                (Way::Copying(copies), Some(queue)) => {
                    copies.send(&message)?;
                    message.ack()?;
                    self.moved.count(queue.clone());
                }
                (Way::Back(back), _) => {
                    if back.take(message, held, &self.moved)? == Taken::ComesAgain {
                        continue;
                    }
                }
                _ => self.moved.hold(message, held),
            }
            self.moved.look();
            self.progress.inc(1);
            left -= 1;
        }
        Ok(())
    }
}

/// How messages are moved.
enum Way<'a> {
    Copying(Copying<'a>),
    Back(GoingBack<'a>),
}

/// Copies of messages for the queue of a publisher.
struct Copying<'a> {
    publisher: &'a Publisher,
    user: Option<String>,
}

impl Copying<'_> {
    /// Sends the same message, and waits for the confirm.
    fn send(&self, message: &Message) -> Result<()> {
        let mut properties = message.properties().clone();
        // RabbitMQ refuses the name of another user.
        if properties.user_id() != self.user.as_deref() {
            properties = properties.without_user_id();
        }
        let copy = self.publisher.message().without_message_id().properties(|_| properties);
        Ok(copy.send_bytes(message.body())?)
    }
}

/// Returns the user who sends the copies, if known.
fn user_of(options: &ConnectionOptions) -> Option<String> {
    match &options.credentials {
        Credentials::Plain { user, .. } => Some(user.clone()),
        _ => None,
    }
}
