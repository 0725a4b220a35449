//! `carrot publish`.

mod publish_counts;
mod publishing;

use carrot::message::{DeliveryMode, Properties};
use clap::Args;

use self::publishing::Publishing;
use crate::attended::attend;
use crate::broker_arguments::{BrokerArguments, messages_per_second};
use crate::exit::{CommandFailure, Result};
use crate::input_lines::InputLines;
use crate::interrupt::Interrupt;
use crate::message_arguments::{BodyArguments, PropertyArguments};
use crate::message_record::MessageRecord;

/// The most bytes of a line of JSON for each byte of the largest body, and those for the rest of
/// the message. Base64 takes 4 bytes for 3.
const JSON_SIZE: u64 = 2;
const JSON_MORE: u64 = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  carrot publish -q jobs 'resize 7.png'           to a queue
  carrot publish -e orders -k orders.new < order  to an exchange, the body from a file
  carrot publish -q jobs --lines < jobs.txt       a message for each line
  carrot consume jobs --json | carrot publish --json-lines --url URL   to another broker";

/// Publishes messages, waits for the broker's confirm of each, and reports those that reached no
/// queue.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PublishArguments {
    #[command(flatten)]
    body: BodyArguments,
    /// Exchange. Defaults to the default exchange, whose routing key is the name of a queue
    #[arg(long, short)]
    exchange: Option<String>,
    /// Routing key
    #[arg(long, short = 'k', value_name = "KEY")]
    routing_key: Option<String>,
    /// Queue, by the default exchange
    #[arg(long, short, conflicts_with_all = ["exchange", "routing_key"])]
    queue: Option<String>,
    /// Each line of the standard input is a body, of any octets but the line feed. A line has at
    /// most as many bytes as the option max_message_size of the URL allows: 134217728 (128 MiB) by
    /// default
    #[arg(long, conflicts_with_all = ["body", "file", "json_lines"])]
    lines: bool,
    /// Each line of the standard input is a message as consume --json prints it. The exchange and
    /// the routing key of the arguments go before those of the message. A message without an
    /// identifier gets none
    #[arg(long, conflicts_with_all = ["body", "file"])]
    json_lines: bool,
    /// Publish each message this number of times
    #[arg(long, default_value = "1")]
    count: u64,
    /// Publish at most this number of messages in a second
    #[arg(long, value_name = "MESSAGES", value_parser = messages_per_second)]
    rate: Option<f64>,
    #[command(flatten)]
    properties: PropertyArguments,
}

impl PublishArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        let (exchange, key) = match &self.queue {
            Some(queue) => (Some(String::new()), Some(queue.clone())),
            None => (self.exchange.clone(), self.routing_key.clone()),
        };
        if exchange.is_none() && key.is_none() && !self.json_lines {
            return Err(CommandFailure::input("publish needs --queue, or --exchange with its key"));
        }
        let options = broker.options()?;
        let largest = options.max_message_size;
        let interrupt = Interrupt::install()?;
        // A copy has an id only if its original has one.
        let makes_ids = !self.json_lines;
        let open = || Publishing::new(options, broker.timeout, self.rate, makes_ids, &interrupt);
        let mut publishing = interrupt.connecting(open)?;
        let counts = publishing.counts();
        let arguments = self.clone();
        let progress = || counts.progress();
        let ended = attend("carrot-publish", &interrupt, progress, move || {
            let read =
                arguments.publish(&mut publishing, exchange.as_deref(), key.as_deref(), largest);
            // Answers of what was sent before an error of the input count, too.
            (publishing.finish(), read)
        })?;
        let reported = counts.report(broker.json);
        let Some((answered, read)) = ended else {
            let waits_for_broker = counts.unanswered() > 0;
            let reason = if waits_for_broker { ": the broker does not answer" } else { "" };
            return Err(CommandFailure::interrupted(format!("interrupted{reason}")));
        };
        answered?;
        reported?;
        read?;
        if interrupt.is_wanted() {
            return Err(CommandFailure::interrupted("interrupted"));
        }
        Ok(())
    }

    fn publish(
        &self,
        publishing: &mut Publishing,
        exchange: Option<&str>,
        key: Option<&str>,
        largest: u64,
    ) -> Result<()> {
        if !self.lines && !self.json_lines {
            let body = self.body.read(largest)?;
            let properties = self.properties.apply(persistent());
            let (exchange, key) = (exchange.unwrap_or_default(), key.unwrap_or_default());
            return publishing.repeat(self.count, exchange, key, &properties, &body);
        }
        let mut lines = if self.lines {
            InputLines::start(largest, "the option max_message_size of the URL")?
        } else {
            let limit = largest.saturating_mul(JSON_SIZE).saturating_add(JSON_MORE);
            InputLines::start(limit, "twice the option max_message_size of the URL and 1 MiB")?
        };
        let interrupt = publishing.interrupt.clone();
        while let Some((number, line)) = lines.next(&interrupt, || publishing.take_answers())? {
            if !self.lines && line.trim_ascii().is_empty() {
                continue;
            }
            self.publish_line(publishing, exchange, key, &line)
                .map_err(|failure| failure.in_line(number))?;
        }
        Ok(())
    }

    /// Publishes a line of the input, the body or the whole message.
    fn publish_line(
        &self,
        publishing: &mut Publishing,
        exchange: Option<&str>,
        key: Option<&str>,
        line: &[u8],
    ) -> Result<()> {
        if self.lines {
            let properties = self.properties.apply(persistent());
            let (exchange, key) = (exchange.unwrap_or_default(), key.unwrap_or_default());
            return publishing.repeat(self.count, exchange, key, &properties, line);
        }
        let record = MessageRecord::read(text_of_line(line)?)?;
        let exchange = exchange.unwrap_or(&record.exchange);
        let key = key.unwrap_or(&record.routing_key);
        let properties = self.properties.apply(record.properties.clone());
        publishing.repeat(self.count, exchange, key, &properties, &record.body()?)
    }
}

/// Returns a line that has to be text.
fn text_of_line(line: &[u8]) -> Result<&str> {
    str::from_utf8(line).map_err(|error| CommandFailure::input(format!("is not UTF-8: {error}")))
}

fn persistent() -> Properties {
    Properties::new().with_delivery_mode(DeliveryMode::Persistent)
}
