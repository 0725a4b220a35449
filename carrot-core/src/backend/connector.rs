use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::channel::Backend;
use crate::backend::channel_options::{ChannelOptions, Role};
use crate::backend::clock::Clock;
use crate::error::{Error, Result};

/// Connects to one broker. Shared by every publisher and consumer of a
/// [`Connection`](crate::Connection).
///
/// All methods may be called from any thread, several at once.
///
/// Dropping the connector leaves its channels open. Its connections end with the last channel on
/// them.
pub trait Connector: Debug + Send + Sync + 'static {
    /// Opens another channel, and its connection if none is open.
    ///
    /// Makes one attempt, and does not retry. A lost connection is not repaired: the next `open`
    /// opens a new connection, and channels of the lost one stay unusable. A backend may keep
    /// separate connections for the two [`Role`]s.
    ///
    /// Blocks until the channel is open, at most for `timeout`.
    ///
    /// # Errors
    /// - [`Error::Connect`]: no address could be reached.
    /// - [`Error::Authentication`]: the broker refused the credentials.
    /// - [`Error::Timeout`]: `timeout` passed.
    /// - [`Error::Disconnected`]: the connection was lost meanwhile.
    /// - [`Error::Closed`]: the connector was closed.
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>>;

    /// Opens the connection for channels of `role`, unless it is open. Makes one attempt, as
    /// [`open`](Connector::open) does.
    ///
    /// Blocks until the connection is open, at most for `timeout`.
    ///
    /// # Errors
    /// As [`open`](Connector::open).
    fn connect(&self, role: Role, timeout: Duration) -> Result<()>;

    /// Replaces the password or token of every open connection, without reconnecting. Later
    /// connections use the credentials of the options.
    ///
    /// A broker without users accepts every secret. RabbitMQ accepts every secret of a user whose
    /// password does not expire, and changes nothing. The default implementation refuses, for a
    /// backend without [`Capabilities::secret_updates`].
    ///
    /// `reason` has at most 255 bytes, and may appear in the broker's log. The secret appears in no
    /// error and no log.
    ///
    /// Blocks until the broker has answered on every open connection, at most for `timeout`. Does
    /// not block if no connection is open.
    ///
    /// # Errors
    /// - [`Error::HardError`]: the broker refused the secret, and closed the connection.
    /// - [`Error::Invalid`]: the broker cannot replace secrets, or the secret does not fit into a
    ///   frame. Nothing was sent.
    /// - [`Error::Timeout`], or [`Error::Blocked`] during an alarm: `timeout` passed. The
    ///   connections stay open.
    /// - [`Error::Disconnected`]: a connection was lost meanwhile.
    /// - [`Error::Closed`]: the connector was closed.
    fn update_secret(&self, secret: &str, reason: &str, timeout: Duration) -> Result<()> {
        let _ = (secret, reason, timeout);
        refuse_secret_update()
    }

    /// Returns the address for errors and logs: `mq.example:5672`, several addresses separated by
    /// commas, or `memory://orders`. Contains no password.
    fn endpoint(&self) -> String;

    /// Closes all connections of this connector, with every channel and subscription on them. The
    /// broker requeues their unacknowledged deliveries.
    ///
    /// Blocks until the broker has answered, at most for `timeout`; then cuts the connections. All
    /// of them have ended when the call returns. A second call does nothing.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the connections were cut.
    fn close(&self, timeout: Duration) -> Result<()>;

    /// Returns whether the connection for channels of `role` is open, and whether the broker has
    /// blocked publishing on it. Does not ask the broker, and never blocks.
    ///
    /// A backend with one connection for both roles returns the same status for both. The backend
    /// reports each [`Event`] of that connection once for each role in use.
    fn status(&self, role: Role) -> Status;

    /// Returns the features of the broker, as known from the last connection. Never blocks.
    fn capabilities(&self) -> Capabilities;

    /// Returns the clock for pauses in the process. Real time, except for a test broker whose clock
    /// a test advances.
    fn clock(&self) -> Clock;

    /// Registers an observer for later [`Event`]s, in addition to earlier observers. The connector
    /// keeps the observer while it lives.
    ///
    /// The observer is called with no lock held, on a thread of the backend or on the thread that
    /// caused the event. The events of one connection arrive in order. The observer may call this
    /// connector.
    fn observe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>);
}

/// Refuses to replace a secret, for a backend without [`Capabilities::secret_updates`].
///
/// # Errors
/// - [`Error::Invalid`]: always. Names the secret, and does not contain it.
pub fn refuse_secret_update() -> Result<()> {
    Err(Error::invalid(
        "secret",
        "***",
        "no new secret on an open connection, which this broker does not support; a new connection \
         uses it",
    ))
}

/// The state of a connector's connection for one [`Role`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Status {
    /// Whether the connection is open.
    pub connected: bool,
    /// The broker's reason for blocking publishing; `None` if publishing is not blocked.
    pub blocked: Option<String>,
}

impl Status {
    /// Creates a status.
    pub fn new(connected: bool, blocked: Option<String>) -> Status {
        Status { connected, blocked }
    }
}

/// The optional features of a broker. Each defaults to `false` or zero, which is a safe answer.
///
/// ```
/// use carrot::backend::Capabilities;
///
/// let mut capabilities = Capabilities::default();
/// capabilities.waiting_queues = true;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether `publish` accepts a [`delay`](crate::backend::Publication::delay). Failed messages
    /// wait so for their next attempt if there are no `waiting_queues`.
    pub delayed_publish: bool,
    /// Whether [`update_secret`](Connector::update_secret) replaces the secret of an open
    /// connection.
    pub secret_updates: bool,
    /// Whether a queue can hold a message for a time and then move it to another queue: a message
    /// TTL with a dead-letter exchange. Failed messages wait so for their next attempt.
    ///
    /// Delayed messages need more: topic exchanges that are bound to each other, and dead letters
    /// that keep their routing keys, those of the header `BCC` included.
    pub waiting_queues: bool,
    /// Whether there are quorum queues that support a message TTL and dead-letter at least once
    /// (RabbitMQ 3.10 and later).
    pub quorum_queues: bool,
    /// Whether a quorum queue drops a message after a number of deliveries by default (RabbitMQ 4.0
    /// and later).
    pub default_delivery_limit: bool,
    /// Whether a quorum queue can delay the messages that consumers requeue (RabbitMQ 4.3 and
    /// later).
    pub delayed_retry: bool,
    /// Whether a channel can consume direct replies from `amq.rabbitmq.reply-to`, with automatic
    /// acknowledgement, and without a queue.
    ///
    /// The broker replaces that name by an address of the channel in the property `reply_to` of
    /// messages that the channel publishes. A message to that address, through the default
    /// exchange, reaches the channel. Without direct replies, callers declare an exclusive queue.
    pub direct_reply_to: bool,
    /// The time for which a killed broker may lose a durable queue after its declaration, with the
    /// messages confirmed meanwhile.
    pub queue_durable_after: Duration,
}

/// An unrequested change of a connection. A connection that this program closes causes no event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A connection was opened: the first, or another after a loss.
    ///
    /// Core needs the event of a connection after a loss, for `on_reconnect`. The event of the
    /// first connection has no effect in core.
    Connected {
        /// The channels that the connection is for.
        role: Role,
    },
    /// A connection was lost.
    Disconnected {
        /// The channels that the connection was for.
        role: Role,
        /// The reason.
        error: Error,
    },
    /// The broker has blocked publishing on a connection.
    Blocked {
        /// The channels that the connection is for.
        role: Role,
        /// The reply text of the broker.
        reason: String,
    },
    /// The broker has unblocked publishing on a connection.
    Unblocked {
        /// The channels that the connection is for.
        role: Role,
    },
}
