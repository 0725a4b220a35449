use std::fmt::Debug;
use std::time::Duration;

use crate::backend::delivery::Delivery;
use crate::error::Result;

#[allow(unused_imports, reason = "documentation links to it")]
use crate::error::Error;

/// The deliveries of one consumer.
///
/// Several threads may wait at once, and each delivery is returned to one of them. Dropping the
/// subscription cancels the consumer without waiting, and requeues the deliveries that `next` has
/// not returned. With automatic acknowledgement, those are lost. Returned deliveries stay
/// unacknowledged on the channel.
pub trait Subscription: Debug + Send + Sync + 'static {
    /// Returns the next delivery, in the order of the queue; `None` if none arrived within
    /// `timeout`.
    ///
    /// Blocks until a delivery arrives, at most for `timeout`, without polling. A timeout of zero
    /// only returns deliveries that have arrived already.
    ///
    /// # Errors
    /// Every waiting thread and every later call fails with the same error.
    /// - [`Error::Cancelled`]: `cancel` was called, or the broker cancelled the consumer, because
    ///   its queue was deleted or moves to another node. Deliveries that arrived before are
    ///   returned first.
    /// - The channel's first error, if the channel has ended. Deliveries that arrived and were not
    ///   returned are dropped, because they could not be settled.
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>>;

    /// Returns the deliveries that have arrived, and that `next` has not returned. Never blocks.
    fn arrived(&self) -> ArrivedDeliveries;

    /// Cancels the consumer at the broker. Arrived deliveries can still be taken with `next`, and
    /// be settled. Threads that wait in `next` wake up.
    ///
    /// Blocks for one round trip, at most for `timeout`. A second call does nothing.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker did not answer in time.
    /// - The channel's first error.
    fn cancel(&self, timeout: Duration) -> Result<()>;
}

/// The deliveries of a consumer that wait for [`Subscription::next`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ArrivedDeliveries {
    /// The number of deliveries.
    pub messages: u64,
    /// The number of bytes in their bodies.
    pub bytes: u64,
}

impl ArrivedDeliveries {
    /// Counts deliveries by the sizes of their bodies, in bytes.
    pub fn of_sizes(sizes: impl IntoIterator<Item = usize>) -> ArrivedDeliveries {
        sizes.into_iter().fold(ArrivedDeliveries::default(), |arrived, size| ArrivedDeliveries {
            messages: arrived.messages + 1,
            bytes: arrived.bytes + size as u64,
        })
    }

    /// Creates the numbers.
    pub fn new(messages: u64, bytes: u64) -> ArrivedDeliveries {
        ArrivedDeliveries { messages, bytes }
    }
}
