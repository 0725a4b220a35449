//! The events that a channel of a session sends to its peer.

use std::fmt::Debug;
use std::sync::Arc;

use carrot_core::Error;
use carrot_core::backend::{Content, Delivery, ShortString};

/// Receives what the broker sends on one channel of a [`Session`](crate::session::Session).
///
/// The broker calls both methods with locks of its own held, from any thread. An implementation
/// keeps the event for a thread of its own. It never blocks, and never calls the broker.
pub trait ChannelOutput: Debug + Send + Sync {
    /// Returns whether the peer can take more deliveries now.
    ///
    /// While this returns `false`, messages stay in their queues, or go to other consumers. The
    /// implementation calls [`Session::resume`](crate::session::Session::resume) once this returns
    /// `true` again. Direct replies have no queue: the broker sends them without asking.
    fn has_room(&self) -> bool;

    /// Receives an event. The order of the calls is the order in which a peer has to see them.
    fn send(&self, event: ChannelEvent);
}

/// An event of a channel, in the order in which a peer has to see the events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ChannelEvent {
    /// A consumer was added. Its deliveries follow.
    Consuming {
        /// The tag of the consumer.
        consumer_tag: ShortString,
    },
    /// A message was delivered to a consumer.
    Delivered {
        /// The tag of the consumer.
        consumer_tag: ShortString,
        /// The message, and its number on the channel.
        delivery: Delivery,
    },
    /// A message was fetched.
    Fetched {
        /// The message, and its number on the channel.
        delivery: Delivery,
        /// The number of ready messages that remain in the queue.
        remaining: usize,
    },
    /// The broker cancelled a consumer, because its queue was deleted.
    Cancelled {
        /// The tag of the consumer.
        consumer_tag: ShortString,
    },
    /// A mandatory message could not be routed. Its confirm follows, if the channel has confirms.
    Returned {
        /// The message as published.
        content: Arc<Content>,
    },
    /// The broker has handled a message that was published.
    Confirmed {
        /// The number of the message on the channel, from 1, counted from the selection of
        /// confirms.
        publish_tag: u64,
        /// Whether the broker has accepted the message.
        is_accepted: bool,
        /// Whether a test suppressed the confirm of an earlier message. A confirm of several
        /// messages would then cover that message, too.
        is_after_lost: bool,
    },
    /// The broker closed the channel over a message that was published.
    Failed {
        /// The reason.
        error: Error,
    },
}
