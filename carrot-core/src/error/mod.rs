//! The one error of every fallible call.

mod hard_close;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

pub use hard_close::HardClose;

use crate::escaping::Shown;

/// What every fallible call of Carrot gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The underlying error of another library, shared so that one failure can be told to every call it
/// fails.
///
/// [`source`](StdError::source) gives it in this wrapping, so a look at the error inside takes two
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

/// Everything that can go wrong, cut by what the caller can do about it.
///
/// No error holds a password. `Display` does not repeat [`source`](StdError::source), except for
/// [`Connect`](Error::Connect), [`Disconnected`](Error::Disconnected) and [`Batch`](Error::Batch),
/// so that one line of a log names the cause.
///
/// | wish | ask |
/// |---|---|
/// | may the same call work later? | [`is_retryable`](Error::is_retryable) |
/// | was a connection or channel lost? | [`is_disconnected`](Error::is_disconnected) |
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A URL, environment variable or builder holds something unusable. Given by connecting;
    /// correct the named option.
    #[error("invalid configuration: {option}: {reason}")]
    Config {
        /// The option, URL part or environment variable.
        option: Cow<'static, str>,
        /// What is wrong with it, and what would be right.
        reason: String,
    },

    /// No connection could be made, or none could be made again before the deadline of the call:
    /// the address does not resolve, refuses, does not answer, or TLS failed. A message that was
    /// sent before the connection was lost may have reached the broker. Check the address; the
    /// broker may be starting.
    #[error("could not connect to {endpoint} within {:.1} s: {reason}", tried.as_secs_f64())]
    Connect {
        /// The host and port, or several.
        endpoint: String,
        /// Which step failed, and the operating system's or TLS library's words.
        reason: String,
        /// How long the call tried, in one attempt or in many.
        tried: Duration,
        /// The operating system's or TLS library's own error.
        #[source]
        source: Option<Cause>,
    },

    /// The broker refused the user's credentials, or the virtual host, at the first contact. Trying
    /// again with the same ones is no use. What was accepted before, and is refused now, is an
    /// [`Error::Connect`].
    #[error("the broker at {endpoint} refused user {user:?}: {reason}")]
    Authentication {
        /// The host and port.
        endpoint: String,
        /// The user name.
        user: String,
        /// The broker's words.
        reason: String,
    },

    /// The connection was lost. What was not yet confirmed may or may not have reached the broker;
    /// what was not yet settled will be delivered again.
    #[error("the connection to the broker was lost: {reason}")]
    Disconnected {
        /// The address, and how it was lost: the operating system's words, or the broker's.
        reason: String,
        /// The driver's error.
        #[source]
        source: Option<Cause>,
    },

    /// The broker sent something that the driver cannot read, such as a routing key that is not
    /// UTF-8; the connection is lost with it, again each time the broker sends it. The consumers of
    /// the connection subscribe again one by one, and the one whose queue holds the message gives
    /// up with this error. Take the message out of its queue with another client, or purge the
    /// queue.
    #[error("the broker sent what cannot be read, and the connection was lost with it: {reason}")]
    Unreadable {
        /// What could not be read, as far as the driver knows, and where it came from.
        reason: String,
    },

    /// The deadline of a call passed. A message whose confirm did not come in time may or may not
    /// have reached the broker.
    #[error("{operation} did not finish within {after:?}")]
    Timeout {
        /// What was waited for.
        operation: Cow<'static, str>,
        /// How long.
        after: Duration,
    },

    /// The broker has stopped taking messages (a memory or disk alarm), and the deadline passed
    /// before it went on.
    #[error("the broker has blocked publishing: {reason}")]
    Blocked {
        /// The broker's words.
        reason: String,
    },

    /// The broker refused the operation and closed the whole connection over it: an AMQP hard
    /// error, such as 503 for an exchange type that the broker does not know. The same operation
    /// will be refused again. Correct the call, or install the plug-in that it needs.
    ///
    /// Every other channel of the connection fails with [`Error::Disconnected`].
    #[error("the broker refused the operation and closed the connection: {code} {reason}")]
    HardError {
        /// The reply code: 501 to 506, 530, 540 or 541.
        code: u16,
        /// The broker's words.
        reason: String,
    },

    /// The queue exists, but the node that holds it, or its leader, is down (a form of AMQP 404).
    /// The same call may work later.
    #[error("unavailable: {reason}")]
    Unavailable {
        /// The broker's words, which name the queue.
        reason: String,
    },

    /// The exchange, queue or virtual host does not exist (AMQP 404). Declare it first.
    #[error("not found: {reason}")]
    NotFound {
        /// The broker's words, which name it.
        reason: String,
    },

    /// The broker forbids it (AMQP 403): a permission, a reserved name.
    #[error("access refused: {reason}")]
    AccessRefused {
        /// The broker's words.
        reason: String,
    },

    /// The queue is exclusive to another connection (AMQP 405), or has an exclusive consumer, or
    /// was to get one beside others (a form of AMQP 403).
    #[error("locked: {reason}")]
    ResourceLocked {
        /// The broker's words.
        reason: String,
    },

    /// It exists with other properties, is in use, is not empty, or an argument or a delivery tag
    /// is not valid (AMQP 406).
    #[error("precondition failed: {reason}")]
    PreconditionFailed {
        /// The broker's words.
        reason: String,
    },

    /// A mandatory message fitted no queue. It is not lost: it is here.
    #[error("message to exchange {:?} with routing key {:?} was returned: {} {}", returned.exchange, returned.routing_key, returned.code, returned.text)]
    Unroutable {
        /// The message, and the broker's words.
        returned: Box<Returned>,
    },

    /// The broker refused to take responsibility for the message (a nack): a full queue that
    /// rejects, or an internal fault. It may be sent again.
    #[error("the broker refused the message (basic.nack)")]
    Refused,

    /// The message belongs to a channel that is gone. Nothing was sent; the broker delivers the
    /// message again, unless it was settled or taken without acknowledgement.
    #[error(
        "the channel that delivered this message is gone, so it can no longer be settled on it"
    )]
    Stale {
        /// Why the channel is gone, where that is known.
        source: Option<Arc<Error>>,
    },

    /// The consumer was cancelled: by a stop, or by the broker, and its queue is gone.
    #[error("the consumer of queue {queue:?} was cancelled: {reason}")]
    Cancelled {
        /// The queue.
        queue: String,
        /// Who cancelled it.
        reason: Cow<'static, str>,
    },

    /// A value could not be turned into a body. Nothing was sent.
    #[error("could not encode the value as {content_type}")]
    Encode {
        /// The codec's content type.
        content_type: String,
        /// The codec's error.
        #[source]
        source: Cause,
    },

    /// A body could not be turned into the wanted type. The message is still there to be settled.
    #[error("could not decode the body as {content_type}")]
    Decode {
        /// The codec's content type.
        content_type: String,
        /// The codec's error.
        #[source]
        source: Cause,
    },

    /// No codec, or none that the consumer accepts, reads this content type. The message is still
    /// there to be settled.
    #[error(
        "content type {content_type:?} (encoding {content_encoding:?}) is not among the accepted ones: {accepted}"
    )]
    ContentType {
        /// What the message says it is; empty if it does not say.
        content_type: String,
        /// Its content encoding; empty if it does not say.
        content_encoding: String,
        /// What would have been accepted.
        accepted: String,
    },

    /// An argument is out of its limits. Nothing was sent, and the connection is unharmed.
    #[error("invalid {field}: {value}: {limit}")]
    Invalid {
        /// The argument.
        field: Cow<'static, str>,
        /// What it was, shortened if it is long.
        value: String,
        /// The limit that it breaks.
        limit: Cow<'static, str>,
    },

    /// Some of the messages of one [`send_all`](crate::Publisher::send_all) were not confirmed; all
    /// the others were.
    #[error("{} of {} messages were not confirmed; the first is number {}", failures.len(), confirmed + failures.len(), First(failures))]
    Batch {
        /// How many were confirmed.
        confirmed: usize,
        /// The index, from zero, of each message that was not, and why.
        failures: Vec<(usize, Error)>,
        /// The first of the failures.
        #[source]
        source: Arc<Error>,
    },

    /// This connection, publisher or consumer was closed by this program.
    #[error("the {what} is closed")]
    Closed {
        /// What was closed.
        what: Cow<'static, str>,
    },

    /// Anything else that a backend has to say.
    #[error("{reason}")]
    Backend {
        /// The backend's words.
        reason: String,
        /// The driver's error.
        #[source]
        source: Option<Cause>,
    },
}

/// The first failure of a batch, for its message.
struct First<'a>(&'a [(usize, Error)]);

impl std::fmt::Display for First<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.first() {
            Some((index, error)) => write!(formatter, "{index}: {error}"),
            None => formatter.write_str("none"),
        }
    }
}

/// A mandatory message that fitted no queue.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Returned {
    /// The reply code, 312 for "no route".
    pub code: u16,
    /// The broker's words.
    pub text: String,
    /// The exchange that it was published to.
    pub exchange: String,
    /// The routing key that it was published with.
    pub routing_key: String,
    /// Its message id.
    pub message_id: Option<String>,
    /// Its body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Returned {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Returned")
            .field("code", &self.code)
            .field("text", &self.text)
            .field("exchange", &self.exchange)
            .field("routing_key", &self.routing_key)
            .field("message_id", &self.message_id)
            .field("body", &Shown(&self.body))
            .finish()
    }
}

impl Returned {
    /// Puts a returned message together; for whoever writes a publisher.
    pub fn new(
        code: u16,
        text: impl Into<String>,
        exchange: &str,
        routing_key: &str,
        message_id: Option<&str>,
        body: &[u8],
    ) -> Returned {
        Returned {
            code,
            text: text.into(),
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            message_id: message_id.map(Into::into),
            body: body.into(),
        }
    }
}

impl Error {
    /// Whether the same call may succeed if it is made again later, with nothing corrected in
    /// between.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Error::Connect { .. }
                | Error::Disconnected { .. }
                | Error::Unreadable { .. }
                | Error::Timeout { .. }
                | Error::Blocked { .. }
                | Error::Unavailable { .. }
                | Error::Refused
        )
    }

    /// Whether it says that a connection or channel is gone, through no fault of the call.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Error::Disconnected { .. } | Error::Unreadable { .. } | Error::Stale { .. })
    }

    /// Whether the broker refused an operation and closed the channel over it (AMQP 403, 404, 405,
    /// 406).
    pub fn is_channel_error(&self) -> bool {
        matches!(
            self,
            Error::NotFound { .. }
                | Error::Unavailable { .. }
                | Error::AccessRefused { .. }
                | Error::ResourceLocked { .. }
                | Error::PreconditionFailed { .. }
        )
    }

    /// Returns the AMQP reply code of the broker's refusal: 403, 404, 405 or 406 for a channel that
    /// the broker closed, 312 or 313 for a returned message, the code of a hard error. `None` for
    /// an error that has none.
    ///
    /// ```
    /// use carrot::Error;
    ///
    /// let error = Error::NotFound { reason: "NOT_FOUND - no queue 'jobs' in vhost '/'".into() };
    /// assert_eq!(error.reply_code(), Some(404));
    /// assert_eq!(Error::Refused.reply_code(), None);
    /// ```
    pub fn reply_code(&self) -> Option<u16> {
        match self {
            Error::AccessRefused { .. } => Some(403),
            Error::NotFound { .. } => Some(404),
            Error::ResourceLocked { .. } => Some(405),
            Error::PreconditionFailed { .. } => Some(406),
            Error::HardError { code, .. } => Some(*code),
            Error::Unroutable { returned } => Some(returned.code),
            Error::Batch { source, .. } => source.reply_code(),
            _ => self.hard_close().map(|close| close.code),
        }
    }

    /// The hard error that ended the connection, if this is an [`Error::Disconnected`] and an
    /// operation of the failed channel may have caused that error. `None` on channels that had
    /// nothing in flight which could be the cause.
    pub fn hard_close(&self) -> Option<&HardClose> {
        match self {
            Error::Disconnected { source: Some(source), .. } => source.downcast_ref(),
            _ => None,
        }
    }

    /// An [`Error::Invalid`] about `field`; a long `value` is shortened.
    pub fn invalid(
        field: impl Into<Cow<'static, str>>,
        value: &str,
        limit: impl Into<Cow<'static, str>>,
    ) -> Error {
        const SHOWN: usize = 60;
        let value = match value.char_indices().nth(SHOWN) {
            Some((cut, _)) => format!("{:?}... ({} bytes)", &value[..cut], value.len()),
            None => format!("{value:?}"),
        };
        Error::Invalid { field: field.into(), value, limit: limit.into() }
    }

    /// An [`Error::Config`] about `option`.
    pub fn config(option: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Error {
        Error::Config { option: option.into(), reason: reason.into() }
    }

    /// An [`Error::Timeout`] of `operation`.
    pub fn timeout(operation: impl Into<Cow<'static, str>>, after: Duration) -> Error {
        Error::Timeout { operation: operation.into(), after }
    }

    /// An [`Error::Connect`] after one attempt, with the words of `source` in its reason.
    pub fn connect(
        endpoint: impl Into<String>,
        reason: impl Into<String>,
        tried: Duration,
        source: Option<Cause>,
    ) -> Error {
        let mut reason = reason.into();
        if let Some(source) = &source {
            reason = format!("{reason}: {source}");
        }
        Error::Connect { endpoint: endpoint.into(), reason, tried, source }
    }

    /// An [`Error::Closed`] of `what`.
    pub fn closed(what: impl Into<Cow<'static, str>>) -> Error {
        Error::Closed { what: what.into() }
    }

    /// An [`Error::Disconnected`] for `reason`, with nothing underneath.
    pub fn disconnected(reason: impl Into<String>) -> Error {
        Error::Disconnected { reason: reason.into(), source: None }
    }

    /// The error for an AMQP reply code that closes a channel; `None` for a code that does not.
    /// Only the code counts: a driver looks at the broker's words before this, where the same code
    /// stands for several conditions.
    pub fn from_channel_close(code: u16, text: &str) -> Option<Error> {
        let reason = text.to_string();
        Some(match code {
            403 => Error::AccessRefused { reason },
            404 => Error::NotFound { reason },
            405 => Error::ResourceLocked { reason },
            406 => Error::PreconditionFailed { reason },
            _ => return None,
        })
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Error {
        match never {}
    }
}
