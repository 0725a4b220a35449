//! The type of a queue, and the arguments that belong to one type.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::model::queue::milliseconds;
use crate::model::{DelayedRetry, LeaderLocator, Overflow, Queue, Value};

/// The argument that sets the type of a queue.
const QUEUE_TYPE: &str = "x-queue-type";
const DELIVERY_LIMIT: &str = "x-delivery-limit";
const DELAYED_RETRY_TYPE: &str = "x-delayed-retry-type";
/// The delivery limit of a quorum queue without one, since RabbitMQ 4.0.
const DEFAULT_DELIVERY_LIMIT: i64 = 20;

/// Types of queues, and the arguments of one type.
impl Queue {
    /// Declares a classic queue (`x-queue-type`), also if the virtual host has another default.
    ///
    /// A classic queue has one copy, on one node.
    ///
    /// Defaults to the default queue type of the virtual host, which is classic unless the broker
    /// is configured otherwise.
    ///
    /// ```
    /// let queue = carrot::Queue::new("cache-updates").classic();
    /// assert_eq!(queue.arguments.get("x-queue-type"), Some(&"classic".into()));
    /// ```
    #[must_use]
    pub fn classic(self) -> Queue {
        self.argument(QUEUE_TYPE, "classic")
    }

    /// Declares a replicated quorum queue (`x-queue-type`).
    ///
    /// Quorum queues are durable, and neither exclusive nor auto-delete.
    ///
    /// Defaults to the default queue type of the virtual host, which is classic unless the broker
    /// is configured otherwise.
    #[must_use]
    pub fn quorum(self) -> Queue {
        self.argument(QUEUE_TYPE, "quorum")
    }

    /// Declares a stream (`x-queue-type`), which keeps its messages after they are read.
    ///
    /// Streams are durable, and neither exclusive nor auto-delete. A consumer starts at a
    /// [`stream_offset`]. [`max_age`](Queue::max_age) and
    /// [`max_length_bytes`](Queue::max_length_bytes) limit a stream; without a limit, a stream
    /// grows until the disk is full.
    ///
    /// RabbitMQ refuses these arguments for a stream, with
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed): a message TTL, an expiry,
    /// a number of messages, a dead-letter exchange, an overflow behaviour, priorities, and a
    /// single active consumer. The memory broker has no streams.
    ///
    /// Defaults to the default queue type of the virtual host.
    ///
    /// [`stream_offset`]: crate::ConsumerDefinition::stream_offset
    ///
    /// ```
    /// use std::time::Duration;
    /// use carrot::{Queue, message::Value};
    ///
    /// let events = Queue::new("events")
    ///     .stream()
    ///     .max_age(Duration::from_secs(7 * 24 * 3600))
    ///     .max_length_bytes(20_000_000_000);
    /// assert_eq!(events.arguments.get("x-max-age").and_then(Value::as_str), Some("604800s"));
    /// ```
    #[must_use]
    pub fn stream(self) -> Queue {
        self.argument(QUEUE_TYPE, "stream")
    }

    /// Limits how often a message of a quorum queue is redelivered (`x-delivery-limit`).
    ///
    /// The message is delivered at most `deliveries + 1` times. After that, the broker dead-letters
    /// the message, or **drops** the message if the queue has no
    /// [`dead_letter_exchange`](Queue::dead_letter_exchange). The reason in
    /// [`Death`](crate::Death) is `delivery_limit`.
    ///
    /// RabbitMQ 4.3 counts a lost connection and a `basic.reject`, but no `basic.nack`. Earlier
    /// releases count every delivery that was not acknowledged.
    ///
    /// Defaults to the limit of the broker: none before RabbitMQ 4.0, 20 since.
    ///
    /// ```
    /// use carrot::{Queue, message::Value};
    ///
    /// let queue = Queue::new("jobs").quorum().delivery_limit(5).dead_letter_exchange("poison");
    /// assert_eq!(queue.arguments.get("x-delivery-limit"), Some(&Value::I64(5)));
    /// ```
    #[must_use]
    pub fn delivery_limit(self, deliveries: u32) -> Queue {
        self.argument(DELIVERY_LIMIT, i64::from(deliveries))
    }

    /// Removes the delivery limit of a quorum queue (`x-delivery-limit` = -1). For RabbitMQ 4.0 and
    /// later.
    ///
    /// Earlier releases have no limit by default, and treat -1 as a limit that every redelivery
    /// exceeds: they **drop** the message (measured with 3.10.8).
    ///
    /// A message that ends its process at each delivery is then redelivered forever.
    ///
    /// Defaults to the limit of the broker: none before RabbitMQ 4.0, 20 since.
    ///
    /// ```
    /// use carrot::{Queue, message::Value};
    ///
    /// let queue = Queue::new("jobs").quorum().without_delivery_limit();
    /// assert_eq!(queue.arguments.get("x-delivery-limit"), Some(&Value::I64(-1)));
    /// ```
    #[must_use]
    pub fn without_delivery_limit(self) -> Queue {
        self.argument(DELIVERY_LIMIT, -1_i64)
    }

    /// Delays requeued messages of a quorum queue at the broker, for RabbitMQ 4.3 and later
    /// (`x-delayed-retry-type`, `x-delayed-retry-min`, `x-delayed-retry-max`).
    ///
    /// The pause is `shortest` times the number of failed deliveries, at most `longest`. Both are
    /// whole milliseconds, at least 1.
    ///
    /// A consumer whose queue delays [`All`](DelayedRetry::All) or [`Failed`](DelayedRetry::Failed)
    /// messages retries through the broker, without waiting queues. See
    /// [`ConsumerDefinition::retry`](crate::ConsumerDefinition::retry).
    ///
    /// Earlier releases accept the arguments of a quorum queue and **ignore** them: a requeued
    /// message is redelivered at once. A consumer of this crate then uses waiting queues.
    ///
    /// Opening a consumer of the queue fails with [`Error::Invalid`](crate::Error::Invalid) if
    /// `shortest` is less than 1 ms, or `longest` is less than `shortest`. RabbitMQ accepts such
    /// arguments, and does not delay as asked.
    ///
    /// Declaring the queue fails with [`Error::Invalid`](crate::Error::Invalid) if the queue has a
    /// maximum length and drops its oldest messages. RabbitMQ 4.3.6 stops serving such a queue as
    /// soon as the delayed messages exceed the length.
    ///
    /// Defaults to no delay.
    ///
    /// ```
    /// use std::time::Duration;
    /// use carrot::{Queue, topology::DelayedRetry};
    ///
    /// // Pauses of 2, 4, 6, 8 and 10 s.
    /// let queue = Queue::new("jobs").quorum().delayed_retry(
    ///     DelayedRetry::Failed,
    ///     Duration::from_secs(2),
    ///     Duration::from_secs(10),
    /// );
    /// assert_eq!(queue.arguments.get("x-delayed-retry-min"), Some(&2000_i64.into()));
    /// ```
    #[must_use]
    pub fn delayed_retry(
        self,
        delayed: DelayedRetry,
        shortest: Duration,
        longest: Duration,
    ) -> Queue {
        self.argument(DELAYED_RETRY_TYPE, delayed.as_str())
            .argument("x-delayed-retry-min", milliseconds(shortest))
            .argument("x-delayed-retry-max", milliseconds(longest))
    }

    /// Dead-letters messages of a quorum queue at least once (`x-dead-letter-strategy`), and
    /// refuses new messages when the queue is full (`x-overflow` = `reject-publish`).
    ///
    /// The queue keeps a message until the queues of the dead-letter exchange have confirmed the
    /// message. Without this strategy, a message is lost if its target queue cannot take it.
    ///
    /// Needs a [`dead_letter_exchange`](Queue::dead_letter_exchange) and RabbitMQ 3.10 or later.
    /// RabbitMQ uses the strategy only if a full queue refuses messages, which is why this sets
    /// both. A later [`overflow`](Queue::overflow) replaces that part. Messages that cannot be
    /// dead-lettered count towards the length limit of the queue.
    ///
    /// Defaults to at most once.
    ///
    /// ```
    /// use carrot::{Queue, message::Value};
    ///
    /// let queue =
    ///     Queue::new("jobs").quorum().dead_letter_exchange("failed").dead_letter_at_least_once();
    /// let overflow = queue.arguments.get("x-overflow").and_then(Value::as_str);
    /// assert_eq!(overflow, Some("reject-publish"));
    /// ```
    #[must_use]
    pub fn dead_letter_at_least_once(self) -> Queue {
        self.argument("x-dead-letter-strategy", "at-least-once").overflow(Overflow::RejectPublish)
    }

    /// Sets the node that leads a new quorum queue or stream (`x-queue-leader-locator`).
    ///
    /// RabbitMQ before 4.0 refuses the argument for a classic queue.
    ///
    /// Defaults to the setting of the broker, which is the node of the declaring connection.
    ///
    /// ```
    /// use carrot::{Queue, topology::LeaderLocator};
    ///
    /// let queue = Queue::new("jobs").quorum().leader_locator(LeaderLocator::Balanced);
    /// assert_eq!(queue.arguments.get("x-queue-leader-locator"), Some(&"balanced".into()));
    /// ```
    #[must_use]
    pub fn leader_locator(self, leader: LeaderLocator) -> Queue {
        self.argument("x-queue-leader-locator", leader.as_str())
    }

    /// Sets the number of nodes that hold a new quorum queue (`x-quorum-initial-group-size`), at
    /// least 1.
    ///
    /// A cluster with fewer nodes uses all of its nodes. An odd number is best. The argument of a
    /// stream is `x-initial-cluster-size`.
    ///
    /// Defaults to 3 nodes.
    ///
    /// ```
    /// let queue = carrot::Queue::new("payments").quorum().initial_group_size(5);
    /// assert_eq!(queue.arguments.get("x-quorum-initial-group-size"), Some(&5_i64.into()));
    /// ```
    #[must_use]
    pub fn initial_group_size(self, nodes: u32) -> Queue {
        self.argument("x-quorum-initial-group-size", i64::from(nodes))
    }

    /// Deletes messages of a stream that are older than `age`, in whole seconds, at least 1
    /// (`x-max-age`). Rounds up.
    ///
    /// A stream is cut by segments, when a segment is full. A message can therefore stay longer.
    /// The newest segment always stays.
    ///
    /// Defaults to no limit.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let queue = carrot::Queue::new("events").stream().max_age(Duration::from_secs(3600));
    /// assert_eq!(queue.arguments.get("x-max-age"), Some(&"3600s".into()));
    /// ```
    #[must_use]
    pub fn max_age(self, age: Duration) -> Queue {
        self.argument("x-max-age", format!("{}s", whole_seconds(age)))
    }

    /// Sets the size of a stream's segment files, in bytes (`x-stream-max-segment-size-bytes`).
    ///
    /// RabbitMQ deletes whole segments: a stream keeps up to one segment more than its limits.
    ///
    /// Defaults to 500,000,000 bytes. The largest size is 3,000,000,000 bytes.
    ///
    /// ```
    /// let queue = carrot::Queue::new("events").stream().max_segment_bytes(50_000_000);
    /// let size = queue.arguments.get("x-stream-max-segment-size-bytes");
    /// assert_eq!(size, Some(&50_000_000_i64.into()));
    /// ```
    #[must_use]
    pub fn max_segment_bytes(self, bytes: u32) -> Queue {
        self.argument("x-stream-max-segment-size-bytes", i64::from(bytes))
    }

    /// Returns whether the definition describes a stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.text(QUEUE_TYPE) == Some("stream")
    }

    /// Returns whether the broker delays failed messages, as far as the definition shows.
    ///
    /// A declaration with these arguments fails if the queue exists without them. A passive
    /// declaration proves nothing.
    pub(crate) fn delays_failed(&self) -> bool {
        !self.passive
            && self.text(QUEUE_TYPE) == Some("quorum")
            && matches!(self.text(DELAYED_RETRY_TYPE), Some("all" | "failed"))
    }

    /// Refuses delayed retries of a queue that drops its oldest messages at a maximum length.
    ///
    /// RabbitMQ 4.3.6 works without an end in the process of such a queue as soon as its delayed
    /// messages exceed the length.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid): names the argument of the length.
    pub(crate) fn validate_delayed_length(&self) -> Result<()> {
        let delays = self.text(QUEUE_TYPE) == Some("quorum")
            && matches!(self.text(DELAYED_RETRY_TYPE), Some("all" | "failed" | "returned"));
        if self.passive || !delays || self.text("x-overflow") == Some("reject-publish") {
            return Ok(());
        }
        let limits = ["x-max-length", "x-max-length-bytes"];
        match limits.into_iter().find(|name| self.arguments.contains(name)) {
            Some(name) => Err(Error::invalid(
                "delayed retry",
                name,
                "no length at which the queue drops messages, because RabbitMQ 4.3 stops serving \
                 the queue as soon as delayed messages exceed it; Overflow::RejectPublish is \
                 possible",
            )),
            None => Ok(()),
        }
    }

    /// Returns the number of failed deliveries after which the broker drops or dead-letters a
    /// message of a quorum queue, or `None` for no limit.
    pub(crate) fn delivery_limit_since_4_0(&self) -> Option<i64> {
        let limit = self.arguments.get(DELIVERY_LIMIT).and_then(Value::as_i64);
        Some(limit.unwrap_or(DEFAULT_DELIVERY_LIMIT)).filter(|limit| *limit >= 0)
    }

    fn text(&self, argument: &str) -> Option<&str> {
        self.arguments.get(argument).and_then(Value::as_str)
    }
}

/// Rounds up to whole seconds.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
