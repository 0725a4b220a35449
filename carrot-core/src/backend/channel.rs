use std::fmt::Debug;
use std::time::Duration;

use crate::backend::content::{Outcome, Publication, PublishTag};
use crate::backend::delivery::{
    Acknowledgement, ConsumeOptions, Delivery, DeliveryTag, Extent, Rejection,
};
use crate::backend::entities::{Declare, Delete, Deleted};
use crate::backend::subscription::Subscription;
use crate::error::Result;
use crate::model::{Binding, QueueInfo};

#[allow(unused_imports, reason = "documentation links to it")]
use crate::error::Error;

/// One channel, not a whole backend: the unit of acknowledgement and of failure.
///
/// All methods may be called from any thread, several at once. A call that waits for the broker
/// does not delay `publish`, `confirm`, `ack` or `reject` of another thread.
///
/// Dropping the last handle closes the channel without waiting. The broker requeues the
/// unacknowledged deliveries soon after. A [`Subscription`] keeps its channel open.
pub trait Backend: Debug + Send + Sync + 'static {
    /// Declares an exchange, a queue or a binding. Only checks that the entity exists if its
    /// `passive` is set.
    ///
    /// Declaring an existing entity with equal properties changes nothing.
    ///
    /// Blocks for one round trip, at most for `timeout`.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: a name or an argument is out of a limit, or the backend does not
    ///   support the entity or the argument.
    /// - [`Error::PreconditionFailed`]: the entity exists with other properties, or an argument is
    ///   invalid.
    /// - [`Error::NotFound`]: an entity declared passively, or an end of a binding, does not exist.
    /// - [`Error::AccessRefused`]: the name is reserved, or belongs to the default exchange.
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection.
    /// - [`Error::Unavailable`]: the node of the queue is down.
    /// - [`Error::HardError`]: the broker does not know the exchange type. RabbitMQ before 4.0
    ///   closes the connection; later releases fail with [`Error::PreconditionFailed`].
    fn declare(&self, entity: Declare<'_>, timeout: Duration) -> Result<QueueInfo>;

    /// Deletes an exchange, a queue or a binding, or purges a queue. Deleting an entity that does
    /// not exist is no error.
    ///
    /// Blocks for one round trip, at most for `timeout`.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: the entity is in use or not empty, and the condition
    ///   forbids that.
    /// - [`Error::NotFound`]: the queue to purge does not exist.
    /// - [`Error::AccessRefused`], [`Error::ResourceLocked`], [`Error::Unavailable`]: as for
    ///   `declare`.
    /// - [`Error::HardError`]: RabbitMQ closes the connection over the operation, such as a
    ///   conditional deletion of a quorum queue.
    fn delete(&self, entity: Delete<'_>, timeout: Duration) -> Result<Deleted>;

    /// Returns whether a binding exists, or `None` if the backend cannot know. AMQP cannot.
    ///
    /// Changes nothing. Blocks for one round trip, at most for `timeout`.
    ///
    /// # Errors
    /// - [`Error::Disconnected`], [`Error::Closed`], [`Error::Timeout`]: as
    ///   [`declare`](Backend::declare).
    fn has_binding(&self, binding: &Binding, timeout: Duration) -> Result<Option<bool>> {
        let _ = (binding, timeout);
        Ok(None)
    }

    /// Sends a message, and does not wait for the broker's answer.
    ///
    /// The tags of one channel count up from 1, in the order in which messages are sent. The caller
    /// limits the number of unconfirmed messages. A backend buffers at most a few MiB of unsent
    /// messages, plus one message.
    ///
    /// Blocks only while the socket buffer is full, at most for `timeout`.
    ///
    /// # Errors
    /// The channel stays usable after these; nothing was sent, and no tag was taken:
    /// - [`Error::Invalid`]: the message is out of a limit, or has a delay that the backend does
    ///   not support.
    /// - [`Error::Timeout`]: the socket buffer stayed full.
    /// - [`Error::Blocked`]: the socket buffer stayed full, because the broker has blocked
    ///   publishing.
    ///
    /// The channel's first error otherwise. `confirm` reports a missing exchange.
    fn publish(&self, publication: &Publication<'_>, timeout: Duration) -> Result<PublishTag>;

    /// Waits for the broker's answer to one `publish` of this channel.
    ///
    /// Each tag is answered once, to one caller. The result for an answered or an unknown tag is
    /// not defined. Several threads may wait for different tags at once, in any order.
    /// [`Outcome::Returned`] is the whole answer: the broker's confirm that follows a return is not
    /// reported again.
    ///
    /// Blocks until the answer arrives, at most for `timeout`.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: no answer arrived. The answer may still arrive, and may be asked for
    ///   again.
    /// - [`Error::Blocked`]: no answer arrived, and the broker has blocked publishing. As above.
    /// - [`Error::Invalid`]: the channel has no confirms.
    /// - The channel's first error, unless the answer arrived before the channel ended: whether the
    ///   broker has the message is unknown.
    fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome>;

    /// Fetches the message at the head of a queue, if any. Does not wait for a message to arrive.
    /// Prefetch does not apply.
    ///
    /// Blocks for one round trip, at most for `timeout`.
    ///
    /// # Errors
    /// - [`Error::NotFound`]: the queue does not exist.
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection. An exclusive
    ///   consumer does not prevent `get`.
    /// - [`Error::Unavailable`]: the node of the queue is down.
    fn get(
        &self,
        queue: &str,
        acknowledgement: Acknowledgement,
        timeout: Duration,
    ) -> Result<Option<Delivery>>;

    /// Starts a consumer on a queue. Deliveries arrive from now on, up to the prefetch.
    /// [`Subscription::next`] returns them.
    ///
    /// A ready message moves at once to a consumer with room, before any call of `next`. The
    /// message then no longer counts as ready, and counts towards the prefetch. A backend that
    /// fetches a message only in `next` fails the conformance kit. The consumers of a queue receive
    /// in turn; see [Turns](crate::backend#turns).
    ///
    /// A channel can hold several subscriptions, each with its own prefetch.
    ///
    /// Blocks for two round trips, at most for `timeout`.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: an argument is out of a limit, or an option is not supported.
    /// - [`Error::NotFound`]: the queue does not exist.
    /// - [`Error::Unavailable`]: the node of the queue is down.
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection, or has an
    ///   exclusive consumer. Also if the new consumer is exclusive, and the queue has other
    ///   consumers.
    fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        timeout: Duration,
    ) -> Result<Box<dyn Subscription>>;

    /// Acknowledges a delivery of this channel. [`Extent::UpTo`] also acknowledges every
    /// unacknowledged delivery before it that a caller has received. Tag zero with `UpTo` means all
    /// unacknowledged deliveries.
    ///
    /// Does not wait for the broker. A backend may delay an acknowledgement by at most 1 ms, to
    /// combine several.
    ///
    /// # Errors
    /// - [`Error::Stale`]: the channel has ended.
    ///
    /// A tag that is unknown or already settled makes the broker close the channel with
    /// [`Error::PreconditionFailed`].
    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()>;

    /// Acknowledges several deliveries of this channel, and no others.
    ///
    /// Does not wait for the broker. A backend may combine the acknowledgements of deliveries that
    /// follow each other. Defaults to one [`ack`](Backend::ack) for each tag, also after an error.
    ///
    /// # Errors
    /// As [`ack`](Backend::ack), for one of the deliveries. The others may be acknowledged.
    fn ack_all(&self, tags: &[DeliveryTag]) -> Result<()> {
        let acknowledged = tags.iter().map(|tag| self.ack(*tag, Extent::One));
        acknowledged.fold(Ok(()), Result::and)
    }

    /// Rejects a delivery of this channel. [`Extent::UpTo`] also rejects every unacknowledged
    /// delivery before it that a caller has received. See [`Rejection`], and
    /// [Order after a requeue](crate::backend#order-after-a-requeue).
    ///
    /// Requeueing up to tag zero requeues all unacknowledged deliveries. AMQP's `basic.recover`
    /// does the same, and has no method of its own here.
    ///
    /// Does not wait for the broker.
    ///
    /// # Errors
    /// As [`ack`](Backend::ack).
    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()>;

    /// Fails if the channel is known to have ended. Does not ask the broker, and never blocks.
    ///
    /// # Errors
    /// The channel's first error.
    fn check(&self) -> Result<()>;

    /// Closes the channel. Earlier messages and settlements are sent first. The broker requeues the
    /// unacknowledged deliveries in their old order, and the subscriptions end.
    ///
    /// The deliveries are requeued as with [`Rejection::Requeue`], not as failed deliveries.
    ///
    /// Blocks until the broker has answered, at most for `timeout`. A second call does nothing.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker did not answer. The channel is closed nevertheless.
    fn close(&self, timeout: Duration) -> Result<()>;
}
