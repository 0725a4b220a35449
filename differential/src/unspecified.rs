//! The behaviour that AMQP does not specify, and its treatment in the comparison.
//!
//! # Made deterministic
//!
//! * **The time of an effect.** A broker delivers, requeues, dead-letters and deletes unused
//!   entities after its response. The run on RabbitMQ waits for up to [`SETTLE`] after each
//!   operation for the observations of the memory broker. Only then the observations differ.
//! * **The requeue of an ended channel.** The broker requeues the unsettled messages after the end
//!   of the channel. If a lazy consumer receives them, the observations do not show it. The run
//!   waits for [`REQUEUE_TIME`] in this case, and after an unconfirmed message in a program with a
//!   quorum queue.
//! * **The end of a call.** `publish`, `ack` and `reject` do not wait for the broker. After each of
//!   them the run waits for the confirm, or makes a round trip without an effect on the same
//!   channel (the passive declaration of `amq.direct`).
//! * **Time.** Timed events are due after [`SHORTLY`], and `Wait` lasts for [`WAIT`]. RabbitMQ
//!   waits in real time, and the memory broker advances its clock. A run on RabbitMQ that takes
//!   more than [`SLOW`] in addition to the waits is no evidence of a difference, and is repeated.
//! * **The driver.** amiquip closes a connection after some races, such as a frame on a channel
//!   that the broker has just closed. A run with the error [`GAVE_UP`] is repeated, and counted.
//! * **Names from the broker, and times of death,** are replaced with placeholders.
//!
//! # Not compared
//!
//! * The texts of errors, except for the reply code and the text of a return.
//! * Delivery tags on a channel with consumers of several queues, because each queue sends
//!   independently. The order within a queue is compared. In a program with a quorum queue, tags
//!   are not compared on a channel with several consumers: such a queue sends to one consumer after
//!   the other.
//! * Confirms that are missing when the channel fails, because their arrival is a race.
//!
//! # Unspecified
//!
//! The comparison continues after a behaviour of [`Unspecified`], because the brokers agree in most
//! cases. If they differ later, the program is counted as *unspecified* and not as a divergence.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use carrot_core::Value;
use carrot_core::backend::Content;

/// A behaviour that AMQP does not specify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unspecified {
    /// Messages arrived in one queue on several paths after one operation: published, or
    /// dead-lettered by different queues. Each queue is a process of its own, and sends
    /// independently. See [`QueueArrivals`].
    SeveralPaths,
    /// Messages of several queues expired in one wait, and one of these queues has a maximum length
    /// and dead-letters. A dead letter of another queue may arrive before or after the expiry, and
    /// so be the reason for a death or not.
    SimultaneousExpiry,
    /// Several deliveries were settled at once on a channel that consumes from several queues. The
    /// tags of the deliveries depend on a race.
    TagsOfSeveralQueues,
    /// Deliveries to several consumers were settled at once. RabbitMQ settles them consumer by
    /// consumer, in the order of their random tags. A quorum queue does so when a channel ends,
    /// too, and fetched messages count as one consumer each.
    SeveralConsumers,
    /// A channel was dropped with an unread delivery, and with another subscription or unsettled
    /// delivery. The order of the requeues and the next consumers depend on a race.
    DroppedChannel,
    /// A channel ended that consumed from one queue and had an unsettled delivery of another. Each
    /// queue notices the end independently. A message that one queue dead-letters after the requeue
    /// may be delivered to the ended consumer by the other, and be marked as redelivered.
    ChannelOfSeveralQueues,
    /// A connection with several busy channels ended. Its channels end one after the other, and a
    /// channel may receive the messages that another requeues.
    BusyConnection,
    /// A consumer of a queue with `x-single-active-consumer` was cancelled. RabbitMQ 3.10 activates
    /// the next consumer without delivering the ready messages to it. The queue process crashes at
    /// the next publication, and its transient messages are lost. The memory broker delivers the
    /// ready messages.
    ///
    /// Or a channel with several such consumers of one queue ended. RabbitMQ 4.3 cancels them one
    /// by one, and may deliver to the next one of the ended channel. With a quorum queue, a single
    /// one is enough: a full queue may drop a returned message while no consumer is active.
    SingleActiveConsumer,
    /// A quorum queue has a message that expires at once, or is declared with a time-to-live of
    /// zero. RabbitMQ drops such a message at a later time, and may deliver it before.
    ImmediateExpiry,
    /// A lazy subscription ended in a program with a quorum queue. Such a queue delivers after it
    /// has answered the publisher, so that messages may be on their way to the subscription or not.
    LateDelivery,
    /// A queue was purged that dead-letters at least once. The messages that wait until their dead
    /// letters have arrived may or may not be counted.
    PurgedDeadLetters,
    /// A message was dead-lettered [`ENDLESS`] times. RabbitMQ does not detect some dead-letter
    /// cycles, which then never end. The memory broker stops after a few thousand rounds.
    EndlessDeadLettering,
}

/// The time-to-live and the expiry that programs use. It is longer than a program without waits.
pub const SHORTLY: Duration = Duration::from_millis(600);
/// The duration of a wait.
pub const WAIT: Duration = Duration::from_millis(900);
/// The time in addition to the waits from which a run is no evidence.
pub const SLOW: Duration = Duration::from_millis(250);
/// The error text of the AMQP driver when it closes a connection without a cause at the broker.
pub const GAVE_UP: &str = "the driver gave up";
/// The time in which RabbitMQ requeues the unsettled messages of an ended channel.
pub const REQUEUE_TIME: Duration = Duration::from_millis(50);
/// The time in which RabbitMQ has to show the expected observations.
pub const SETTLE: Duration = Duration::from_millis(1500);

/// Measures the time that passes in addition to the waits.
///
/// A message that is dead-lettered during a wait, and expires [`SHORTLY`] after that, has a
/// remaining time of `2 * SHORTLY - WAIT` at the end of the wait, minus the time between its
/// publication and the wait.
#[derive(Debug)]
pub struct TimingCheck {
    since: Instant,
    /// The time before each of the last waits.
    before: VecDeque<Duration>,
}

impl TimingCheck {
    /// Starts the measurement.
    #[allow(clippy::new_without_default, reason = "the present time is no neutral value")]
    pub fn new() -> TimingCheck {
        TimingCheck { since: Instant::now(), before: VecDeque::new() }
    }

    /// Records the end of a wait. The time by which it exceeded [`WAIT`] is additional time.
    pub fn waited(&mut self) {
        let now = Instant::now();
        self.before.push_back(now.duration_since(self.since).saturating_sub(WAIT));
        if self.before.len() > 2 {
            self.before.pop_front();
        }
        self.since = now;
    }

    /// Returns whether the additional time makes the due events uncertain.
    pub fn is_slow(&self) -> bool {
        self.since.elapsed() + self.before.iter().sum::<Duration>() > SLOW
    }
}

/// The number of dead-letterings from which a message counts as endlessly dead-lettered.
pub const ENDLESS: i64 = 50;

/// Returns whether a line of a log contains an endlessly dead-lettered message.
pub fn is_endless(line: &str) -> bool {
    line.split("count: I64(")
        .skip(1)
        .filter_map(|rest| rest.split(')').next()?.parse::<i64>().ok())
        .any(|count| count >= ENDLESS)
}

/// The ready and unsettled messages of each queue, to find newly arrived messages.
#[derive(Debug, Default)]
pub struct QueueArrivals {
    known: BTreeMap<String, Vec<ArrivedMessage>>,
}

/// The identity of a message: its body, and its path through queues.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ArrivedMessage {
    body: Vec<u8>,
    path: Vec<(String, i64)>,
}

impl ArrivedMessage {
    fn new(content: &Content) -> ArrivedMessage {
        let deaths =
            content.properties.header("x-death").and_then(Value::as_array).unwrap_or_default();
        let path = deaths.iter().filter_map(Value::as_table).map(|death| {
            let queue = death.get("queue").and_then(Value::as_str).unwrap_or_default();
            (queue.to_string(), death.get("count").and_then(Value::as_i64).unwrap_or_default())
        });
        ArrivedMessage { body: content.body.to_vec(), path: path.collect() }
    }
}

impl QueueArrivals {
    /// Records the messages that are in a queue after an operation, or were removed during the
    /// operation. Returns whether the order of the new messages is unspecified.
    pub fn add<'a>(&mut self, queue: &str, contents: impl Iterator<Item = &'a Content>) -> bool {
        let present: Vec<ArrivedMessage> = contents.map(ArrivedMessage::new).collect();
        let mut before = self.known.insert(queue.to_string(), present.clone()).unwrap_or_default();
        let mut paths = BTreeSet::new();
        for message in present {
            match before.iter().position(|other| *other == message) {
                Some(index) => drop(before.swap_remove(index)),
                None => {
                    paths.insert(
                        message.path.into_iter().map(|(queue, _)| queue).collect::<Vec<_>>(),
                    );
                }
            }
        }
        paths.len() > 1
    }
}
