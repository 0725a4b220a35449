//! Messages that leave a queue unwanted, and where they go.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use carrot_core::backend::{Content, ShortString};
use carrot_core::{Headers, Value};

use crate::broker::Core;
use crate::queue::Queue;
use crate::ready::Parcel;
use crate::routing::{Origin, array_of_strings};
use crate::sync::lock;

/// Why a message was dead-lettered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Rejected,
    Expired,
    MaxLength,
    DeliveryLimit,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Reason::Rejected => "rejected",
            Reason::Expired => "expired",
            Reason::MaxLength => "maxlen",
            Reason::DeliveryLimit => "delivery_limit",
        }
    }
}

/// A message on its way from a queue to that queue's dead-letter exchange.
#[derive(Debug)]
pub(crate) struct DeadLetter {
    pub(crate) parcel: Parcel,
    pub(crate) reason: Reason,
    pub(crate) queue: Arc<Queue>,
}

/// How often dead letters may make dead letters before nobody has touched any of them. RabbitMQ misses some cycles, and then goes round
/// for ever.
const MOST_GENERATIONS: u32 = 5000;

/// Dead letters that have left one queue and not yet arrived in the next, in the order of their deaths.
///
/// A queue puts them in under its lock; whoever had it locked sends them on after it let go.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// How many there are, the one that is being sent among them.
    count: AtomicUsize,
    letters: Mutex<VecDeque<(DeadLetter, u32)>>,
    /// How many dead letters led to those that are made now.
    generation: AtomicU32,
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
}

impl Core {
    /// Sends the dead letters on that there are, and those that this makes. To be called with no queue or channel locked, after whatever
    /// may have made some; when it returns, those have arrived.
    pub(crate) fn send_dead_letters(self: &Arc<Core>) {
        if self.outbox.is_empty() {
            return;
        }
        let sending = lock(&self.outbox.sending);
        loop {
            let Some((letter, generation)) = lock(&self.outbox.letters).pop_front() else { break };
            self.outbox.generation.store(generation + 1, Ordering::Relaxed);
            if generation < MOST_GENERATIONS {
                self.send_dead_letter(&letter);
            } else {
                log::warn!(
                    "a message from queue {:?} is dropped: dead letters go round for ever",
                    letter.queue.name
                );
            }
            self.outbox.count.fetch_sub(1, Ordering::SeqCst);
        }
        self.outbox.generation.store(0, Ordering::Relaxed);
        drop(sending);
        self.note_idle();
    }

    fn send_dead_letter(self: &Arc<Core>, letter: &DeadLetter) {
        let Some(exchange) = &letter.queue.rules.dead_letter_exchange else { return };
        let parcel = readdress(letter, exchange, self.clock.timestamp());
        let Ok(routes) = self.route(&parcel, Origin::Broker) else {
            log::debug!(
                "a message from queue {:?} is lost: its dead-letter exchange {exchange:?} does not exist",
                letter.queue.name
            );
            return;
        };
        let deaths = parcel
            .content
            .properties
            .header("x-death")
            .and_then(Value::as_array)
            .unwrap_or_default();
        for queue in routes.iter() {
            if letter.reason != Reason::Rejected && is_cycle(&queue.name, deaths) {
                log::debug!(
                    "a message is dropped: it has come back to queue {:?} with nobody having rejected it",
                    queue.name
                );
                continue;
            }
            queue.enqueue(self, parcel.clone(), None);
        }
    }
}

/// Whether a message that died as these records say, the latest first, is back in `queue` without anybody having rejected it since.
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

/// The message as it leaves the queue: with a record of its death, without its expiration, with its new exchange and routing key.
fn readdress(letter: &DeadLetter, exchange: &ShortString, timestamp: u64) -> Parcel {
    let content = &letter.parcel.content;
    let properties = &content.properties;
    let mut headers = properties.headers().cloned().unwrap_or_default();
    let queue = &*letter.queue.name;
    let reason = letter.reason.as_str();

    let carbon_copies = headers.get("CC").map(array_of_strings).unwrap_or_default();
    let keys = std::iter::once(&*content.routing_key)
        .chain(carbon_copies.iter().copied())
        .map(Value::from)
        .collect::<Vec<Value>>();
    let mut record: Headers = [
        ("count", Value::I64(1)),
        ("reason", reason.into()),
        ("queue", queue.into()),
        ("time", Value::Timestamp(timestamp)),
        ("exchange", (&*content.exchange).into()),
        ("routing-keys", keys.into()),
    ]
    .into();
    // RabbitMQ does not see the expiration of a message that it has read back from disk.
    if let Some(expiration) = properties.expiration().filter(|_| !letter.queue.rules.lazy) {
        record.insert("original-expiration", expiration);
    }
    note_death(&mut headers, record, queue, reason, &content.exchange);

    let key = letter.queue.rules.dead_letter_key.clone();
    if key.is_some() {
        headers.remove("CC");
    }
    let hidden = if key.is_some() { None } else { letter.parcel.hidden.clone() };
    let content = Content {
        exchange: exchange.clone(),
        routing_key: key.unwrap_or_else(|| content.routing_key.clone()),
        properties: properties.clone().without_expiration().with_headers(headers),
        body: content.body.clone(),
    };
    Parcel::with_hidden(Arc::new(content), hidden)
}

/// Adds a record to `x-death`, in front; one of the same queue and reason is counted up and moved there instead.
fn note_death(headers: &mut Headers, record: Headers, queue: &str, reason: &str, exchange: &str) {
    let mut deaths = match headers.remove("x-death") {
        Some(Value::Array(deaths)) => deaths,
        Some(_) => Vec::new(),
        None => {
            headers.insert("x-first-death-reason", reason);
            headers.insert("x-first-death-queue", queue);
            headers.insert("x-first-death-exchange", exchange);
            Vec::new()
        }
    };
    if deaths.len() > 1 {
        // RabbitMQ turns the older records round each time it looks for duplicates among them.
        deaths.reverse();
    }
    let text =
        |table: &Headers, name: &str| table.get(name).and_then(Value::as_str).map(String::from);
    let same = |death: &Value| {
        death.as_table().is_some_and(|table| {
            text(table, "queue").as_deref() == Some(queue)
                && text(table, "reason").as_deref() == Some(reason)
        })
    };
    let latest = match deaths.iter().position(same) {
        Some(index) => {
            let Value::Table(mut table) = deaths.remove(index) else { return };
            let count = table.get("count").and_then(Value::as_i64).unwrap_or(0);
            table.insert("count", count + 1);
            table
        }
        None => record,
    };
    deaths.insert(0, latest.into());
    headers.insert("x-death", deaths);
}
