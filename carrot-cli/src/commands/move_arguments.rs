//! The arguments of `carrot move`.

use carrot::Message;
use clap::{ArgGroup, Args};

use crate::commands::move_result::MoveResult;
use crate::message_arguments::{NamedValue, named_value};
use crate::plain_json::is_equal_header;

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
    pub(super) dry_run: bool,
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
    /// Returns whether no message is moved.
    pub(super) fn only_shows(&self) -> bool {
        self.dry_run || (self.back && !self.trust_headers)
    }

    /// Returns whether --count messages were moved, or would be.
    pub(super) fn is_enough(&self, moved: &MoveResult) -> bool {
        self.count.is_some_and(|count| moved.moved() >= count)
    }

    /// Returns the number of messages that the progress counts: those that are looked at.
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
