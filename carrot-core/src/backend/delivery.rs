//! Deliveries, and their settlement.

use std::sync::Arc;

use crate::backend::content::Content;
use crate::model::{Headers, ShortString, Value};

/// A message delivered by the broker.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// The number of the delivery on its channel, from 1.
    pub tag: DeliveryTag,
    /// Whether the message was, or may have been, delivered before.
    pub redelivered: bool,
    /// The message as published.
    pub content: Arc<Content>,
    /// The reason why a part of the message could not be read; `None` if `content` is complete.
    ///
    /// A part that could not be read is empty in `content`. The properties are empty if their
    /// octets are malformed. The body is empty if the backend skipped it, for example because of
    /// its size.
    ///
    /// Core passes such a message to no handler, because its body cannot be decoded reliably. Core
    /// never copies it, because the copy would lose that part. Only settling concerns the whole
    /// message.
    pub unreadable: Option<Arc<str>>,
}

impl Delivery {
    /// Creates a first delivery with complete content.
    #[inline]
    pub fn new(tag: DeliveryTag, content: Arc<Content>) -> Delivery {
        Delivery { tag, redelivered: false, content, unreadable: None }
    }

    /// Sets whether the message was, or may have been, delivered before.
    #[must_use]
    #[inline]
    pub fn with_redelivered(self, redelivered: bool) -> Delivery {
        Delivery { redelivered, ..self }
    }

    /// Sets the reason why a part of the message could not be read.
    ///
    /// The reason names the part and the limit or fault, in the words that a log line shows. It
    /// holds no octets of the peer.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use carrot::backend::{Content, Delivery, DeliveryTag};
    ///
    /// let partial = Arc::new(Content::new("", "jobs", "a body without its headers"));
    /// let delivery = Delivery::new(DeliveryTag(1), partial)
    ///     .with_unreadable("the headers have more than 128 levels of nested tables");
    /// assert!(delivery.unreadable.is_some());
    /// ```
    #[must_use]
    pub fn with_unreadable(self, reason: impl Into<Arc<str>>) -> Delivery {
        Delivery { unreadable: Some(reason.into()), ..self }
    }
}

/// The number of a delivery on its channel, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a tag is a number")]
pub struct DeliveryTag(pub u64);

/// How deliveries are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_enums, reason = "AMQP 0-9-1 has both")]
pub enum Acknowledgement {
    /// Each delivery stays unacknowledged at the broker until it is acknowledged or rejected.
    #[default]
    Manual,
    /// The broker deletes each message when it is sent, so a crash loses messages. Prefetch does
    /// not apply, and deliveries must not be settled.
    Automatic,
}

/// The options of a consumer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConsumeOptions {
    /// The maximum number of unacknowledged deliveries of this consumer; 0 for no limit. Deliveries
    /// that `next` has not returned yet count.
    pub prefetch: u16,
    /// How deliveries are acknowledged.
    pub acknowledgement: Acknowledgement,
    /// Whether the consumer must be the only one of its queue.
    pub exclusive: bool,
    /// Additional arguments, such as `x-priority`.
    pub arguments: Headers,
}

impl Default for ConsumeOptions {
    /// Returns prefetch 32, manual acknowledgement, shared, no arguments.
    fn default() -> ConsumeOptions {
        ConsumeOptions {
            prefetch: 32,
            acknowledgement: Acknowledgement::Manual,
            exclusive: false,
            arguments: Headers::new(),
        }
    }
}

impl ConsumeOptions {
    /// Returns the defaults with another prefetch; 0 for no limit.
    pub fn with_prefetch(prefetch: u16) -> ConsumeOptions {
        ConsumeOptions { prefetch, ..ConsumeOptions::default() }
    }

    /// Sets automatic acknowledgement.
    #[must_use]
    pub fn automatic(mut self) -> ConsumeOptions {
        self.acknowledgement = Acknowledgement::Automatic;
        self
    }

    /// Requires that the queue has no other consumer.
    #[must_use]
    pub fn exclusive(mut self) -> ConsumeOptions {
        self.exclusive = true;
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(
        mut self,
        name: impl Into<ShortString>,
        value: impl Into<Value>,
    ) -> ConsumeOptions {
        self.arguments.insert(name, value);
        self
    }
}

/// The deliveries that a settlement covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "AMQP 0-9-1 has both")]
pub enum Extent {
    /// The named delivery only.
    One,
    /// The named delivery and every unacknowledged one before it on the same channel (AMQP's
    /// `multiple`). Does not cover deliveries that `next` has not returned yet.
    UpTo,
}

/// The effect of a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a backend has to implement each")]
pub enum Rejection {
    /// Requeues the delivery, at its old position if possible, marked as redelivered. Counts as no
    /// failed delivery (basic.nack, with RabbitMQ 4.3 and later).
    Requeue,
    /// Requeues the delivery as one that could not be handled. A broker with a delivery limit
    /// counts it as a failed delivery (basic.reject), and may discard it at the limit.
    RequeueFailed,
    /// Removes the delivery from its queue: dead-letters it if the queue has a dead-letter
    /// exchange, and drops it otherwise. Counts as no failed delivery (basic.nack, with RabbitMQ
    /// 4.3 and later).
    Discard,
}
