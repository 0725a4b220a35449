//! `carrot move`.

use std::collections::BTreeMap;

use carrot::config::Credentials;
use carrot::{ConnectionOptions, Consumer, Message, Publisher, Queue};
use clap::{ArgGroup, Args};
use serde_json::json;

use crate::broker_arguments::BrokerArguments;
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;
use crate::message_arguments::{NamedValue, named_value};
use crate::plain_json::is_equal_header;
use crate::printing::{print_entries, print_json, print_line};
use crate::progress;

/// The messages that are looked at, to show where they came from.
const SHOWN: u64 = 1000;

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
    /// Show the messages that would be moved, and move none
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

/// The result of a move.
#[derive(Default)]
struct Moved {
    by_queue: BTreeMap<String, u64>,
    skipped: Vec<Message>,
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
        let mut moved = Moved::default();
        let done = if only_shows {
            self.show(&consumer, looks.min(SHOWN), &mut moved)
        } else {
            let publisher = match &self.to {
                Some(queue) => {
                    connection.declare_queue(Queue::existing(queue))?;
                    let publisher = connection.publisher().send_timeout(broker.timeout);
                    Some(publisher.routing_key(queue).mandatory().build()?)
                }
                None => None,
            };
            let copies = publisher.as_ref().map(|publisher| Copying { publisher, user });
            self.move_all(&consumer, copies.as_ref(), looks, &interrupt, &mut moved)
        };
        let skipped = moved.skipped.len();
        for message in moved.skipped {
            message.requeue()?;
        }
        consumer.close()?;
        connection.close()?;
        report(broker.json, only_shows, &moved.by_queue, skipped)?;
        done?;
        if only_shows && !self.dry_run {
            return Err(CommandFailure::input(
                "nothing was moved: the queues are those that headers name, which every publisher \
                 can write; --trust-headers moves the messages there, --to to a queue of your choice",
            ));
        }
        if interrupt.is_wanted() {
            return Err(CommandFailure::interrupted("interrupted: the rest stays in its queue"));
        }
        Ok(())
    }

    /// Counts where the messages would go, and holds them.
    fn show(&self, consumer: &Consumer, looks: u64, moved: &mut Moved) -> Result<()> {
        for _ in 0..looks {
            if self.is_enough(moved) {
                break;
            }
            let Some(message) = consumer.fetch()? else { break };
            if self.is_meant(&message) {
                let queue = match &self.to {
                    Some(queue) => queue.clone(),
                    None => origin(&message).unwrap_or_else(|| "(unknown)".into()),
                };
                *moved.by_queue.entry(queue).or_default() += 1;
            }
            moved.skipped.push(message);
        }
        Ok(())
    }

    fn move_all(
        &self,
        consumer: &Consumer,
        copies: Option<&Copying<'_>>,
        looks: u64,
        interrupt: &Interrupt,
        moved: &mut Moved,
    ) -> Result<()> {
        let progress = progress::bar(self.bar_length(looks));
        for _ in 0..looks {
            if interrupt.is_wanted() || self.is_enough(moved) {
                break;
            }
            let Some(message) = consumer.fetch()? else { break };
            progress.inc(1);
            if !self.is_meant(&message) {
                moved.skipped.push(message);
                continue;
            }
            let queue = match (copies, &self.to) {
                (Some(copies), Some(queue)) => {
                    copies.send(&message)?;
                    message.ack()?;
                    queue.clone()
                }
                _ => {
                    let Some(queue) = origin(&message) else {
                        moved.skipped.push(message);
                        continue;
                    };
                    message.forward()?;
                    queue
                }
            };
            *moved.by_queue.entry(queue).or_default() += 1;
        }
        progress.finish_and_clear();
        Ok(())
    }

    /// Whether --count messages were moved, or would be.
    fn is_enough(&self, moved: &Moved) -> bool {
        self.count.is_some_and(|count| moved.by_queue.values().sum::<u64>() >= count)
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

/// Returns the queue that the headers name: that of a parked message, or of the latest death.
fn origin(message: &Message) -> Option<String> {
    let parked = message.header("carrot-queue").and_then(|queue| queue.as_str());
    let dead = || message.deaths().first().map(|death| death.queue.clone());
    parked.map(str::to_string).or_else(dead)
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

fn report(json: bool, would: bool, by_queue: &BTreeMap<String, u64>, kept: usize) -> Result<()> {
    if json {
        let done = if would { "would_move" } else { "moved" };
        return print_json(&json!({ done: by_queue, "kept": kept }));
    }
    let name = if would { "would_move" } else { "moved" };
    let entries: Vec<_> = by_queue
        .iter()
        .map(|(queue, number)| vec![queue.as_str().into(), (*number).into()])
        .collect();
    if entries.is_empty() {
        return print_line("no message was meant");
    }
    print_entries(false, &["to_queue", name], &entries)?;
    if !would && kept > 0 {
        note!("carrot: {kept} messages stay in their queue");
    }
    Ok(())
}
