//! Where a queue delivers to.

use std::fmt::Debug;
use std::sync::Arc;

use carrot_core::backend::Content;

use crate::queue::message::QueuedMessage;

/// Identifies one consumer of one queue. A later consumer in the same slot has another serial
/// number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConsumerKey {
    pub(super) serial: u32,
    pub(super) slot: u32,
}

impl ConsumerKey {
    /// Stands for no consumer: the message was fetched with `get`.
    pub(crate) const NONE: ConsumerKey = ConsumerKey { slot: u32::MAX, serial: 0 };
}

/// A delivered message that is not settled.
#[derive(Debug)]
pub(crate) struct UnackedMessage {
    pub(crate) consumer: ConsumerKey,
    pub(crate) message: QueuedMessage,
}

/// Receives the deliveries of one consumer. Every method is called with the queue locked.
pub(crate) trait DeliverySink: Debug + Send + Sync {
    /// Returns the number of the consumer's channel.
    fn channel_id(&self) -> u64;

    /// Delivers a message. The consumer sees `shown` if the queue changed the content.
    ///
    /// With `consumer`, the delivery must be settled, and is remembered under that key.
    ///
    /// # Errors
    /// The message, if the channel or the subscription has ended, or has no room. The channel calls
    /// [`resume`](crate::queue::BrokerQueue::resume) once it has room again.
    fn deliver(
        &self,
        consumer: Option<ConsumerKey>,
        message: QueuedMessage,
        shown: Option<Arc<Content>>,
    ) -> Result<(), QueuedMessage>;

    /// Ends the subscription because its queue was deleted.
    fn cancel(&self);
}
