//! What AMQP leaves open, and what the comparison makes of it. All of it is here.
//!
//! # Made certain
//!
//! * **When things happen.** A broker does some things after it has answered: it delivers, requeues, dead-letters, deletes what nobody
//!   uses. After each operation the run on RabbitMQ is given [`SETTLE`] to come to what the memory broker came to; only then it differs.
//! * **What a channel has done.** `publish`, `ack` and `reject` do not wait for the broker. After each of them the run waits for the
//!   confirm, or makes a round trip on the same channel that changes nothing (the passive declaration of `amq.direct`).
//! * **Time.** What is due after a while is due after [`SHORTLY`], and `Wait` is [`WAIT`] long: on RabbitMQ by waiting, on the memory
//!   broker by its clock. A run on RabbitMQ in which more than [`SLOW`] pass between two waits is no evidence, and is made again.
//! * **Names made up by the broker, and times of death,** are replaced by placeholders.
//!
//! # Not compared
//!
//! * The words of errors, other than the reply code and text of a return.
//! * Delivery tags on a channel that has consumers of several queues: each queue sends on its own. The order within a queue is compared.
//! * Confirms still owed when the channel fails: whether they were known then is a race.
//!
//! # Left open
//!
//! In these cases both brokers go on being compared, since they mostly agree. If they do differ later, the program is counted as *open*
//! and not as a divergence:
//!
//! * Messages that arrive in one queue by different ways (published, or dead-lettered by different queues) after one operation: each queue
//!   is a process of its own, and sends on its own. See [`Arrivals`].
//! * A settlement of several deliveries on a channel that has deliveries of several queues: which tags lie below is a race.
//! * A consumer of a queue with `x-single-active-consumer` is cancelled. RabbitMQ 3.10 makes the next one active and does not serve it what
//!   is ready; over the next publication, the process of the queue crashes, and what is transient in it is lost. The memory broker
//!   serves it.
//! * Messages that have been dead-lettered [`ENDLESS`] times: RabbitMQ does not notice some cycles, and goes round in them for ever. The
//!   memory broker stops after some thousand rounds.
//! * A connection with several busy channels ends while somebody on another connection takes messages: the channels end one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use carrot_core::Value;
use carrot_core::backend::Content;

/// The time-to-live and the expiry that programs use: long for a program without waits.
pub const SHORTLY: Duration = Duration::from_millis(600);
/// How long a wait is.
pub const WAIT: Duration = Duration::from_millis(900);
/// A run that takes so long without a wait is no evidence: a message that was dead-lettered during a wait, and expires [`SHORTLY`]
/// after that, may be gone.
pub const SLOW: Duration = Duration::from_millis(250);
/// How long RabbitMQ may take to come to what is expected of it.
pub const SETTLE: Duration = Duration::from_millis(1500);

/// Who has been dead-lettered so often is on a way without end.
pub const ENDLESS: i64 = 50;

/// Whether a line of a log tells of a message on a way without end.
pub fn is_endless(line: &str) -> bool {
    line.split("count: I64(").skip(1).filter_map(|rest| rest.split(')').next()?.parse::<i64>().ok()).any(|count| count >= ENDLESS)
}

/// What is in each queue, ready or unsettled, to see what arrived there.
#[derive(Debug, Default)]
pub struct Arrivals {
    known: BTreeMap<String, Vec<Message>>,
}

/// A message as it can be told from others: its body, and its way through queues.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    body: Vec<u8>,
    way: Vec<(String, i64)>,
}

impl Message {
    fn new(content: &Content) -> Message {
        let deaths = content.properties.header("x-death").and_then(Value::as_array).unwrap_or_default();
        let way = deaths.iter().filter_map(Value::as_table).map(|death| {
            let queue = death.get("queue").and_then(Value::as_str).unwrap_or_default();
            (queue.to_string(), death.get("count").and_then(Value::as_i64).unwrap_or_default())
        });
        Message { body: content.body.clone(), way: way.collect() }
    }
}

impl Arrivals {
    /// Takes note of all that is in a queue after an operation, or was taken out of it during the operation; gives whether the order of
    /// what is new is open.
    pub fn note<'a>(&mut self, queue: &str, contents: impl Iterator<Item = &'a Content>) -> bool {
        let present: Vec<Message> = contents.map(Message::new).collect();
        let mut before = self.known.insert(queue.to_string(), present.clone()).unwrap_or_default();
        let mut ways = BTreeSet::new();
        for message in present {
            match before.iter().position(|other| *other == message) {
                Some(index) => drop(before.swap_remove(index)),
                None => drop(ways.insert(message.way.into_iter().map(|(queue, _)| queue).collect::<Vec<_>>())),
            }
        }
        ways.len() > 1
    }
}
