//! `carrot move`.

use carrot::config::Credentials;
use carrot::{ConnectionOptions, Consumer, Message, Publisher, Queue};
use clap::{ArgGroup, Args};

use crate::broker_arguments::BrokerArguments;
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
#[derive(Debug, Args)]
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
    /// Show the messages that would be moved, and move none. Holds the messages meanwhile, up to
    /// 64 MiB
    #[arg(long)]
    dry_run: bool,
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
        let ready = connection.declare_queue(Queue::existing(&self.from))?.message_count;
        let consumer = connection.consumer(Queue::existing(&self.from)).build()?;
        // Messages that come meanwhile, or come back, do not make the move endless.
        let looks = u64::from(ready);
        let only_shows = self.dry_run || (self.back && !self.trust_headers);
        let mut moved = MoveResult::default();
        let done = if only_shows {
            self.show(&consumer, looks, &interrupt, &mut moved)
        } else {
            let publisher = match &self.to {
                Some(queue) => {
                    connection.declare_queue(Queue::existing(queue))?;
                    let publisher = connection.publisher().send_timeout(broker.timeout);
                    Some(publisher.routing_key(queue).mandatory().build()?)
                }
                None => None,
            };
            let mut way = match &publisher {
                Some(publisher) => Way::Copying(Copying { publisher, user }),
                None => Way::Back(GoingBack::new(&connection)),
            };
            self.move_all(&consumer, &mut way, looks, &interrupt, &mut moved)
        };
        let held = std::mem::take(&mut moved.held);
        let number = held.len();
        for message in held {
            message.requeue()?;
        }
        consumer.close()?;
        connection.close()?;
        let looked = only_shows.then_some((number as u64, looks));
        moved.report(broker.json, looked, number, done.is_ok())?;
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
        moved.check()
    }

    /// Counts where the messages would go, and holds them.
    fn show(
        &self,
        consumer: &Consumer,
        looks: u64,
        interrupt: &Interrupt,
        moved: &mut MoveResult,
    ) -> Result<()> {
        for _ in 0..looks {
            if interrupt.is_wanted() || self.is_enough(moved) || moved.is_full() {
                break;
            }
            let Some(message) = consumer.fetch()? else { break };
            let queue = self.to.clone().or_else(|| origin(&message));
            if let Some(queue) = queue.filter(|_| self.is_meant(&message)) {
                moved.count(queue);
            }
            moved.hold(message);
        }
        Ok(())
    }

    fn move_all(
        &self,
        consumer: &Consumer,
        way: &mut Way<'_>,
        mut looks: u64,
        interrupt: &Interrupt,
        moved: &mut MoveResult,
    ) -> Result<()> {
        let progress = progress::bar(self.bar_length(looks));
        while looks > 0 && !interrupt.is_wanted() && !self.is_enough(moved) {
            let Some(message) = consumer.fetch()? else { break };
            looks -= 1;
            progress.inc(1);
            match (&mut *way, &self.to) {
                _ if !self.is_meant(&message) => moved.hold(message),
                (Way::Copying(copies), Some(queue)) => {
                    copies.send(&message)?;
                    message.ack()?;
                    moved.count(queue.clone());
                }
                (Way::Back(back), _) => {
                    if back.take(message, moved)? == Taken::ComesAgain {
                        looks += 1;
                    }
                }
                _ => moved.hold(message),
            }
        }
        progress.finish_and_clear();
        Ok(())
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
