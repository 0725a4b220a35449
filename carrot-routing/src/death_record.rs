//! The headers that record the deaths of a message.

use carrot_core::{Headers, Value};

/// The header with the records of all deaths, the latest first.
const DEATHS: &str = "x-death";
/// The headers that record deaths.
const RECORDS: [&str; 7] = [
    DEATHS,
    "x-first-death-reason",
    "x-first-death-queue",
    "x-first-death-exchange",
    "x-last-death-reason",
    "x-last-death-queue",
    "x-last-death-exchange",
];

/// The death of a message: it leaves a queue for a dead-letter exchange.
///
/// ```
/// use carrot_core::Headers;
/// use carrot_routing::DeathRecord;
///
/// let death = DeathRecord { queue: "jobs", reason: "rejected", exchange: "" };
/// let mut headers = Headers::new();
/// death.name(&mut headers, "x-first-death");
/// let deaths = death.count(Vec::new(), || death.first(1_700_000_000, ["jobs"], None));
/// assert_eq!(deaths.len(), 1);
/// ```
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "a literal for the crates that use it")]
pub struct DeathRecord<'a> {
    /// The queue that the message leaves.
    pub queue: &'a str,
    /// Why the message leaves.
    pub reason: &'a str,
    /// The exchange that the message was published to.
    pub exchange: &'a str,
}

impl DeathRecord<'_> {
    /// Removes all headers that record deaths.
    pub fn remove_all(headers: &mut Headers) {
        RECORDS.iter().for_each(|name| drop(headers.remove(name)));
    }

    /// Sets the three headers that name one death: `x-first-death` or `x-last-death` is the start
    /// of their names.
    pub fn name(&self, headers: &mut Headers, start: &str) {
        let DeathRecord { queue, reason, exchange } = *self;
        for (name, value) in [("reason", reason), ("queue", queue), ("exchange", exchange)] {
            headers.insert(format!("{start}-{name}"), value);
        }
    }

    /// Adds a record to the front of all records. One of the same queue and reason is counted up
    /// and moved there instead; without one, `first` returns the record.
    pub fn count(&self, mut deaths: Vec<Value>, first: impl FnOnce() -> Headers) -> Vec<Value> {
        let is = |table: &Headers, name: &str, text: &str| {
            table.get(name).and_then(Value::as_str) == Some(text)
        };
        let same = |death: &Value| {
            let table = death.as_table();
            table.is_some_and(|table| {
                is(table, "queue", self.queue) && is(table, "reason", self.reason)
            })
        };
        let latest = match deaths.iter().position(same).map(|index| deaths.remove(index)) {
            Some(Value::Table(mut table)) => {
                let count = table.get("count").and_then(Value::as_i64).unwrap_or(0);
                table.insert("count", count.saturating_add(1));
                table
            }
            _ => first(),
        };
        deaths.insert(0, latest.into());
        deaths
    }

    /// Returns the record of the first death in the queue for the reason. `seconds` is the time
    /// since the Unix epoch, and `expiration` the one that the message loses.
    pub fn first<'k>(
        &self,
        seconds: u64,
        routing_keys: impl IntoIterator<Item = &'k str>,
        expiration: Option<&str>,
    ) -> Headers {
        let keys: Vec<Value> = routing_keys.into_iter().map(Value::from).collect();
        let mut record = Headers::from([
            ("count", Value::I64(1)),
            ("reason", self.reason.into()),
            ("queue", self.queue.into()),
            ("time", Value::Timestamp(seconds)),
            ("exchange", self.exchange.into()),
            ("routing-keys", keys.into()),
        ]);
        if let Some(expiration) = expiration {
            record.insert("original-expiration", expiration);
        }
        record
    }
}
