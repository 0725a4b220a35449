//! Messages that are sent, and the answers to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use carrot::message::Properties;
use carrot::{Connection, ConnectionOptions, Error, Exchange, Publisher};

use super::publish_counts::PublishCounts;
use crate::exit::Result;
use crate::interrupt::Interrupt;
use crate::pending_confirms::{Answered, PendingConfirms};

/// The most messages whose confirms are outstanding.
const WINDOW: usize = 1000;
/// The most messages that are reported one by one.
const REPORTED: u64 = 20;

/// Messages that are sent, and the answers to them.
pub(super) struct Publishing {
    connection: Connection,
    /// For each message, until its confirm.
    timeout: Duration,
    publishers: HashMap<String, Publisher>,
    /// By the numbers of the messages.
    window: PendingConfirms<u64>,
    rate: Option<f64>,
    /// Whether a message without an id gets one.
    makes_ids: bool,
    started: Instant,
    counts: Arc<PublishCounts>,
    pub(super) interrupt: Interrupt,
}

impl Publishing {
    pub(super) fn new(
        options: ConnectionOptions,
        timeout: Duration,
        rate: Option<f64>,
        makes_ids: bool,
        interrupt: &Interrupt,
    ) -> Result<Publishing> {
        Ok(Publishing {
            connection: carrot::connect(options)?,
            timeout,
            publishers: HashMap::new(),
            window: PendingConfirms::new(WINDOW),
            rate,
            makes_ids,
            started: Instant::now(),
            counts: Arc::default(),
            interrupt: interrupt.clone(),
        })
    }

    pub(super) fn counts(&self) -> Arc<PublishCounts> {
        Arc::clone(&self.counts)
    }

    /// Publishes a message this number of times.
    pub(super) fn repeat(
        &mut self,
        times: u64,
        exchange: &str,
        routing_key: &str,
        properties: &Properties,
        body: &[u8],
    ) -> Result<()> {
        if !self.publishers.contains_key(exchange) {
            let definition = self.connection.publisher().max_in_flight(WINDOW);
            let definition = definition.send_timeout(self.timeout);
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
            let Some(publisher) = self.publishers.get(exchange) else { return Ok(()) };
            let message = publisher.message().routing_key(routing_key).mandatory();
            let message = if self.makes_ids { message } else { message.without_message_id() };
            let message = message.properties(|_| properties.clone());
            let confirmation = message.publish_bytes(body)?;
            let number = self.counts.sent.fetch_add(1, Ordering::AcqRel) + 1;
            self.window.add(number, confirmation);
            self.take_answers()?;
        }
        Ok(())
    }

    /// Waits until the next message may be sent. Returns false if the user ends the command.
    fn keep_rate(&self) -> bool {
        let Some(rate) = self.rate else { return !self.interrupt.is_wanted() };
        let due =
            Duration::try_from_secs_f64(self.counts.sent() as f64 / rate).unwrap_or(Duration::MAX);
        self.interrupt.wait(due.saturating_sub(self.started.elapsed()))
    }

    /// Takes the answers that are here, and waits for others until the window has room.
    pub(super) fn take_answers(&mut self) -> Result<()> {
        while let Some(answered) = self.window.next() {
            self.count(answered)?;
        }
        Ok(())
    }

    fn count(&self, (number, answer): Answered<u64>) -> Result<()> {
        match answer {
            Ok(()) => self.counts.confirmed.fetch_add(1, Ordering::AcqRel),
            Err(error @ (Error::Unroutable { .. } | Error::Refused)) => {
                if self.counts.failed() < REPORTED {
                    note!("carrot: message {number}: {}", failure_text(&error));
                }
                match error {
                    Error::Refused => self.counts.refused.fetch_add(1, Ordering::AcqRel),
                    _ => self.counts.unroutable.fetch_add(1, Ordering::AcqRel),
                }
            }
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }

    /// Waits for all answers. Returns the first failure that is not counted.
    pub(super) fn finish(mut self) -> Result<()> {
        let mut finished = Ok(());
        while let Some(answered) = self.window.wait() {
            finished = finished.and(self.count(answered));
        }
        finished
    }
}

/// Describes a message that no queue has taken.
fn failure_text(error: &Error) -> String {
    match error {
        Error::Unroutable { returned } if returned.exchange.is_empty() => {
            format!(
                "no queue is named {:?} ({} {})",
                returned.routing_key, returned.code, returned.text
            )
        }
        other => other.to_string(),
    }
}
