//! What is consumed, and how it is settled.

use std::sync::Arc;

use crate::backend::content::Content;
use crate::model::{Headers, ShortString, Value};

/// A message on its way from the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its number on the channel that delivered it, from 1.
    pub tag: DeliveryTag,
    /// Whether it was, or may have been, delivered before.
    pub redelivered: bool,
    /// Whether `content` is all that was published. A driver that cannot read a part of a message
    /// says so here, and the message is then not copied, since the copy would lose that part.
    pub is_whole: bool,
    /// What was published.
    pub content: Arc<Content>,
}

/// The number of a delivery on its channel, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryTag(pub u64);

/// Whether deliveries wait for their settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Acknowledgement {
    /// Each delivery stays with the broker until it is acknowledged or rejected.
    #[default]
    Manual,
    /// The broker forgets a delivery as soon as it is sent: a crash loses it. Prefetch does not
    /// limit it, and it must not be settled.
    Automatic,
}

/// How a consumer is to be started.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConsumeOptions {
    /// How many unsettled deliveries this consumer may hold; 0 for no limit.
    pub prefetch: u16,
    /// Whether deliveries wait for their settlement.
    pub acknowledgement: Acknowledgement,
    /// Whether it must be the only consumer of the queue.
    pub exclusive: bool,
    /// Further arguments, such as `x-priority`.
    pub arguments: Headers,
}

impl Default for ConsumeOptions {
    /// Prefetch 32, manual acknowledgement, shared, no arguments.
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
    /// The defaults with another prefetch; 0 for no limit.
    pub fn prefetch(prefetch: u16) -> ConsumeOptions {
        ConsumeOptions { prefetch, ..ConsumeOptions::default() }
    }

    /// The same with automatic acknowledgement.
    #[must_use]
    pub fn automatic(mut self) -> ConsumeOptions {
        self.acknowledgement = Acknowledgement::Automatic;
        self
    }

    /// The same as the queue's only consumer.
    #[must_use]
    pub fn exclusive(mut self) -> ConsumeOptions {
        self.exclusive = true;
        self
    }

    /// The same with one more argument.
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

/// Which deliveries a settlement covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extent {
    /// The named delivery alone.
    One,
    /// The named delivery and every unsettled one before it on the same channel (AMQP's
    /// `multiple`), as far as they have been handed out: what a subscription has not given to
    /// anybody yet is not settled with them.
    UpTo,
}

/// What becomes of a rejected delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// It returns to its queue, to its old place if that is still there, and will be marked as
    /// redelivered. Nobody has failed to handle it: a broker that counts failed deliveries does not
    /// count this one (basic.nack, on RabbitMQ 4.3 and newer).
    Requeue,
    /// It returns as with `Requeue`, as one that could not be handled: a broker that counts failed
    /// deliveries counts this one (basic.reject), and may discard it at its limit.
    RequeueFailed,
    /// It leaves its queue: to the dead-letter exchange if the queue has one, else for good.
    Discard,
}
