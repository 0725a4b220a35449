//! `carrot consume`.

mod program;

use std::io::Write;
use std::time::{Duration, Instant};

use carrot::consume::Messages;
use carrot::{Error, Message, Queue};
use clap::{Args, ValueEnum};

use self::program::Program;
use crate::broker_arguments::{BrokerArguments, seconds};
use crate::commands::losses::Losses;
use crate::commands::printed_message::{note_unreadable, print_message};
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
#[derive(Debug, Args)]
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

/// The numbers of messages, and those that wait for the end.
#[derive(Default)]
struct Consumed {
    handled: u64,
    failed: u64,
    /// Messages to requeue at the end.
    held: Vec<Message>,
}

impl Consumed {
    fn is_full(&self) -> bool {
        self.held.len() as u64 >= HELD
    }
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
        let mut consumed = Consumed::default();
        let done = self.take_all(messages, &losses, &interrupt, broker.json, &mut consumed);
        let requeued = self.requeue_all(std::mem::take(&mut consumed.held));
        if let Err(failure) = done.and(requeued) {
            note!("carrot: handled {}", counted(consumed.handled, "message"));
            return Err(failure);
        }
        consumer.close()?;
        connection.close()?;
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

    /// Takes messages until the end. Requeues those that were sent ahead, and sends the last
    /// acknowledgements: the broker delivers no message again here that is requeued then.
    fn take_all(
        &self,
        mut messages: Messages,
        losses: &Losses,
        interrupt: &Interrupt,
        json: bool,
        consumed: &mut Consumed,
    ) -> Result<()> {
        if !self.follow {
            messages = messages.timeout(self.wait);
        }
        let mut waits_since = Instant::now();
        while consumed.handled < self.most() && !(self.holds_failed() && consumed.is_full()) {
            let Some(message) = messages.next() else {
                let was_lost = !interrupt.is_wanted() && losses.any_since(waits_since);
                return if was_lost { Err(lost()) } else { Ok(()) };
            };
            if !self.take(message?, interrupt, json, consumed)? {
                break;
            }
            waits_since = Instant::now();
        }
        Ok(())
    }

    /// Handles a message. Returns whether to take the next one.
    fn take(
        &self,
        message: Message,
        interrupt: &Interrupt,
        json: bool,
        consumed: &mut Consumed,
    ) -> Result<bool> {
        let mut continues = true;
        if let Some(reason) = message.unreadable() {
            note_unreadable(reason, message.id());
        }
        let is_readable = message.unreadable().is_none();
        if self.requeue {
            self.print(&message, json)?;
            consumed.held.push(message);
        } else if is_readable && self.handle(&message, interrupt, json)? {
            message.ack()?;
        } else if is_readable && interrupt.is_wanted() {
            // The signal of a terminal reaches the command, too.
            message.requeue()?;
            return Ok(false);
        } else {
            consumed.failed += 1;
            match self.on_failure {
                OnFailure::Reject => message.reject()?,
                OnFailure::Requeue => consumed.held.push(message),
                OnFailure::Stop => {
                    message.requeue()?;
                    continues = false;
                }
            }
        }
        consumed.handled += 1;
        Ok(continues)
    }

    /// Prints the message, or passes it to the command. Returns whether it can be acknowledged.
    fn handle(&self, message: &Message, interrupt: &Interrupt, json: bool) -> Result<bool> {
        match self.command.split_first() {
            Some((program, arguments)) => Program { program, arguments }.handle(message, interrupt),
            None => self.print(message, json).map(|()| true),
        }
    }

    fn requeue_all(&self, held: Vec<Message>) -> Result<()> {
        for message in held {
            match message.requeue() {
                // The broker has requeued it when the connection was lost.
                Err(Error::Stale { .. }) if self.follow => {}
                requeued => requeued?,
            }
        }
        Ok(())
    }

    fn result(&self, consumed: &Consumed, interrupt: &Interrupt) -> Result<()> {
        let handled = counted(consumed.handled, "message");
        let failed = consumed.failed;
        if interrupt.is_wanted() {
            let failures = match failed {
                0 => String::new(),
                failed => format!(", {} {failed}", self.failure()),
            };
            return Err(CommandFailure::interrupted(format!(
                "interrupted after {handled}{failures}"
            )));
        }
        if failed > 0 {
            let text = format!("{} {failed} of {handled}", self.failure());
            return Err(CommandFailure::not_all(text));
        }
        if let Some(count) = self.count.filter(|count| consumed.handled < *count) {
            let text = format!("{} of {} came", consumed.handled, counted(count, "message"));
            return Err(CommandFailure::late(text));
        }
        Ok(())
    }

    /// Returns the words before the number of failed messages.
    fn failure(&self) -> &'static str {
        if self.command.is_empty() { "could not read" } else { "the command failed for" }
    }

    fn print(&self, message: &Message, json: bool) -> Result<()> {
        if self.body {
            let mut output = std::io::stdout().lock();
            output.write_all(message.body())?;
            output.write_all(b"\n")?;
            return Ok(output.flush()?);
        }
        print_message(message.content(), message.is_redelivered(), json)
    }
}

fn lost() -> CommandFailure {
    CommandFailure::unreachable("the connection was lost")
}

#[cfg(test)]
mod unreadable_tests;
