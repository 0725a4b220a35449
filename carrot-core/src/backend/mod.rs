//! The contract between the portable half of Carrot and the drivers that reach a broker.
//!
//! Three traits, from the outside in:
//!
//! 1. A [`Connector`] reaches one broker. A [`Connection`](crate::Connection) holds one and shares
//!    it among all its publishers and consumers.
//! 2. [`Connector::open`] makes a [`Backend`]: one channel, the unit of acknowledgement and of
//!    failure.
//! 3. [`Backend::consume`] makes a [`Subscription`]: the stream of deliveries of one queue.
//!
//! # What a driver does, and what it does not
//!
//! A driver does one thing, once, and classifies the error. It never retries, never reconnects,
//! never redeclares, never starts a thread for the user's work, never looks into a body: codecs,
//! retries, worker threads and deadlines of composite calls live in `carrot-core`, once for all
//! drivers.
//!
//! # Order of calls
//!
//! 1. `open`.
//! 2. `declare`, `delete`, `get`, `publish`, `consume` in any order and from any thread.
//! 3. For each `publish` on a channel with confirms, `confirm` until it is answered.
//! 4. For each delivery taken with [`Acknowledgement::Manual`], one `ack` or `reject`, on the
//!    channel that made it, from any thread.
//! 5. `close`, or drop.
//!
//! # Deadlines
//!
//! `open`, `publish`, `confirm`, `next` and `close` take a timeout. Every other call is bounded by
//! the *call deadline* that the driver was configured with, and gives [`Error::Timeout`] when it
//! passes; what happened at the broker is then unknown, so the driver closes the channel. No call
//! waits longer than its bound by more than a scheduling delay. A `publish` that times out because
//! the way to the broker is congested has sent nothing, and leaves the channel usable. Dropping any
//! of the three never waits for the broker.
//!
//! # Validation
//!
//! Each method first calls the `validate` method of its argument, where there is one, and gives
//! back its [`Error::Invalid`] with nothing sent and the channel unharmed. A driver may add limits
//! of its own in the same way.
//!
//! # Failure of a channel
//!
//! A refused operation (AMQP 403, 404, 405, 406) closes the channel: its unsettled deliveries
//! return to their queues, its consumers end. The call that was refused gives the typed error
//! ([`Error::is_channel_error`]). The driver chooses the variant by the reply code, and by the
//! broker's words where one code stands for several conditions: core never looks at the words.
//! `publish`, `ack` and `reject` do not wait for the broker, so what it refuses about *them* is
//! told by whatever waits next. From then on, and for ever:
//!
//! * `declare`, `delete`, `publish`, `confirm`, `get`, `consume` and `next` give that first error
//!   again;
//! * `ack` and `reject` give [`Error::Stale`], with the first error as its cause;
//! * `close` gives `Ok`.
//!
//! After the loss of the whole connection it is the same, with [`Error::Disconnected`] as the first
//! error; after `close`, with [`Error::Closed`]. Only outcomes that were already known are still
//! told by `confirm`.
//!
//! # Hard errors
//!
//! A broker closes the whole connection over some operations (AMQP hard errors: 501 to 506, 530,
//! 540, 541), and may name the method that it refused. The driver compares that with what was in
//! flight on the connection:
//!
//! * If exactly one operation in flight can be the cause, the first error of its channel is
//!   [`Error::HardError`]. An operation is a call, or a message without an answer from the broker.
//!   For a message, the cause is the oldest one on the channel without an answer.
//! * If several can be, the first error of their channels is [`Error::Disconnected`] with a
//!   [`HardClose`] as its source. Core makes the calls again, and sends the messages again one at a
//!   time. For a while the driver then makes one such call at a time, so that the next loss finds
//!   the guilty one alone.
//! * If the broker names no method, every operation in flight can be the cause, and the driver is
//!   never certain.
//! * The first error of every other channel is a plain [`Error::Disconnected`].
//!
//! AMQP's 320 (the operator closed the connection) is a plain loss for every channel.

mod body;
mod buffer_pool;
mod clock;
mod content;
mod delivery;
mod entities;
pub mod frame_limits;
pub mod validate;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

pub use body::{Body, IntoBody};
pub use buffer_pool::BufferPool;
pub use clock::Clock;
pub use content::{Content, Outcome, Publication, PublishTag};
pub use delivery::{Acknowledgement, ConsumeOptions, Delivery, DeliveryTag, Extent, Rejection};
pub use entities::{Declare, Delete, Deleted};

pub use crate::error::HardClose;
pub use crate::escaping::{Printable, printable};
pub use crate::model::{DeleteIf, QueueInfo, ShortString};

use crate::error::{Error, Result};

/// Reaches one broker; shared by every publisher and consumer of a
/// [`Connection`](crate::Connection).
///
/// All methods may be called from any thread, several at once.
pub trait Connector: Debug + Send + Sync + 'static {
    /// Opens one more channel, and the connection below it if there is no live one.
    ///
    /// One attempt: a failure is told, not retried. A connection that was lost is not repaired; the
    /// next `open` makes a new one, and channels of the old one stay dead. A driver may keep
    /// separate connections for the two [`Role`]s.
    ///
    /// Blocks until the channel is open, `timeout` at most.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Authentication`], [`Error::Timeout`], [`Error::Disconnected`];
    /// [`Error::Closed`] after `close`.
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>>;

    /// Makes the connection for channels of `role`, unless it is open.
    ///
    /// One attempt, as [`open`](Connector::open). Blocks until connected, `timeout` at most.
    ///
    /// # Errors
    /// As [`open`](Connector::open).
    fn connect(&self, role: Role, timeout: Duration) -> Result<()>;

    /// Where it connects to, for errors and logs: `mq.example:5672`, several addresses with commas
    /// between them, or `memory://orders`. Holds no password.
    fn endpoint(&self) -> String;

    /// Ends all connections of this connector, with every channel and subscription on them.
    /// Unsettled deliveries return to their queues.
    ///
    /// Blocks until the broker has been told, `timeout` at most; then the connections are cut. In
    /// either case everything has ended when it returns. A second call does nothing.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the connections had to be cut.
    fn close(&self, timeout: Duration) -> Result<()>;

    /// Whether the connection for channels of `role` is open now, and whether the broker has
    /// blocked publishing on it. Does not ask the broker, and never blocks. A driver with one
    /// connection for both roles returns the same for both. It reports each [`Event`] of that
    /// connection once for each role that was used.
    fn status(&self, role: Role) -> Status;

    /// What the broker offers, as far as is known from the last connection. Never blocks.
    fn capabilities(&self) -> Capabilities;

    /// The clock by which pauses are measured that pass in the process: real time, unless the
    /// broker is one whose clock a test turns.
    fn clock(&self) -> Clock;

    /// Has every later [`Event`] told to `observer`, in addition to those set before; for as long
    /// as the connector lives.
    ///
    /// It is called on a thread of the driver or of whoever caused the event, with no lock held, in
    /// the order of the events of one connection; calls of this connector from within it are
    /// allowed.
    fn observe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>);
}

/// How a connector stands with its broker, in one [`Role`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Status {
    /// Whether the connection is open.
    pub connected: bool,
    /// Why the broker has blocked publishing, in its own words; `None` if it has not.
    pub blocked: Option<String>,
}

impl Status {
    /// A status.
    pub fn new(connected: bool, blocked: Option<String>) -> Status {
        Status { connected, blocked }
    }
}

/// What a broker offers beyond what every one does. All `false` is a safe answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "a driver has to say all of it")]
pub struct Capabilities {
    /// Whether a queue can hold a message for a time and then send it on to another queue: a
    /// message TTL with a dead-letter exchange.
    pub waiting_queues: bool,
    /// Whether there are quorum queues that take a message TTL and dead-letter at least once
    /// (RabbitMQ 3.10 and newer).
    pub quorum_queues: bool,
    /// Whether a quorum queue drops a message after a number of deliveries unless its arguments say
    /// otherwise (RabbitMQ 4.0 and newer).
    pub default_delivery_limit: bool,
    /// How long after the declaration of a durable queue the broker may forget the queue if it is
    /// killed, with what it has confirmed since.
    pub declarations_settle_in: Duration,
}

/// What happens to a connection by itself. A connection that this program closes tells nothing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A connection was opened: the first, or another after a loss.
    Connected {
        /// For which channels.
        role: Role,
    },
    /// A connection was lost.
    Disconnected {
        /// For which channels.
        role: Role,
        /// Why.
        error: Error,
    },
    /// The broker has stopped taking messages, for this reason.
    Blocked(String),
    /// The broker takes messages again.
    Unblocked,
}

/// One channel: the unit of acknowledgement and of failure.
///
/// All methods may be called from any thread, several at once; a call that waits for the broker
/// does not keep `publish`, `confirm`, `ack` or `reject` of another thread waiting for the same
/// answer.
///
/// Dropping the last handle closes the channel without waiting: unsettled deliveries return to
/// their queues soon after. A [`Subscription`] keeps its channel alive.
pub trait Backend: Debug + Send + Sync + 'static {
    /// Declares an exchange, a queue or a binding; or, with `passive` set in it, only checks that
    /// it exists.
    ///
    /// Declaring what exists with equal properties changes nothing. Blocks for one round trip,
    /// `timeout` at most.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if it exists with other properties, or an argument is invalid;
    /// [`Error::NotFound`] for a passive declaration of what does not exist, or a binding between
    /// what does not; [`Error::AccessRefused`] for a reserved name or the default exchange;
    /// [`Error::ResourceLocked`] for another connection's exclusive queue; [`Error::Unavailable`]
    /// if the node of the queue is down; [`Error::HardError`] for an exchange type that the broker
    /// does not know, because RabbitMQ before 4.0 closes the connection over it (later releases:
    /// [`Error::PreconditionFailed`]).
    fn declare(&self, entity: Declare<'_>, timeout: Duration) -> Result<QueueInfo>;

    /// Deletes an exchange, a queue or a binding, or purges a queue. Deleting what does not exist
    /// is no error.
    ///
    /// Blocks for one round trip, `timeout` at most.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if it is in use or not empty and that was asked for;
    /// [`Error::NotFound`] for purging a queue that does not exist; [`Error::AccessRefused`],
    /// [`Error::ResourceLocked`], [`Error::Unavailable`] as for `declare`; [`Error::HardError`] for
    /// what RabbitMQ closes the connection over, such as deleting a quorum queue on a condition.
    fn delete(&self, entity: Delete<'_>, timeout: Duration) -> Result<Deleted>;

    /// Hands a message over to the broker, and does not wait for its answer.
    ///
    /// The tags of one channel count up from 1 in the order in which messages leave. Blocks only
    /// while the way to the broker is congested, `timeout` at most; the number of unconfirmed
    /// messages is the caller's to limit, but a driver holds no more than a few MiB that have not
    /// left, and one message.
    ///
    /// # Errors
    /// [`Error::Invalid`]; the channel's first error. [`Error::Timeout`] if the way stayed
    /// congested, or [`Error::Blocked`] if the broker is known to have blocked publishing: nothing
    /// was sent, no tag was taken, and the channel is well. A missing exchange is told by
    /// `confirm`.
    fn publish(&self, publication: &Publication<'_>, timeout: Duration) -> Result<PublishTag>;

    /// Waits for the broker's answer to one `publish` of this channel.
    ///
    /// Each tag is answered once, to one caller; after that, or for a tag never given, the answer
    /// is not defined. Several threads may wait for different tags at once, in any order. A
    /// [`Outcome::Returned`] stands for the whole answer: the broker's confirm that follows a
    /// return is not told again.
    ///
    /// # Errors
    /// [`Error::Timeout`] if no answer came in time, or [`Error::Blocked`] if the broker is known
    /// to have blocked publishing: the answer may still come, and be asked for again. The channel's
    /// first error: whether the broker has the message is then unknown. [`Error::Invalid`] on a
    /// channel without confirms.
    fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome>;

    /// Takes the message at the head of a queue, if there is one; never waits for one to come.
    /// Prefetch does not count here.
    ///
    /// Blocks for one round trip, `timeout` at most.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ResourceLocked`], [`Error::Unavailable`]. An exclusive
    /// consumer of the queue does not keep others from getting.
    fn get(
        &self,
        queue: &str,
        acknowledgement: Acknowledgement,
        timeout: Duration,
    ) -> Result<Option<Delivery>>;

    /// Starts a consumer on a queue. Deliveries arrive from now on, up to the prefetch;
    /// [`Subscription::next`] takes them.
    ///
    /// A channel can hold several subscriptions, each with its own prefetch. Blocks for two round
    /// trips, `timeout` at most.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`]; [`Error::ResourceLocked`] for another
    /// connection's exclusive queue, for a queue that has an exclusive consumer, and for an
    /// exclusive consumer of a queue that has others.
    fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        timeout: Duration,
    ) -> Result<Box<dyn Subscription>>;

    /// Acknowledges a delivery of this channel; with [`Extent::UpTo`], also every unsettled one
    /// before it. Tag zero with `UpTo` means every unsettled one.
    ///
    /// Does not wait for the broker. A driver may hold an acknowledgement back for at most a
    /// millisecond, to send several as one.
    ///
    /// # Errors
    /// [`Error::Stale`] on a dead channel. A tag that is unknown or already settled makes the
    /// broker close the channel with [`Error::PreconditionFailed`].
    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()>;

    /// Refuses a delivery of this channel; with [`Extent::UpTo`], also every unsettled one before
    /// it. See [`Rejection`].
    ///
    /// To requeue up to tag zero gives back all that was handed out and is unsettled: what AMQP's
    /// `basic.recover` does, which has no verb of its own here.
    ///
    /// Does not wait for the broker.
    ///
    /// # Errors
    /// As [`ack`](Backend::ack).
    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()>;

    /// The channel's first error, if it is known to have ended. Does not ask the broker, and never
    /// blocks.
    ///
    /// # Errors
    /// The channel's first error.
    fn check(&self) -> Result<()>;

    /// Closes the channel: what was published and settled before goes out first, unsettled
    /// deliveries return to their queues in their old order, and its subscriptions end. They return
    /// as with [`Rejection::Requeue`], not as failed ones.
    ///
    /// Blocks until the broker has done so, `timeout` at most. A second call does nothing.
    ///
    /// # Errors
    /// [`Error::Timeout`]; the channel is gone all the same.
    fn close(&self, timeout: Duration) -> Result<()>;
}

/// The deliveries of one consumer.
///
/// Several threads may wait on it at once: each delivery goes to one of them. Dropping it cancels
/// the consumer without waiting, and returns what it had not handed out (what was acknowledged
/// automatically is lost); what it handed out stays with the channel.
pub trait Subscription: Debug + Send + Sync + 'static {
    /// The next delivery, in the order of the queue; `Ok(None)` if none came within `timeout`.
    ///
    /// A timeout of zero takes what has already arrived. Waits without polling.
    ///
    /// # Errors
    /// [`Error::Cancelled`] after `cancel`, or after the broker cancelled it, because its queue is
    /// gone or moves to another node, once everything that had arrived before was handed out. The
    /// channel's first error when the channel is gone: what had arrived but was not handed out is
    /// then dropped, since it could not be settled. Each thread that waits is told, and each later
    /// call.
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>>;

    /// Tells the broker to send no more. What has arrived can still be taken with `next`, and be
    /// settled; threads that wait in `next` wake up.
    ///
    /// Blocks for one round trip. A second call does nothing.
    ///
    /// # Errors
    /// The channel's first error, or [`Error::Timeout`].
    fn cancel(&self, timeout: Duration) -> Result<()>;
}

/// What a channel is opened for.
///
/// A driver keeps a connection for each. Exclusive queues belong to a connection, so they are to be
/// declared and used in one role: in the other they are [`Error::ResourceLocked`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Mostly to publish. A broker under an alarm stops reading from connections that publish, so
    /// they are kept apart.
    Publish,
    /// Mostly to consume.
    Consume,
}

impl std::fmt::Display for Role {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Role::Publish => "publish",
            Role::Consume => "consume",
        })
    }
}

/// How a channel is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelOptions {
    /// What it is for. Every verb works in either role.
    pub role: Role,
    /// Whether the broker confirms each message published on it. If not, `confirm` is not to be
    /// called.
    pub confirms: bool,
}

impl ChannelOptions {
    /// A channel to publish on, with confirms.
    pub fn publish() -> ChannelOptions {
        ChannelOptions { role: Role::Publish, confirms: true }
    }

    /// A channel to consume on, without confirms.
    pub fn consume() -> ChannelOptions {
        ChannelOptions { role: Role::Consume, confirms: false }
    }

    /// The same, without confirms.
    #[must_use]
    pub fn without_confirms(mut self) -> ChannelOptions {
        self.confirms = false;
        self
    }

    /// The same, with confirms.
    #[must_use]
    pub fn with_confirms(mut self) -> ChannelOptions {
        self.confirms = true;
        self
    }
}
