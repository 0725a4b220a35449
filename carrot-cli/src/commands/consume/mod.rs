//! `carrot consume`.

mod consumed;
mod consuming;
mod program;

use std::sync::Arc;
use std::time::Duration;

use carrot::Queue;
use clap::{Args, ValueEnum};

use self::consumed::Consumed;
use self::consuming::Consuming;
use crate::attended::attend;
use crate::broker_arguments::{BrokerArguments, seconds};
use crate::commands::losses::Losses;
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;
use crate::printing::counted;

/// The most messages that are held: by --requeue without a --count, and by --on-failure requeue.
const HELD: u64 = 1000;

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
    queue: String,
    /// End after this number of messages
    #[arg(long, short = 'n')]
    count: Option<u64>,
    /// Wait for further messages until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Seconds that the queue has to be empty for the end
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    wait: Duration,
    /// Acknowledge the messages, so that the broker deletes them. The default
    #[arg(long, conflicts_with = "requeue")]
    ack: bool,
    /// Requeue the messages at the end. They are marked as redelivered, and count against the
    /// delivery limit of a quorum queue of RabbitMQ before 4.3. At most 1000, or --count
    #[arg(long, conflicts_with = "follow")]
    requeue: bool,
    /// Print only the octets of the body, and a line break
    #[arg(long, conflicts_with = "json")]
    body: bool,
    /// Messages that the broker sends ahead, 1 to 65535
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u16).range(1..))]
    prefetch: u16,
    /// How a message whose command fails, or that cannot be read whole, is settled
    #[arg(long, value_name = "HOW", default_value = "stop")]
    on_failure: OnFailure,
    /// Command that gets each body as its standard input, after --. Exit code 0 acknowledges the
    /// message. CARROT_ROUTING_KEY, CARROT_EXCHANGE, CARROT_MESSAGE_ID, CARROT_CONTENT_TYPE and
    /// CARROT_REDELIVERED describe the message
    #[arg(last = true, conflicts_with_all = ["requeue", "body"])]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnFailure {
    /// Requeue the message, and end with exit code 6
    Stop,
    /// Hold the message, take the next one, and requeue at the end; with --follow, at Ctrl-C. Ends
    /// when 1000 messages are held, and takes up to 1000 ahead
    Requeue,
    /// Reject the message: the broker dead-letters or drops it
    Reject,
}

impl ConsumeArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let interrupt = Interrupt::install()?;
        let (connection, consumer) = interrupt.connecting(|| {
            let connection = broker.connect()?;
            let consumer = connection.consumer(Queue::existing(&self.queue));
            let consumer = consumer.prefetch(self.prefetch()).build()?;
            Ok((connection, consumer))
        })?;
        let losses = Losses::watch(&connection, self.follow);
        interrupt.stops(consumer.stop_handle());
        let messages = consumer.messages()?;
        let consumed = Arc::new(Consumed::default());
        let work = Consuming {
            arguments: self.clone(),
            json: broker.json,
            interrupt: interrupt.clone(),
            consumed: Arc::clone(&consumed),
            held: Vec::new(),
        };
        let progress = || consumed.progress();
        let ended = attend("carrot-consume", &interrupt, progress, move || {
            work.run(messages, &losses)?;
            consumer.close()?;
            Ok(connection.close()?)
        })?;
        let Some(done) = ended else {
            let done = self.done_until_interrupt(&consumed);
            return Err(CommandFailure::interrupted(format!(
                "{done}: the broker does not answer: the last messages may come again"
            )));
        };
        if let Err(failure) = done {
            note!("carrot: handled {}", counted(consumed.handled(), "message"));
            return Err(failure);
        }
        self.result(&consumed, &interrupt)
    }

    fn most(&self) -> u64 {
        self.count.unwrap_or(if self.requeue { HELD } else { u64::MAX })
    }

    /// Whether the failed messages are held until the end.
    fn holds_failed(&self) -> bool {
        matches!(self.on_failure, OnFailure::Requeue)
    }

    fn prefetch(&self) -> u16 {
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

    fn result(&self, consumed: &Consumed, interrupt: &Interrupt) -> Result<()> {
        if interrupt.is_wanted() {
            return Err(CommandFailure::interrupted(self.done_until_interrupt(consumed)));
        }
        let (handled, failed) = (consumed.handled(), consumed.failed());
        if failed > 0 {
            let text = format!("{} {failed} of {}", self.failure(), counted(handled, "message"));
            return Err(CommandFailure::not_all(text));
        }
        if let Some(count) = self.count.filter(|count| handled < *count) {
            let text = format!("{handled} of {} came", counted(count, "message"));
            return Err(CommandFailure::late(text));
        }
        Ok(())
    }

    /// Describes what was done when the signal came.
    fn done_until_interrupt(&self, consumed: &Consumed) -> String {
        let failures = match consumed.failed() {
            0 => String::new(),
            failed => format!(", {} {failed}", self.failure()),
        };
        format!("interrupted after {}{failures}", counted(consumed.handled(), "message"))
    }

    /// Returns the words before the number of failed messages.
    fn failure(&self) -> &'static str {
        if self.command.is_empty() { "could not read" } else { "the command failed for" }
    }
}
