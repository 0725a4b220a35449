use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::exchange::durable;
use crate::model::{Headers, ShortString, Value};

/// The beginning of the names that ActiveMQ gives to queues.
pub(crate) const TEMPORARY_QUEUE: &str = "temp-queue://";

/// The behaviour of a queue that has reached its length limit (RabbitMQ's `x-overflow`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Overflow {
    /// Drops or dead-letters messages from the head of the queue.
    DropHead,
    /// Refuses the new message, and nacks the message to the publisher.
    RejectPublish,
    /// Refuses the new message, nacks the message to the publisher, and dead-letters the message.
    #[serde(rename = "reject-publish-dlx")]
    RejectPublishDeadLetter,
}

impl Overflow {
    /// Returns the value of the `x-overflow` argument.
    pub fn as_str(self) -> &'static str {
        match self {
            Overflow::DropHead => "drop-head",
            Overflow::RejectPublish => "reject-publish",
            Overflow::RejectPublishDeadLetter => "reject-publish-dlx",
        }
    }
}

/// The definition of a queue, which holds messages until a consumer acknowledges them.
///
/// ```
/// use std::time::Duration;
/// use carrot::{Queue, message::Value};
///
/// let queue = Queue::new("jobs")
///     .message_ttl(Duration::from_secs(60))
///     .dead_letter_exchange("failed");
/// assert_eq!(queue.arguments.get("x-message-ttl"), Some(&Value::I64(60_000)));
///
/// let private = Queue::server_named();
/// assert!(private.exclusive && private.auto_delete);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Queue {
    /// The name, at most 255 bytes.
    ///
    /// If the name is empty, the broker generates one.
    pub name: String,
    /// Whether the queue survives a broker restart.
    #[serde(default = "durable")]
    pub durable: bool,
    /// Whether only the declaring connection can use the queue.
    ///
    /// The broker deletes an exclusive queue when that connection closes.
    #[serde(default)]
    pub exclusive: bool,
    /// Whether the broker deletes the queue when the last consumer is removed.
    #[serde(default)]
    pub auto_delete: bool,
    /// Whether declaring only checks that the queue exists, and creates nothing.
    #[serde(default)]
    pub passive: bool,
    /// Further arguments, such as `x-message-ttl`.
    #[serde(default)]
    pub arguments: Headers,
}

impl Queue {
    /// Creates the definition of a durable queue.
    pub fn new(name: impl Into<String>) -> Queue {
        Queue { name: name.into(), durable: true, ..Queue::default() }
    }

    /// Creates the definition of a queue that the broker names, for this connection only.
    ///
    /// The queue is exclusive, auto-delete and transient.
    pub fn server_named() -> Queue {
        Queue { exclusive: true, auto_delete: true, ..Queue::default() }
    }

    /// Creates the definition of a queue that another client owns.
    ///
    /// Declaring the queue checks that the queue exists, and never creates one. A missing queue
    /// fails with [`Error::NotFound`](crate::Error::NotFound).
    pub fn existing(name: impl Into<String>) -> Queue {
        Queue { passive: true, ..Queue::new(name) }
    }

    /// Returns whether the broker deletes the queue when unused or when the connection ends.
    pub(crate) fn goes_by_itself(&self) -> bool {
        self.exclusive
            || self.auto_delete
            || self.name.is_empty()
            || self.arguments.contains("x-expires")
    }

    /// Declares a transient queue, which does not survive a broker restart.
    ///
    /// RabbitMQ deprecates transient queues that are not exclusive. RabbitMQ 4.3.6 still permits
    /// them by default. A broker that denies them closes the connection with code 541. Use
    /// [`exclusive`](Queue::exclusive), or a durable queue that [`expires`](Queue::expires).
    ///
    /// Defaults to durable.
    #[must_use]
    pub fn transient(mut self) -> Queue {
        self.durable = false;
        self
    }

    /// Restricts the queue to this connection, and sets [`auto_delete`](Queue::auto_delete).
    ///
    /// Defaults to shared.
    #[must_use]
    pub fn exclusive(mut self) -> Queue {
        self.exclusive = true;
        self.auto_delete = true;
        self
    }

    /// Deletes the queue when the last consumer is removed.
    ///
    /// A queue that never had a consumer is not deleted.
    ///
    /// Defaults to keeping the queue.
    #[must_use]
    pub fn auto_delete(mut self) -> Queue {
        self.auto_delete = true;
        self
    }

    /// Sets the time to live of messages, in whole milliseconds (`x-message-ttl`).
    ///
    /// Zero drops messages that cannot be delivered immediately.
    ///
    /// Defaults to no limit.
    #[must_use]
    pub fn message_ttl(self, ttl: Duration) -> Queue {
        self.argument("x-message-ttl", milliseconds(ttl))
    }

    /// Deletes the queue after this time unused, in whole milliseconds, at least 1 (`x-expires`).
    ///
    /// An unused queue has no consumer, no get and no declaration.
    ///
    /// Defaults to never.
    #[must_use]
    pub fn expires(self, unused: Duration) -> Queue {
        self.argument("x-expires", milliseconds(unused))
    }

    /// Sets the maximum number of ready messages (`x-max-length`).
    ///
    /// Defaults to no limit.
    #[must_use]
    pub fn max_length(self, messages: u32) -> Queue {
        self.argument("x-max-length", i64::from(messages))
    }

    /// Sets the maximum size of all ready bodies, in bytes (`x-max-length-bytes`).
    ///
    /// Defaults to no limit.
    #[must_use]
    pub fn max_length_bytes(self, bytes: u64) -> Queue {
        self.argument("x-max-length-bytes", i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    /// Sets the behaviour of a queue that has reached its length limit (`x-overflow`).
    ///
    /// Defaults to dropping from the head.
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Queue {
        self.argument("x-overflow", overflow.as_str())
    }

    /// Dead-letters rejected, expired and dropped messages to `exchange`
    /// (`x-dead-letter-exchange`).
    ///
    /// Defaults to none.
    #[must_use]
    pub fn dead_letter_exchange(self, exchange: impl Into<String>) -> Queue {
        self.argument("x-dead-letter-exchange", exchange.into())
    }

    /// Sets the routing key of dead-lettered messages, at most 255 bytes
    /// (`x-dead-letter-routing-key`).
    ///
    /// Defaults to the routing key of the message.
    #[must_use]
    pub fn dead_letter_routing_key(self, routing_key: impl Into<String>) -> Queue {
        self.argument("x-dead-letter-routing-key", routing_key.into())
    }

    /// Declares a priority queue with priorities 0 to `highest` (`x-max-priority`).
    ///
    /// RabbitMQ advises at most 10.
    ///
    /// Defaults to no priorities.
    #[must_use]
    pub fn max_priority(self, highest: u8) -> Queue {
        self.argument("x-max-priority", i32::from(highest))
    }

    /// Delivers to one consumer at a time; the others stand by (`x-single-active-consumer`).
    ///
    /// Defaults to all consumers.
    #[must_use]
    pub fn single_active_consumer(self) -> Queue {
        self.argument("x-single-active-consumer", true)
    }

    /// Sets one more argument.
    ///
    /// Defaults to none.
    #[must_use]
    pub fn argument(mut self, name: impl Into<ShortString>, value: impl Into<Value>) -> Queue {
        self.arguments.insert(name, value);
        self
    }
}

pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Converts a name to the definition of a durable queue.
impl From<&str> for Queue {
    fn from(name: &str) -> Queue {
        Queue::new(name)
    }
}

/// Converts a name to the definition of a durable queue.
impl From<String> for Queue {
    fn from(name: String) -> Queue {
        Queue::new(name)
    }
}

/// Converts a name to the definition of a durable queue.
impl From<&String> for Queue {
    fn from(name: &String) -> Queue {
        Queue::new(name)
    }
}

impl From<&Queue> for Queue {
    fn from(queue: &Queue) -> Queue {
        queue.clone()
    }
}

/// The result of a declaration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueInfo {
    /// The name of the queue or exchange, as requested or as generated by the broker.
    ///
    /// Empty for a binding.
    pub name: String,
    /// The number of ready messages in the queue, or 0 for an exchange or binding.
    pub message_count: u32,
    /// The number of consumers of the queue, or 0 for an exchange or binding.
    pub consumer_count: u32,
}

impl QueueInfo {
    /// Creates the result of declaring the queue or exchange `name`.
    pub fn new(name: impl Into<String>, message_count: u32, consumer_count: u32) -> QueueInfo {
        QueueInfo { name: name.into(), message_count, consumer_count }
    }
}
