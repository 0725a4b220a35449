//! What AMQP leaves open, and what the comparison makes of it. All of it is here.
//!
//! # Made certain
//!
//! * **When things happen.** A broker does some things after it has answered: it delivers, requeues, dead-letters, deletes what nobody
//!   uses. After each operation the run on RabbitMQ is given [`SETTLE`] to come to what the memory broker came to; only then it differs.
//! * **What a channel gives back.** It does so a moment after its end, and if a consumer gets it that takes nothing yet, nothing shows.
//!   Where that can be, the run waits for [`GIVING_BACK`].
//! * **What a channel has done.** `publish`, `ack` and `reject` do not wait for the broker. After each of them the run waits for the
//!   confirm, or makes a round trip on the same channel that changes nothing (the passive declaration of `amq.direct`).
//! * **Time.** What is due after a while is due after [`SHORTLY`], and `Wait` is [`WAIT`] long: on RabbitMQ by waiting, on the memory
//!   broker by its clock. A run on RabbitMQ in which more than [`SLOW`] pass beside the waits is no evidence of a difference, and is made
//!   again.
//! * **The driver.** amiquip ends a connection over some races, such as a frame on a channel that the broker has just closed. A run in
//!   which the driver says that it [gave up](GAVE_UP) is made again, and counted.
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
//! After what a [`Freedom`] tells of, both brokers go on being compared, since they mostly agree. If they do differ later, the program is
//! counted as *open* and not as a divergence.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use carrot_core::Value;
use carrot_core::backend::Content;

/// Something that brokers may do one way or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freedom {
    /// Messages arrived in one queue by different ways after one operation: published, or dead-lettered by different queues. Each queue is
    /// a process of its own, and sends on its own. See [`Arrivals`].
    DifferentWays,
    /// Several deliveries were settled at once on a channel that consumes from several queues: which tags lie below is a race.
    TagsOfSeveralQueues,
    /// Deliveries to several consumers were settled at once: RabbitMQ tells the queue consumer by consumer, in the order of their random
    /// tags.
    SeveralConsumers,
    /// A channel was dropped with a subscription that had not handed out all it got, and another, or something unsettled. Whether all of
    /// it is given back at once or one after the other is a race, and so is who gets it meanwhile.
    DroppedChannel,
    /// A channel ended that consumed from one queue and had something unsettled of another. Each queue learns of the end on its own: what
    /// one dead-letters when it gets it back, the other may still send to the dead consumer, and so mark it as redelivered.
    ChannelOfSeveralQueues,
    /// A connection with several busy channels ended: its channels end one by one, and what one gives back, another may get.
    BusyConnection,
    /// A consumer of a queue with `x-single-active-consumer` was cancelled. RabbitMQ 3.10 makes the next one active and does not serve it
    /// what is ready; over the next publication the process of the queue crashes, and what is transient in it is lost. The memory broker
    /// serves it.
    SingleActiveConsumer,
    /// A message was dead-lettered [`ENDLESS`] times. RabbitMQ does not notice some cycles, and goes round in them for ever; the memory
    /// broker stops after some thousand rounds.
    EndlessRound,
}

/// The time-to-live and the expiry that programs use: long for a program without waits.
pub const SHORTLY: Duration = Duration::from_millis(600);
/// How long a wait is.
pub const WAIT: Duration = Duration::from_millis(900);
/// A run in which so much time passes beside the waits is no evidence.
pub const SLOW: Duration = Duration::from_millis(250);
/// What the AMQP driver says when it loses a connection of its own accord.
pub const GAVE_UP: &str = "the driver gave up";
/// How long RabbitMQ may take to give back what a channel held that has ended.
pub const GIVING_BACK: Duration = Duration::from_millis(50);
/// How long RabbitMQ may take to come to what is expected of it.
pub const SETTLE: Duration = Duration::from_millis(1500);

/// How much time passes beside the waits.
///
/// A message that is dead-lettered in the middle of a wait, and expires [`SHORTLY`] after that, has `2 * SHORTLY - WAIT` left when the
/// wait is over, less what passed between its publication and the wait.
#[derive(Debug)]
pub struct Pace {
    since: Instant,
    /// The time before each of the last waits.
    before: VecDeque<Duration>,
}

impl Pace {
    /// Begins now.
    #[allow(clippy::new_without_default, reason = "it is no neutral value")]
    pub fn new() -> Pace {
        Pace { since: Instant::now(), before: VecDeque::new() }
    }

    /// A wait is over. What it took longer than it was to counts as time beside it.
    pub fn waited(&mut self) {
        let now = Instant::now();
        self.before.push_back(now.duration_since(self.since).saturating_sub(WAIT));
        if self.before.len() > 2 {
            self.before.pop_front();
        }
        self.since = now;
    }

    /// Whether so much time has passed that what is due, and what is not yet, is no longer certain.
    pub fn is_slow(&self) -> bool {
        self.since.elapsed() + self.before.iter().sum::<Duration>() > SLOW
    }
}

/// Who has been dead-lettered so often is on a way without end.
pub const ENDLESS: i64 = 50;

/// Whether a line of a log tells of a message on a way without end.
pub fn is_endless(line: &str) -> bool {
    line.split("count: I64(")
        .skip(1)
        .filter_map(|rest| rest.split(')').next()?.parse::<i64>().ok())
        .any(|count| count >= ENDLESS)
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
        let deaths =
            content.properties.header("x-death").and_then(Value::as_array).unwrap_or_default();
        let way = deaths.iter().filter_map(Value::as_table).map(|death| {
            let queue = death.get("queue").and_then(Value::as_str).unwrap_or_default();
            (queue.to_string(), death.get("count").and_then(Value::as_i64).unwrap_or_default())
        });
        Message { body: content.body.to_vec(), way: way.collect() }
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
                None => {
                    ways.insert(
                        message.way.into_iter().map(|(queue, _)| queue).collect::<Vec<_>>(),
                    );
                }
            }
        }
        ways.len() > 1
    }
}
