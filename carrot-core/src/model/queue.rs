use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::exchange::durable;
use crate::model::{Headers, ShortString, Value};

/// What a queue does with a message that exceeds its limits (RabbitMQ's `x-overflow`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Overflow {
    /// Drops, or dead-letters, from its head.
    DropHead,
    /// Refuses the new message: its publisher is told by a nack.
    RejectPublish,
    /// Refuses the new message and dead-letters it.
    #[serde(rename = "reject-publish-dlx")]
    RejectPublishDeadLetter,
}

impl Overflow {
    /// The value of the `x-overflow` argument.
    pub fn as_str(self) -> &'static str {
        match self {
            Overflow::DropHead => "drop-head",
            Overflow::RejectPublish => "reject-publish",
            Overflow::RejectPublishDeadLetter => "reject-publish-dlx",
        }
    }
}

/// A queue to declare: where messages wait.
///
/// ```
/// use std::time::Duration;
/// use carrot::{Queue, message::Value};
///
/// let queue = Queue::new("jobs").message_ttl(Duration::from_secs(60)).dead_letter_exchange("failed");
/// assert_eq!(queue.arguments.get("x-message-ttl"), Some(&Value::I64(60_000)));
///
/// let private = Queue::server_named();
/// assert!(private.exclusive && private.auto_delete);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Queue {
    /// The name, at most 255 bytes. If it is empty, the broker makes one up.
    pub name: String,
    /// Whether it outlives a restart of the broker.
    #[serde(default = "durable")]
    pub durable: bool,
    /// Whether only the connection that declares it can use it; it goes away with that connection.
    #[serde(default)]
    pub exclusive: bool,
    /// Whether it goes away once its last consumer does.
    #[serde(default)]
    pub auto_delete: bool,
    /// Whether it is only checked for existence, not created.
    #[serde(default)]
    pub passive: bool,
    /// Further arguments, such as `x-message-ttl`.
    #[serde(default)]
    pub arguments: Headers,
}

impl Queue {
    /// A durable queue.
    pub fn new(name: impl Into<String>) -> Queue {
        Queue { name: name.into(), durable: true, ..Queue::default() }
    }

    /// A queue of this connection alone, named by the broker: exclusive, auto-delete, not durable.
    pub fn server_named() -> Queue {
        Queue { exclusive: true, auto_delete: true, ..Queue::default() }
    }

    /// A queue that somebody else owns: it is checked for existence
    /// ([`Error::NotFound`](crate::Error::NotFound)) and never created.
    pub fn existing(name: impl Into<String>) -> Queue {
        Queue { passive: true, ..Queue::new(name) }
    }

    /// Whether the broker deletes it when it is no longer used, or its connection ends.
    pub(crate) fn goes_by_itself(&self) -> bool {
        self.exclusive
            || self.auto_delete
            || self.name.is_empty()
            || self.arguments.contains("x-expires")
    }

    /// Lets it go with a restart of the broker. Defaults to durable.
    #[must_use]
    pub fn transient(mut self) -> Queue {
        self.durable = false;
        self
    }

    /// Closes it to every other connection; implies [`auto_delete`](Queue::auto_delete). Defaults
    /// to shared.
    #[must_use]
    pub fn exclusive(mut self) -> Queue {
        self.exclusive = true;
        self.auto_delete = true;
        self
    }

    /// Deletes it once its last consumer goes; a queue that never had one stays. Defaults to
    /// staying.
    #[must_use]
    pub fn auto_delete(mut self) -> Queue {
        self.auto_delete = true;
        self
    }

    /// How long a message may wait (`x-message-ttl`, whole milliseconds). Zero drops what cannot be
    /// delivered at once. Defaults to no limit.
    #[must_use]
    pub fn message_ttl(self, ttl: Duration) -> Queue {
        self.argument("x-message-ttl", milliseconds(ttl))
    }

    /// Deletes the queue once it was unused for so long: no consumer, no get, no declaration
    /// (`x-expires`, whole milliseconds, at least one). Defaults to never.
    #[must_use]
    pub fn expires(self, unused: Duration) -> Queue {
        self.argument("x-expires", milliseconds(unused))
    }

    /// How many ready messages it may hold (`x-max-length`). Defaults to no limit.
    #[must_use]
    pub fn max_length(self, messages: u32) -> Queue {
        self.argument("x-max-length", i64::from(messages))
    }

    /// How many bytes of ready bodies it may hold (`x-max-length-bytes`). Defaults to no limit.
    #[must_use]
    pub fn max_length_bytes(self, bytes: u64) -> Queue {
        self.argument("x-max-length-bytes", i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    /// What happens beyond those limits (`x-overflow`). Defaults to dropping from the head.
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Queue {
        self.argument("x-overflow", overflow.as_str())
    }

    /// Where a rejected, expired or dropped message goes (`x-dead-letter-exchange`). Defaults to
    /// nowhere.
    #[must_use]
    pub fn dead_letter_exchange(self, exchange: impl Into<String>) -> Queue {
        self.argument("x-dead-letter-exchange", exchange.into())
    }

    /// The routing key of dead letters (`x-dead-letter-routing-key`). Defaults to the message's
    /// own.
    #[must_use]
    pub fn dead_letter_routing_key(self, routing_key: impl Into<String>) -> Queue {
        self.argument("x-dead-letter-routing-key", routing_key.into())
    }

    /// Makes it a priority queue with priorities 0 to `highest` (`x-max-priority`; RabbitMQ advises
    /// at most 10). Defaults to none.
    #[must_use]
    pub fn max_priority(self, highest: u8) -> Queue {
        self.argument("x-max-priority", i32::from(highest))
    }

    /// Lets one consumer at a time receive, the others stand by (`x-single-active-consumer`).
    /// Defaults to all.
    #[must_use]
    pub fn single_active_consumer(self) -> Queue {
        self.argument("x-single-active-consumer", true)
    }

    /// Makes it a replicated quorum queue (`x-queue-type`); such a queue is durable, and neither
    /// exclusive nor auto-delete. Defaults to a classic queue.
    #[must_use]
    pub fn quorum(self) -> Queue {
        self.argument("x-queue-type", "quorum")
    }

    /// How often a message of a quorum queue may be delivered again before it is dropped or
    /// dead-lettered (`x-delivery-limit`). Defaults to no limit.
    #[must_use]
    pub fn delivery_limit(self, deliveries: u32) -> Queue {
        self.argument("x-delivery-limit", i64::from(deliveries))
    }

    /// Sets one more argument. Defaults to none.
    #[must_use]
    pub fn argument(mut self, name: impl Into<ShortString>, value: impl Into<Value>) -> Queue {
        self.arguments.insert(name, value);
        self
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A string is a durable queue of that name.
impl From<&str> for Queue {
    fn from(name: &str) -> Queue {
        Queue::new(name)
    }
}

/// A string is a durable queue of that name.
impl From<String> for Queue {
    fn from(name: String) -> Queue {
        Queue::new(name)
    }
}

/// A string is a durable queue of that name.
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

/// What came of a declaration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueInfo {
    /// The name of the queue or exchange: the one asked for, or the one the broker made up. Empty
    /// for a binding.
    pub name: String,
    /// For a queue, how many messages are ready in it; otherwise 0.
    pub message_count: u32,
    /// For a queue, how many consumers it has; otherwise 0.
    pub consumer_count: u32,
}

impl QueueInfo {
    /// An exchange or queue of this name.
    pub fn new(name: impl Into<String>, message_count: u32, consumer_count: u32) -> QueueInfo {
        QueueInfo { name: name.into(), message_count, consumer_count }
    }
}
