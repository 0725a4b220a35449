//! Dead letters: messages that a queue sends on, with a record of their death.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use carrot_core::backend::{Content, ShortString};
use carrot_core::{Headers, Value};
use carrot_routing::DeathRecord;

use crate::header_order::sorted_by_name;
use crate::queue::arguments::QueueRules;
use crate::queue::message::RoutedMessage;
use crate::release_rules::{DeadLetterRules, ReleaseRules};
use crate::sync::lock;

/// Why a message was dead-lettered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeadLetterReason {
    Rejected,
    Expired,
    MaxLength,
    DeliveryLimit,
}

impl DeadLetterReason {
    fn as_str(self) -> &'static str {
        match self {
            DeadLetterReason::Rejected => "rejected",
            DeadLetterReason::Expired => "expired",
            DeadLetterReason::MaxLength => "maxlen",
            DeadLetterReason::DeliveryLimit => "delivery_limit",
        }
    }
}

/// A message on the way from a queue to the queue's dead-letter exchange.
#[derive(Debug)]
pub(crate) struct DeadLetter {
    pub(crate) message: RoutedMessage,
    pub(crate) reason: DeadLetterReason,
    /// The name of the queue that the message left.
    pub(crate) queue: Arc<str>,
    /// The arguments of that queue.
    pub(crate) rules: Arc<QueueRules>,
    /// Whether the record of the death omits the expiration of the message: RabbitMQ does not see
    /// that of a message which a lazy queue has read back from disk.
    pub(crate) hides_expiration: bool,
}

/// Dead letters that have left one queue and not yet reached the next, oldest first.
///
/// A queue adds them under its lock. The thread that locked the queue sends them on after releasing
/// it.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// The number of dead letters, including the one that is being sent.
    count: AtomicUsize,
    letters: Mutex<VecDeque<(DeadLetter, u32)>>,
    /// The number of dead letters that led to those added now, one after another.
    generation: AtomicU32,
    /// Held while dead letters are sent, which keeps their order.
    sending: Mutex<()>,
}

impl Outbox {
    pub(crate) fn push(&self, letter: DeadLetter) {
        self.count.fetch_add(1, Ordering::SeqCst);
        lock(&self.letters).push_back((letter, self.generation.load(Ordering::Relaxed)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Calls `send` with each dead letter and its generation, also with those that `send` causes.
    pub(crate) fn send_all(&self, mut send: impl FnMut(&DeadLetter, u32)) {
        let _sending = lock(&self.sending);
        loop {
            let Some((letter, generation)) = lock(&self.letters).pop_front() else { break };
            self.generation.store(generation + 1, Ordering::Relaxed);
            send(&letter, generation);
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
        self.generation.store(0, Ordering::Relaxed);
    }
}

impl DeadLetter {
    /// Whether the message, readdressed, may enter `queue`: RabbitMQ drops it if it returns
    /// without a rejection.
    pub(crate) fn may_enter(&self, queue: &str, message: &RoutedMessage) -> bool {
        let deaths = message
            .content
            .properties
            .header("x-death")
            .and_then(Value::as_array)
            .unwrap_or_default();
        self.reason == DeadLetterReason::Rejected || !is_cycle(queue, deaths)
    }

    /// Returns the message as it leaves the queue: with a record of its death, without its
    /// expiration, and addressed to `exchange`. The record carries `timestamp` in seconds since the
    /// Unix epoch.
    pub(crate) fn readdress(
        &self,
        exchange: &ShortString,
        timestamp: u64,
        release: &ReleaseRules,
    ) -> RoutedMessage {
        let content = &self.message.content;
        let properties = &content.properties;
        let mut headers = properties.headers().cloned().unwrap_or_default();
        let rules = &release.dead_letters;
        if !self.message.has_died && !rules.counts_deaths_of_clients {
            DeathRecord::remove_all(&mut headers);
        }
        self.note_death(&mut headers, timestamp, rules);

        let key = self.rules.dead_letter_key.clone();
        if key.is_some() && rules.replaced_key_removes_copies {
            headers.remove("CC");
        }
        let has_new_key = key.is_some() || self.message.has_new_key;
        let content = Content {
            exchange: exchange.clone(),
            routing_key: key.unwrap_or_else(|| content.routing_key.clone()),
            properties: properties
                .clone()
                .without_expiration()
                .with_headers(sorted_by_name(headers)),
            body: content.body.clone(),
        };
        let mut message =
            RoutedMessage::with_blind_keys(Arc::new(content), self.message.blind_keys.clone());
        message.has_died = true;
        message.has_new_key = has_new_key;
        message.failures = self.message.failures;
        message
    }

    /// Adds a record to the front of `x-death`. A record of the same queue and reason is counted up
    /// and moved there instead.
    fn note_death(&self, headers: &mut Headers, timestamp: u64, rules: &DeadLetterRules) {
        let exchange = &*self.message.content.exchange;
        let death = DeathRecord { queue: &self.queue, reason: self.reason.as_str(), exchange };
        let mut deaths = match headers.remove("x-death") {
            Some(Value::Array(deaths)) => deaths,
            Some(_) => Vec::new(),
            None => {
                death.name(headers, "x-first-death");
                Vec::new()
            }
        };
        if rules.names_last_death {
            death.name(headers, "x-last-death");
        }
        if deaths.len() > 1 && rules.counts_deaths_of_clients {
            deaths = grouped(deaths);
        }
        let deaths = death.count(deaths, || self.first_record(death, timestamp, rules));
        headers.insert("x-death", deaths);
    }

    fn first_record(
        &self,
        death: DeathRecord<'_>,
        timestamp: u64,
        rules: &DeadLetterRules,
    ) -> Headers {
        let content = &self.message.content;
        let blind_keys = self.message.blind_keys.as_deref().unwrap_or_default();
        let is_hidden = self.message.has_new_key
            && rules.hides_blind_keys
            && blind_keys.iter().any(|key| **key == *content.routing_key);
        let keys = (!is_hidden).then_some(&*content.routing_key);
        let keys = keys.into_iter().chain(self.message.copies());
        let expiration = content.properties.expiration().filter(|_| !self.hides_expiration);
        death.first(timestamp, keys, expiration)
    }
}

/// Merges the records of the same queue and reason into the first of them, and adds their number if
/// it has no count. The records are reversed, as by RabbitMQ. Records without counts are those of
/// clients, or of brokers before RabbitMQ 3.6.
fn grouped(deaths: Vec<Value>) -> Vec<Value> {
    let key = |death: &Value| {
        let table = death.as_table()?;
        Some((table.get("queue").cloned(), table.get("reason").cloned()))
    };
    let keys: Vec<_> = deaths.iter().map(key).collect();
    let mut groups = Vec::new();
    for (index, (mut death, key)) in deaths.into_iter().zip(&keys).enumerate() {
        let (earlier, later) = keys.split_at(index);
        if key.is_some() && earlier.contains(key) {
            continue;
        }
        if let Value::Table(table) = &mut death
            && !table.contains("count")
        {
            let count = later.iter().filter(|other| *other == key).count();
            table.insert("count", i64::try_from(count).unwrap_or(i64::MAX));
        }
        groups.push(death);
    }
    groups.reverse();
    groups
}

/// Whether a message with these death records, latest first, was in `queue` before and was not
/// rejected since.
fn is_cycle(queue: &str, deaths: &[Value]) -> bool {
    let field = |death: &Value, name: &str| {
        death.as_table().and_then(|table| table.get(name)).and_then(Value::as_str).map(String::from)
    };
    let Some(back) =
        deaths.iter().position(|death| field(death, "queue").as_deref() == Some(queue))
    else {
        return false;
    };
    deaths[..=back].iter().all(|death| {
        death.as_table().is_some() && field(death, "reason").as_deref() != Some("rejected")
    })
}
