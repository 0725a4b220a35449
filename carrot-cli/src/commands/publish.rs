//! `carrot publish`.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use carrot::message::{DeliveryMode, Properties};
use carrot::publish::Confirmation;
use carrot::{Connection, Error, Exchange, Publisher};
use clap::Args;
use serde_json::json;

use crate::broker_arguments::BrokerArguments;
use crate::escaping;
use crate::exit::{CommandFailure, Result};
use crate::input_lines::InputLines;
use crate::interrupt::Interrupt;
use crate::message_arguments::{BodyArguments, PropertyArguments};
use crate::message_record::MessageRecord;
use crate::printing::{counted, print_line};

/// The most messages whose confirms are outstanding.
const WINDOW: usize = 1000;
/// The most messages that are reported one by one.
const REPORTED: u64 = 20;

const EXAMPLES: &str = "\
Examples:
  carrot publish -q jobs 'resize 7.png'           to a queue
  carrot publish -e orders -k orders.new < order  to an exchange, the body from a file
  carrot publish -q jobs --lines < jobs.txt       a message for each line
  carrot consume jobs --json | carrot publish --json-lines --url URL   to another broker";

/// Publishes messages, waits for the broker's confirm of each, and reports those that reached no
/// queue.
#[derive(Debug, Args)]
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
    /// Each line of the standard input is a body
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
    #[arg(long, value_name = "MESSAGES")]
    rate: Option<f64>,
    #[command(flatten)]
    properties: PropertyArguments,
}

impl PublishArguments {
    pub(crate) fn run(&self, broker: &BrokerArguments) -> Result<()> {
        if self.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
            return Err(CommandFailure::input("--rate must be above 0"));
        }
        let (exchange, key) = match &self.queue {
            Some(queue) => (Some(String::new()), Some(queue.clone())),
            None => (self.exchange.clone(), self.routing_key.clone()),
        };
        if exchange.is_none() && key.is_none() && !self.json_lines {
            return Err(CommandFailure::input("publish needs --queue, or --exchange with its key"));
        }
        let interrupt = Interrupt::install()?;
        let mut publishing = Publishing::new(broker.connect()?, self.rate, interrupt);
        // A copy has an id only if its original has one.
        publishing.makes_ids = !self.json_lines;
        let read = self.publish(&mut publishing, exchange.as_deref(), key.as_deref());
        // Answers of what was sent before an error of the input count, too.
        publishing.finish(broker.json)?;
        read
    }

    fn publish(
        &self,
        publishing: &mut Publishing,
        exchange: Option<&str>,
        key: Option<&str>,
    ) -> Result<()> {
        if !self.lines && !self.json_lines {
            let body = self.body.read()?;
            let properties = self.properties.apply(persistent());
            let (exchange, key) = (exchange.unwrap_or_default(), key.unwrap_or_default());
            return publishing.repeat(self.count, exchange, key, &properties, &body);
        }
        let mut lines = InputLines::start()?;
        let interrupt = publishing.interrupt.clone();
        while let Some((number, line)) = lines.next(&interrupt, || publishing.take_answers())? {
            if !self.lines && line.trim().is_empty() {
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
        line: &str,
    ) -> Result<()> {
        if self.lines {
            let properties = self.properties.apply(persistent());
            let (exchange, key) = (exchange.unwrap_or_default(), key.unwrap_or_default());
            return publishing.repeat(self.count, exchange, key, &properties, line.as_bytes());
        }
        let record = MessageRecord::read(line)?;
        let exchange = exchange.unwrap_or(&record.exchange);
        let key = key.unwrap_or(&record.routing_key);
        let properties = self.properties.apply(record.properties.clone());
        publishing.repeat(self.count, exchange, key, &properties, &record.body()?)
    }
}

/// Describes a message that no queue has taken.
fn failure_text(error: &Error) -> String {
    let text = match error {
        Error::Unroutable { returned } if returned.exchange.is_empty() => {
            format!(
                "no queue is named {:?} ({} {})",
                returned.routing_key, returned.code, returned.text
            )
        }
        other => other.to_string(),
    };
    escaping::line(&text)
}

fn persistent() -> Properties {
    Properties::new().with_delivery_mode(DeliveryMode::Persistent)
}

/// Messages that are sent, and the answers to them.
struct Publishing {
    connection: Connection,
    publishers: HashMap<String, Publisher>,
    waiting: VecDeque<(u64, Confirmation)>,
    rate: Option<f64>,
    makes_ids: bool,
    started: Instant,
    sent: u64,
    confirmed: u64,
    unroutable: u64,
    refused: u64,
    interrupt: Interrupt,
}

impl Publishing {
    fn new(connection: Connection, rate: Option<f64>, interrupt: Interrupt) -> Publishing {
        Publishing {
            connection,
            publishers: HashMap::new(),
            waiting: VecDeque::new(),
            rate,
            makes_ids: true,
            started: Instant::now(),
            sent: 0,
            confirmed: 0,
            unroutable: 0,
            refused: 0,
            interrupt,
        }
    }

    fn repeat(
        &mut self,
        times: u64,
        exchange: &str,
        routing_key: &str,
        properties: &Properties,
        body: &[u8],
    ) -> Result<()> {
        if !self.publishers.contains_key(exchange) {
            let definition = self.connection.publisher().max_in_flight(WINDOW);
            let publisher = match exchange {
                "" => definition.build()?,
                name => definition.exchange(Exchange::existing(name)).build()?,
            };
            self.publishers.insert(exchange.into(), publisher);
        }
        for time in 0..times {
            // A line that was read is published at least once.
            if !self.keep_rate() && time > 0 {
                return Ok(());
            }
            while self.waiting.len() >= WINDOW {
                self.take_answer()?;
            }
            let Some(publisher) = self.publishers.get(exchange) else { return Ok(()) };
            let message = publisher.message().routing_key(routing_key).mandatory();
            let message = if self.makes_ids { message } else { message.without_message_id() };
            let message = message.properties(|_| properties.clone());
            let confirmation = message.publish_bytes(body)?;
            self.sent += 1;
            self.waiting.push_back((self.sent, confirmation));
        }
        Ok(())
    }

    /// Waits until the next message may be sent. Returns false if the user ends the command.
    fn keep_rate(&self) -> bool {
        let Some(rate) = self.rate else { return !self.interrupt.is_wanted() };
        let due = Duration::try_from_secs_f64(self.sent as f64 / rate).unwrap_or(Duration::MAX);
        self.interrupt.wait(due.saturating_sub(self.started.elapsed()))
    }

    /// Takes the answers that are here.
    fn take_answers(&mut self) -> Result<()> {
        while self.waiting.front().is_some_and(|(_, confirmation)| confirmation.is_resolved()) {
            self.take_answer()?;
        }
        Ok(())
    }

    /// Waits for the oldest answer.
    fn take_answer(&mut self) -> Result<()> {
        let Some((number, confirmation)) = self.waiting.pop_front() else { return Ok(()) };
        let refused = self.unroutable + self.refused;
        match confirmation.wait() {
            Ok(()) => self.confirmed += 1,
            Err(error @ (Error::Unroutable { .. } | Error::Refused)) => {
                if refused < REPORTED {
                    eprintln!("carrot: message {number}: {}", failure_text(&error));
                }
                match error {
                    Error::Refused => self.refused += 1,
                    _ => self.unroutable += 1,
                }
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Waits for all answers, and prints the result.
    fn finish(mut self, json: bool) -> Result<()> {
        let mut lost = None;
        while !self.waiting.is_empty() {
            if let Err(error) = self.take_answer() {
                lost.get_or_insert(error);
            }
        }
        let Publishing { sent, confirmed, unroutable, refused, .. } = self;
        let unknown = sent - confirmed - unroutable - refused;
        if json {
            let report = json!({
                "sent": sent, "confirmed": confirmed, "unroutable": unroutable,
                "refused": refused, "unknown": unknown,
            });
            print_line(&report.to_string())?;
        } else if sent != 1 || confirmed != 1 {
            eprintln!(
                "carrot: {sent} sent: {confirmed} confirmed, {unroutable} unroutable, \
                 {refused} refused, {unknown} unknown"
            );
        }
        if let Some(error) = lost {
            return Err(error);
        }
        if unroutable + refused > 0 {
            let failed = counted(unroutable + refused, "message");
            return Err(CommandFailure::not_all(format!("{failed} failed")));
        }
        if self.interrupt.is_wanted() {
            return Err(CommandFailure::interrupted("interrupted"));
        }
        Ok(())
    }
}
