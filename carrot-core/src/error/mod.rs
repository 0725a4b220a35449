//! Defines the error that every fallible call returns.

mod hard_close;
mod methods;
mod returned;
mod shown;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

pub use hard_close::HardClose;
pub use returned::Returned;

/// The result of every fallible call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The underlying error of another library.
///
/// The error is shared because one failure can fail several calls.
///
/// [`source`](StdError::source) returns the shared pointer. Reading the inner error takes two
/// steps:
///
/// ```
/// use std::error::Error;
/// use carrot::{Codec, error::Cause};
///
/// let error = Codec::json().decode::<Vec<u32>>(b"[1,").unwrap_err();
/// let cause = error.source().and_then(|source| source.downcast_ref::<Cause>()).unwrap();
/// assert!(cause.downcast_ref::<serde_json::Error>().unwrap().is_eof());
/// ```
pub type Cause = Arc<dyn StdError + Send + Sync + 'static>;

/// The error of every fallible call. Variants are grouped by how the caller can react.
///
/// No error contains a password. `Display` does not repeat [`source`](StdError::source).
/// [`Connect`](Error::Connect), [`Disconnected`](Error::Disconnected) and [`Batch`](Error::Batch)
/// are exceptions, because one log line must name the cause. `Debug` shows the first three failures
/// of a batch, and the number of all others.
///
/// | question | method |
/// |---|---|
/// | can the same call succeed later? | [`is_retryable`](Error::is_retryable) |
/// | was a connection or channel lost? | [`is_disconnected`](Error::is_disconnected) |
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A URL, environment variable or builder contains an invalid value.
    ///
    /// Connecting returns this error. Correct the named option.
    #[error("invalid configuration: {option}: {reason}")]
    Config {
        /// The option, URL part or environment variable.
        option: Cow<'static, str>,
        /// The reason why the value is invalid, and the valid values.
        reason: String,
    },

    /// Connecting or reconnecting failed, at the only attempt or until the deadline of the call.
    ///
    /// The address did not resolve, refused or did not answer, or TLS failed. Messages sent before
    /// the connection was lost may have reached the broker. Check the address; the broker may be
    /// starting.
    #[error("could not connect to {endpoint} within {:.1} s: {reason}", tried.as_secs_f64())]
    Connect {
        /// The host and port, or several of them.
        endpoint: String,
        /// The step that failed, and the error text of the operating system or TLS library.
        reason: String,
        /// The time spent connecting, over all attempts.
        tried: Duration,
        /// The error of the operating system or TLS library.
        #[source]
        source: Option<Cause>,
    },

    /// The broker refused the credentials or the virtual host on the first connection.
    ///
    /// Retrying with the same credentials fails again. If the broker accepted the credentials
    /// before, the error is [`Error::Connect`].
    #[error("the broker at {endpoint} refused user {user:?}: {reason}")]
    Authentication {
        /// The host and port.
        endpoint: String,
        /// The user name.
        user: String,
        /// The reply text of the broker.
        reason: String,
    },

    /// The connection was lost.
    ///
    /// Unconfirmed messages may have reached the broker. Unacknowledged messages are redelivered.
    #[error("the connection to the broker was lost: {reason}")]
    Disconnected {
        /// The address, and the error text of the operating system or broker.
        reason: String,
        /// The error of the driver.
        #[source]
        source: Option<Cause>,
    },

    /// The deadline of a call passed.
    ///
    /// A message that was not confirmed in time may have reached the broker.
    #[error("{operation} did not finish within {after:?}")]
    Timeout {
        /// The operation that did not finish.
        operation: Cow<'static, str>,
        /// The time that the call waited.
        after: Duration,
    },

    /// The broker has blocked publishing, and the deadline passed before the broker unblocked.
    ///
    /// Brokers block publishing while a memory or disk alarm is active.
    #[error("the broker has blocked publishing: {reason}")]
    Blocked {
        /// The reply text of the broker.
        reason: String,
    },

    /// The broker refused the operation and closed the whole connection: an AMQP hard error.
    ///
    /// An example is 503 for an unknown exchange type, before RabbitMQ 4.0. The broker refuses the
    /// same operation again. Correct the call, or install the plug-in that the call needs.
    ///
    /// Every other channel of the connection fails with [`Error::Disconnected`].
    #[error("the broker refused the operation and closed the connection: {code} {reason}")]
    HardError {
        /// The AMQP reply code: 501 to 506, 530, 540 or 541.
        code: u16,
        /// The reply text of the broker.
        reason: String,
    },

    /// The queue exists, but its node or leader is down (a form of AMQP 404).
    ///
    /// The same call may succeed later.
    #[error("unavailable: {reason}")]
    Unavailable {
        /// The reply text of the broker, which names the queue.
        reason: String,
    },

    /// The exchange, queue or virtual host does not exist (AMQP 404).
    ///
    /// Declare the exchange or queue first.
    #[error("not found: {reason}")]
    NotFound {
        /// The reply text of the broker, which names the missing entity.
        reason: String,
    },

    /// The broker denies access (AMQP 403): a permission is missing, or the name is reserved.
    #[error("access refused: {reason}")]
    AccessRefused {
        /// The reply text of the broker.
        reason: String,
    },

    /// The queue is exclusive to another connection (AMQP 405) or to another consumer (AMQP 403).
    ///
    /// Requesting an exclusive consumer on a queue that has consumers fails the same way.
    #[error("locked: {reason}")]
    ResourceLocked {
        /// The reply text of the broker.
        reason: String,
    },

    /// A precondition of the operation is not met (AMQP 406).
    ///
    /// The exchange or queue exists with other properties, is in use or is not empty. Or an
    /// argument or a delivery tag is not valid.
    #[error("precondition failed: {reason}")]
    PreconditionFailed {
        /// The reply text of the broker.
        reason: String,
    },

    /// A mandatory message could not be routed. The error contains the returned message.
    #[error(
        "message to exchange {:?} with routing key {:?} was returned: {} {}",
        returned.exchange, returned.routing_key, returned.code, returned.text
    )]
    Unroutable {
        /// The returned message, and the reply text of the broker.
        returned: Box<Returned>,
    },

    /// The broker refused responsibility for the message (basic.nack in AMQP).
    ///
    /// The queue is full and rejects messages, or the broker had an internal error. The message can
    /// be published again.
    #[error("the broker refused the message")]
    Refused,

    /// The channel that delivered the message was closed. Nothing was sent.
    ///
    /// The broker redelivers the message, unless already settled or consumed without
    /// acknowledgement.
    #[error(
        "the channel that delivered this message was closed: the message can no longer be settled"
    )]
    Stale {
        /// The error that closed the channel, if known.
        source: Option<Arc<Error>>,
    },

    /// The consumer was cancelled, by a stop or by the broker when the queue was deleted.
    #[error("the consumer of queue {queue:?} was cancelled: {reason}")]
    Cancelled {
        /// The queue of the consumer.
        queue: String,
        /// The origin of the cancellation.
        reason: Cow<'static, str>,
    },

    /// A value could not be encoded as a body. Nothing was sent.
    #[error("could not encode the value as {content_type}")]
    Encode {
        /// The content type of the codec.
        content_type: String,
        /// The error of the codec.
        #[source]
        source: Cause,
    },

    /// A body could not be decoded to the requested type, or a part of its message could not be
    /// read. The message can still be settled.
    #[error("could not decode the body as {content_type}")]
    Decode {
        /// The content type of the codec.
        content_type: String,
        /// The error of the codec.
        #[source]
        source: Cause,
    },

    /// No codec that the consumer accepts decodes this content type.
    ///
    /// The message can still be settled.
    #[error(
        "content type {content_type:?} (encoding {content_encoding:?}) is not among the accepted \
         ones: {accepted}"
    )]
    ContentType {
        /// The content type of the message, or empty if not set.
        content_type: String,
        /// The content encoding of the message, or empty if not set.
        content_encoding: String,
        /// The accepted content types.
        accepted: String,
    },

    /// A compressed body could not be inflated: the body is damaged or truncated, the compression
    /// is unknown, or the feature of Carrot that inflates it is off.
    ///
    /// The message can still be settled.
    #[error("could not inflate the body, whose compression is {compression:?}: {reason}")]
    Inflate {
        /// The name of the compression, shortened if long.
        compression: String,
        /// The reason.
        reason: Cow<'static, str>,
    },

    /// A compressed body inflates to more bytes than the consumer or the caller accepts.
    ///
    /// The message can still be settled. See
    /// [`max_inflated_bytes`](crate::ConsumerDefinition::max_inflated_bytes).
    #[error("the body, whose compression is {compression:?}, inflates to more than {limit} bytes")]
    TooLarge {
        /// The name of the compression.
        compression: String,
        /// The most bytes that are accepted.
        limit: u64,
    },

    /// An argument is invalid. Nothing was sent, and the connection stays open.
    #[error("invalid {field}: {value}: {limit}")]
    Invalid {
        /// The name of the argument.
        field: Cow<'static, str>,
        /// The value of the argument, shortened if long.
        value: String,
        /// The limit or the rule that the value breaks.
        limit: Cow<'static, str>,
    },

    /// Messages of one [`send_all`](crate::Publisher::send_all) were not confirmed. All others
    /// were.
    #[error(
        "{} of {} messages were not confirmed; the first is number {}",
        failures.len(), confirmed + failures.len(), First(failures)
    )]
    Batch {
        /// The number of confirmed messages.
        confirmed: usize,
        /// The index, from zero, and the error of each unconfirmed message.
        failures: Vec<(usize, Error)>,
        /// The error of the first unconfirmed message.
        #[source]
        source: Arc<Error>,
    },

    /// The broker refused to declare an entity of a [`Topology`](crate::Topology), or the entity is
    /// invalid.
    ///
    /// The entities before it were declared.
    #[error("declaring {entity} failed: {source}")]
    Declaration {
        /// The kind and the name of the entity, such as `queue "jobs"`.
        entity: String,
        /// The error of the entity.
        source: Arc<Error>,
    },

    /// The server of a call has answered with an error. See [`Caller`](crate::Caller).
    ///
    /// The server has handled the request, or could not decode it. The texts are those of the
    /// server, escaped and cut. Any client that receives the request can write them.
    #[error("the server answered with an error of kind {kind:?}: {message}")]
    Remote {
        /// The kind of the error, at most 100 bytes: `handler`, `panic`, `decode`, `encode`, or one
        /// that the server chose.
        kind: String,
        /// The text of the error, at most 1000 bytes.
        message: String,
    },

    /// This program closed the connection, publisher, consumer or caller.
    #[error("the {what} is closed")]
    Closed {
        /// The name of the closed object, such as `connection`.
        what: Cow<'static, str>,
    },

    /// A layer refused a message, or panicked. The message was not sent.
    #[error("{reason}")]
    Layer {
        /// The text of the layer.
        reason: String,
        /// The error of the layer.
        #[source]
        source: Option<Cause>,
    },

    /// Any other error of a backend.
    #[error("{reason}")]
    Backend {
        /// The error text of the backend.
        reason: String,
        /// The error of the driver.
        #[source]
        source: Option<Cause>,
    },
}

/// The first failure of a batch, displayed in the error text of the batch.
struct First<'a>(&'a [(usize, Error)]);

impl std::fmt::Display for First<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.first() {
            Some((index, error)) => write!(formatter, "{index}: {error}"),
            None => formatter.write_str("none"),
        }
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Error {
        match never {}
    }
}
