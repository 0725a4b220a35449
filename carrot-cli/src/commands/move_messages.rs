//! `carrot move`.

use carrot::config::Credentials;
use carrot::{ConnectionOptions, Message};
use clap::{ArgGroup, Args};

use crate::attended::attend;
use crate::broker_arguments::BrokerArguments;
use crate::commands::move_result::MoveResult;
use crate::commands::moving::Moving;
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
    pub(super) from: String,
    /// Queue that gets them
    #[arg(long, value_name = "QUEUE")]
    pub(super) to: Option<String>,
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
    pub(super) max_held: u32,
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
    pub(super) fn only_shows(&self) -> bool {
        self.dry_run || (self.back && !self.trust_headers)
    }

    /// Whether --count messages were moved, or would be.
    pub(super) fn is_enough(&self, moved: &MoveResult) -> bool {
        self.count.is_some_and(|count| moved.moved() >= count)
    }

    /// The messages that the progress counts: those that are looked at.
    pub(super) fn bar_length(&self, looks: u64) -> u64 {
        let chooses = self.if_routing_key.is_some()
            || self.if_died_in.is_some()
            || !self.if_header.is_empty();
        if chooses { looks } else { self.count.unwrap_or(u64::MAX).min(looks) }
    }

    pub(super) fn is_meant(&self, message: &Message) -> bool {
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

/// Returns the user who sends the copies, if known.
fn user_of(options: &ConnectionOptions) -> Option<String> {
    match &options.credentials {
        Credentials::Plain { user, .. } => Some(user.clone()),
        _ => None,
    }
}
