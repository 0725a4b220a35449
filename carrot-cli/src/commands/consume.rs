//! `carrot consume`.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use carrot::{Message, Queue};
use clap::{Args, ValueEnum};

use crate::broker_arguments::{BrokerArguments, seconds};
use crate::escaping;
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;
use crate::message_record::MessageRecord;
use crate::printing::{counted, print_line};

/// The most messages that --requeue holds without a --count.
const HELD: u64 = 1000;

const EXAMPLES: &str = "\
Examples:
  carrot consume jobs                     print all messages, and acknowledge them
  carrot consume jobs --requeue -n 5      print the first five, and keep them
  carrot consume jobs --follow -- ./job   pass each body to a program as its input";

/// Consumes messages of a queue: prints each, or passes it to a command.
///
/// Ends when the queue has been empty for --wait, or after --count messages. A message is
/// acknowledged after it was printed.
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
    /// How a message whose command fails is settled
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
    /// Requeue the message, and take the next one
    Requeue,
    /// Reject the message: the broker dead-letters or drops it
    Reject,
}

impl ConsumeArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let interrupt = Interrupt::install()?;
        let connection = broker.connect()?;
        let most = self.count.unwrap_or(if self.requeue { HELD } else { u64::MAX });
        // A command takes long: others should get the messages that wait for it.
        let mut prefetch = if self.command.is_empty() { self.prefetch } else { 1 };
        if self.requeue || most < u64::from(prefetch) {
            prefetch = u16::try_from(most).unwrap_or(u16::MAX).max(1);
        }
        let consumer =
            connection.consumer(Queue::existing(&self.queue)).prefetch(prefetch).build()?;
        interrupt.stops(consumer.stop_handle());
        let mut messages = consumer.messages()?;
        if !self.follow {
            messages = messages.timeout(self.wait);
        }
        let (mut taken, mut failed, mut held) = (0, 0, Vec::new());
        while taken < most {
            let Some(message) = messages.next() else { break };
            let message = message?;
            taken += 1;
            if !self.command.is_empty() {
                if !self.pass_to_command(message)? {
                    failed += 1;
                    if matches!(self.on_failure, OnFailure::Stop) {
                        break;
                    }
                }
            } else {
                self.print(&message, broker.json)?;
                if self.requeue {
                    held.push(message);
                } else {
                    message.ack()?;
                }
            }
        }
        // Requeues the messages that were sent ahead, and sends the last acknowledgements. The
        // broker delivers no message again here that is requeued then.
        drop(messages);
        for message in held {
            message.requeue()?;
        }
        consumer.close()?;
        connection.close()?;
        if failed > 0 {
            let text = format!("the command failed for {failed} of {}", counted(taken, "message"));
            return Err(CommandFailure::not_all(text));
        }
        if interrupt.is_wanted() {
            let taken = counted(taken, "message");
            return Err(CommandFailure::interrupted(format!("interrupted after {taken}")));
        }
        if let Some(count) = self.count.filter(|count| taken < *count) {
            let text = format!("{taken} of {} came", counted(count, "message"));
            return Err(CommandFailure::late(text));
        }
        Ok(())
    }

    fn print(&self, message: &Message, json: bool) -> Result<()> {
        if self.body {
            let mut output = std::io::stdout().lock();
            output.write_all(message.body())?;
            output.write_all(b"\n")?;
            return Ok(output.flush()?);
        }
        print_message(message, json)
    }

    /// Returns whether the command has handled the message.
    fn pass_to_command(&self, message: Message) -> Result<bool> {
        let Some((program, arguments)) = self.command.split_first() else { return Ok(true) };
        let properties = message.properties();
        let mut child = Command::new(program)
            .args(arguments)
            .env("CARROT_ROUTING_KEY", message.routing_key().replace('\0', ""))
            .env("CARROT_EXCHANGE", message.exchange().replace('\0', ""))
            .env("CARROT_MESSAGE_ID", message.id().unwrap_or_default().replace('\0', ""))
            .env(
                "CARROT_CONTENT_TYPE",
                properties.content_type().unwrap_or_default().replace('\0', ""),
            )
            .env("CARROT_REDELIVERED", if message.is_redelivered() { "1" } else { "0" })
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| CommandFailure::input(format!("{program}: {error}")))?;
        let written = match child.stdin.take() {
            Some(mut input) => input.write_all(message.body()),
            None => Ok(()),
        };
        let status = child.wait()?;
        // A command may end without reading everything.
        let written = written.or_else(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        });
        if status.success() && written.is_ok() {
            message.ack()?;
            return Ok(true);
        }
        note!(
            "carrot: {} ended with {status}, message id {}",
            escaping::line(program),
            escaping::line(message.id().unwrap_or("-"))
        );
        match self.on_failure {
            OnFailure::Reject => message.reject()?,
            OnFailure::Stop | OnFailure::Requeue => message.requeue()?,
        }
        Ok(false)
    }
}

/// Prints a message on lines of its own, or as one line of JSON.
pub(crate) fn print_message(message: &Message, json: bool) -> Result<()> {
    let record = MessageRecord::of(message);
    if json {
        return print_line(&record.line()?);
    }
    let redelivered = if record.redelivered { ", redelivered" } else { "" };
    let exchange = match message.exchange() {
        "" => "the default exchange".to_string(),
        name => format!("exchange {}", escaping::line(name)),
    };
    print_line(&format!(
        "{exchange}, routing key {}, {} bytes{redelivered}",
        escaping::line(message.routing_key()),
        message.body().len()
    ))?;
    let properties = serde_json::to_string(message.properties())
        .map_err(|error| CommandFailure::other(error.to_string()))?;
    if properties != "{}" {
        print_line(&format!("  {}", escaping::line(&properties).replace("\\\\", "\\")))?;
    }
    print_line(&format!("  {}", escaping::octets(message.body())))
}
