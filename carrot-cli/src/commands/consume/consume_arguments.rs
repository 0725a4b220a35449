//! The arguments of `carrot consume`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::broker_arguments::seconds;

/// The most messages that are held: by --requeue without a --count, and by --on-failure requeue.
pub(super) const HELD: u64 = 1000;

const EXAMPLES: &str = "\
Examples:
  carrot consume jobs                     print all messages, and acknowledge them
  carrot consume jobs --requeue -n 5      print the first five, and keep them
  carrot consume jobs --follow -- ./job   pass each body to a program as its input";

/// Consumes messages of a queue: prints each, or passes it to a command.
///
/// Ends when the queue has been empty for --wait, or after --count messages. A message is
/// acknowledged after it was printed. A message that cannot be read whole is not acknowledged.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConsumeArguments {
    /// Name of the queue
    pub(super) queue: String,
    /// End after this number of messages
    #[arg(long, short = 'n')]
    pub(super) count: Option<u64>,
    /// Wait for further messages until Ctrl-C
    #[arg(long, short)]
    pub(super) follow: bool,
    /// Seconds that the queue has to be empty for the end
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(super) wait: Duration,
    /// Acknowledge the messages, so that the broker deletes them. The default
    #[arg(long, conflicts_with = "requeue")]
    ack: bool,
    /// Requeue the messages at the end. They are marked as redelivered, and count against the
    /// delivery limit of a quorum queue of RabbitMQ before 4.3. At most 1000, or --count
    #[arg(long, conflicts_with = "follow")]
    pub(super) requeue: bool,
    /// Print only the octets of the body, and a line break
    #[arg(long, conflicts_with = "json")]
    pub(super) body: bool,
    /// Messages that the broker sends ahead, 1 to 65535
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) prefetch: u16,
    /// How a message whose command fails, or that cannot be read whole, is settled
    #[arg(long, value_name = "HOW", default_value = "stop")]
    pub(super) on_failure: OnFailure,
    /// Command that gets each body as its standard input, after --. Exit code 0 acknowledges the
    /// message. CARROT_ROUTING_KEY, CARROT_EXCHANGE, CARROT_MESSAGE_ID, CARROT_CONTENT_TYPE and
    /// CARROT_REDELIVERED describe the message
    #[arg(last = true, conflicts_with_all = ["requeue", "body"])]
    pub(super) command: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum OnFailure {
    /// Requeue the message, and end with exit code 6
    Stop,
    /// Hold the message, take the next one, and requeue at the end; with --follow, at Ctrl-C. Ends
    /// when 1000 messages are held, and takes up to 1000 ahead
    Requeue,
    /// Reject the message: the broker dead-letters or drops it
    Reject,
}

impl ConsumeArguments {
    pub(super) fn most(&self) -> u64 {
        self.count.unwrap_or(if self.requeue { HELD } else { u64::MAX })
    }

    /// Returns whether the failed messages are held until the end.
    pub(super) fn holds_failed(&self) -> bool {
        matches!(self.on_failure, OnFailure::Requeue)
    }

    pub(super) fn prefetch(&self) -> u16 {
        let most = self.most();
        let held = |most: u64| u16::try_from(most).unwrap_or(u16::MAX).max(1);
        if self.requeue {
            return held(most);
        }
        if self.holds_failed() {
            return held(most.min(HELD));
        }
        // A command takes long: others should get the messages that wait for it.
        let prefetch = if self.command.is_empty() { self.prefetch } else { 1 };
        held(most.min(prefetch.into()))
    }

    /// Returns the words before the number of failed messages.
    pub(super) fn failure(&self) -> &'static str {
        if self.command.is_empty() { "could not read" } else { "the command failed for" }
    }
}
