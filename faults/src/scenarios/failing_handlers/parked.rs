use std::collections::BTreeMap;

use carrot::{Connection, Consumer, Message, Queue, message::Value};

use super::messages::{LISTED, body, id, parking_queue};
use crate::accounting::Accounting;
use crate::error::Result;
use crate::failing_worker::{ATTEMPTS, failure_text, is_undecodable};

/// The messages of the parking queue. They stay unacknowledged until the end of the scenario.
pub(super) struct ParkedMessages {
    consumer: Consumer,
    messages: Vec<(u64, Message)>,
}

impl ParkedMessages {
    pub(super) fn new(connection: &Connection, queue: &str) -> Result<ParkedMessages> {
        let consumer = connection.consumer(Queue::existing(parking_queue(queue))).build()?;
        Ok(ParkedMessages { consumer, messages: Vec::new() })
    }

    /// Fetches the new messages.
    pub(super) fn read(&mut self, accounting: &Accounting) -> Result<()> {
        while let Some(message) = self.consumer.fetch()? {
            let id = id(&message)?;
            accounting.consume(id);
            self.messages.push((id, message));
        }
        Ok(())
    }

    /// Returns the number of messages that were fetched.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns the number of copies of each message.
    pub(super) fn ids(&self) -> BTreeMap<u64, usize> {
        let mut times = BTreeMap::new();
        for (id, _) in &self.messages {
            *times.entry(*id).or_default() += 1;
        }
        times
    }

    /// Returns the failures of the messages that lack their body, last error, attempts or queue.
    pub(super) fn failures(&self, queue: &str) -> Vec<String> {
        let failures = self.messages.iter().filter_map(|(id, message)| {
            let error = message.header("carrot-error").and_then(Value::as_str).unwrap_or_default();
            let attempts = message.header("carrot-attempts").and_then(Value::as_i64);
            let from = message.header("carrot-queue").and_then(Value::as_str);
            let names_error = if is_undecodable(*id) {
                !error.is_empty()
            } else {
                error.contains(&failure_text(*id, ATTEMPTS))
            };
            let is_complete =
                names_error && attempts == Some(i64::from(ATTEMPTS)) && from == Some(queue);
            (!is_complete || message.body() != body(*id).as_bytes()).then(|| {
                format!(
                    "parked message {id} is incomplete: {:?}, body {:?}",
                    message.headers(),
                    message.text()
                )
            })
        });
        failures.take(LISTED).collect()
    }

    pub(super) fn close(&self) -> Result<()> {
        Ok(self.consumer.close()?)
    }
}
