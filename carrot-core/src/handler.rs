use std::cell::Cell;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::backend::printable;
use crate::failure::{Failure, FailurePolicy};
use crate::guard::{describe, drop_guarded, guard};
use crate::{Error, Message, Settlement};

/// How many bytes are kept of the reason for which a handler parks a message.
const LONGEST_REASON: usize = 1000;

/// Why a handler failed: any error, or a string, by `?` or `.into()`.
///
/// [`permanent`](HandlerError::permanent) says that trying again is no use. Any other failed message is tried again; see [`Handler`].
///
/// ```
/// use carrot::HandlerError;
///
/// fn quantity(text: &str) -> Result<u32, HandlerError> {
///     if text.is_empty() {
///         return Err(HandlerError::permanent("an order without a quantity"));
///     }
///     Ok(text.parse()?)
/// }
///
/// assert!(quantity("").unwrap_err().is_permanent());
/// assert!(!quantity("many").unwrap_err().is_permanent());
/// ```
pub struct HandlerError {
    error: Box<dyn StdError + Send + Sync + 'static>,
    permanent: bool,
}

impl HandlerError {
    /// A failure that may pass: the message is tried again.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync + 'static>>) -> HandlerError {
        HandlerError { error: error.into(), permanent: false }
    }

    /// A failure that will not pass: the message is parked at once, or rejected if the consumer discards failed messages.
    pub fn permanent(error: impl Into<Box<dyn StdError + Send + Sync + 'static>>) -> HandlerError {
        HandlerError { permanent: true, ..HandlerError::new(error) }
    }

    /// Whether trying again is no use.
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }

    /// The error itself.
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.error
    }

    /// The error itself.
    pub fn into_inner(self) -> Box<dyn StdError + Send + Sync + 'static> {
        self.error
    }

    /// What is known of the failure; survives a `Display` or `Drop` of the error that panics.
    pub(crate) fn into_failure(self) -> Failure {
        let failure = Failure { permanent: self.permanent, ..Failure::new(describe(&*self.error)) };
        drop_guarded(self.error);
        failure
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync + 'static>>> From<E> for HandlerError {
    fn from(error: E) -> HandlerError {
        HandlerError::new(error)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, formatter)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HandlerError").field("error", &self.error).field("permanent", &self.permanent).finish()
    }
}

/// A type that handles the messages of a consumer, with state of its own; what a sub-class of `Consumer` is in carrot for Python.
///
/// # What becomes of the message
///
/// | `receive` | the message is |
/// |---|---|
/// | returns `Ok(settlement)` | acknowledged, rejected, requeued, retried or parked, as the [`Settlement`] says |
/// | returns `Err`, or panics | *failed* |
/// | returns `Err` of [`HandlerError::permanent`] | parked at once |
/// | is not called, because the body cannot be decoded | *failed* |
///
/// A failed message is never dropped, unless the program says so. It is tried again after a pause: 1, 2, 4 and 8 s, unless
/// [`retry`](crate::ConsumerBuilder::retry) says otherwise. After the fifth failure it is *parked* in the queue `<queue>.failed`
/// ([`park`](crate::ConsumerBuilder::park)), with the error and the number of attempts in its headers. Other messages go on meanwhile.
///
/// A message that was only prefetched, given back, or delivered again because its connection was lost has not failed, whatever
/// [`is_redelivered`](Message::is_redelivered) says. Each failure is logged at warn level.
///
/// # How it waits
///
/// A copy of the message waits in a queue of its own at the broker, `<queue>.retry.v1.<seconds>s`. The original is acknowledged once the
/// broker has confirmed the copy. A crash in between doubles the message, and never loses it. While no copy can be sent, the original
/// stays unacknowledged in the process for the pause, and then goes back to its queue.
///
/// A queue that is server-named, exclusive, auto-delete, transient or has a single active consumer gets no copies: its worker waits, and
/// tries the same message again. With automatic acknowledgement, a failed message is lost.
///
/// ```
/// use carrot::{Handler, HandlerError, Message, Settlement};
///
/// #[derive(serde::Deserialize)]
/// struct Feed {
///     url: String,
/// }
///
/// struct Importer;
///
/// impl Handler for Importer {
///     type Payload = Feed;
///
///     fn receive(&self, feed: Feed, _message: &Message) -> Result<Settlement, HandlerError> {
///         if feed.url.is_empty() {
///             return Err(HandlerError::permanent("a feed without a URL"));
///         }
///         Ok(Settlement::Ack)
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// What the body of each message is decoded to.
    type Payload: DeserializeOwned;

    /// Handles one message. Called from several threads at once if there are several workers.
    ///
    /// # Errors
    /// Whatever makes the message fail.
    fn receive(&self, payload: Self::Payload, message: &Message) -> Result<Settlement, HandlerError>;
}

/// What a handler closure may return: nothing, a [`Settlement`], or a `Result` of either.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "this handler returns `{Self}`",
    note = "a handler returns `()`, a `carrot::Settlement`, or a `Result` of one of them, and an error"
)]
pub trait IntoSettlement {
    /// The settlement that it stands for.
    ///
    /// # Errors
    /// The handler's own.
    fn into_settlement(self) -> Result<Settlement, HandlerError>;
}

impl IntoSettlement for () {
    fn into_settlement(self) -> Result<Settlement, HandlerError> {
        Ok(Settlement::Ack)
    }
}

impl IntoSettlement for Settlement {
    fn into_settlement(self) -> Result<Settlement, HandlerError> {
        Ok(self)
    }
}

impl<R: IntoSettlement, E: IntoHandlerError> IntoSettlement for Result<R, E> {
    fn into_settlement(self) -> Result<Settlement, HandlerError> {
        self.map_err(E::into_handler_error)?.into_settlement()
    }
}

/// What a handler may fail with: any error that threads can share, a string, or a [`HandlerError`].
///
/// A `Box<dyn Error>` cannot be sent to another thread, so a handler cannot fail with it; `Box<dyn Error + Send + Sync>` can:
///
/// ```compile_fail,E0277
/// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
/// use std::error::Error;
/// use carrot::Message;
///
/// let _workers = consumer.workers(1).spawn(|_: u32, _: &Message| -> Result<(), Box<dyn Error>> { Ok(()) })?;
/// # Ok(())
/// # }
/// ```
///
/// ```
/// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
/// use std::error::Error;
/// use carrot::Message;
///
/// let _workers = consumer.workers(1).spawn(|_: u32, _: &Message| -> Result<(), Box<dyn Error + Send + Sync>> { Ok(()) })?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot fail with `{Self}`",
    label = "this error cannot be a handler's",
    note = "a handler fails with an error that is `Send + Sync + 'static`, such as `Box<dyn std::error::Error + Send + Sync>`, with a \
            string, or with a `carrot::HandlerError`",
    note = "of a `Box<dyn std::error::Error>`, `error.to_string()` will do"
)]
pub trait IntoHandlerError {
    /// The failure that it stands for; it may pass, unless it is a [`HandlerError`] that says otherwise.
    fn into_handler_error(self) -> HandlerError;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn StdError + Send + Sync + 'static>>> IntoHandlerError for E {
    fn into_handler_error(self) -> HandlerError {
        HandlerError::new(self)
    }
}

impl IntoHandlerError for HandlerError {
    fn into_handler_error(self) -> HandlerError {
        self
    }
}

/// How the handling of one message went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Handled {
    Settled(Settlement),
    Failed(Failure),
}

/// Decodes `message`, and calls `receive` with the value. Catches every panic of the program's code.
pub(crate) fn handle<T: DeserializeOwned>(
    message: &Message,
    policy: &FailurePolicy,
    receive: impl FnOnce(T, &Message) -> Result<Settlement, HandlerError>,
) -> Handled {
    let decoded = Cell::new(false);
    let result = guard(|| {
        let payload = message.decode()?;
        decoded.set(true);
        Ok(receive(payload, message))
    });
    match result {
        Ok(Ok(result)) => outcome(Ok(result)),
        Ok(Err(error)) => undecodable(message, policy, error),
        Err(panic) if decoded.get() => outcome(Err(panic)),
        Err(panic) => {
            let content_type = message.properties().content_type().unwrap_or_default().to_string();
            undecodable(message, policy, Error::Decode { content_type, source: Arc::new(Panicked(panic)) })
        }
    }
}

/// A panic of a `Deserialize`, as an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Panicked(String);

/// Asks the program what to do with a message whose body cannot be decoded, if it wants to be asked.
fn undecodable(message: &Message, policy: &FailurePolicy, error: Error) -> Handled {
    let failed = match &policy.settings().on_undecodable {
        Some(handler) => outcome(guard(|| (handler.0)(message, &error))),
        None => Handled::Failed(Failure::new(describe(&error))),
    };
    drop_guarded(error);
    match failed {
        Handled::Failed(failure) => Handled::Failed(Failure { undecodable: true, ..failure }),
        settled => settled,
    }
}

fn outcome(result: Result<Result<Settlement, HandlerError>, String>) -> Handled {
    let chosen = |reason: String| Failure { chosen: true, ..Failure::new(reason) };
    match result {
        Ok(Ok(Settlement::RetryAfter(pause))) => {
            Handled::Failed(Failure { pause: Some(pause), ..chosen(format!("another attempt in {pause:?}")) })
        }
        Ok(Ok(Settlement::Park(reason))) => Handled::Failed(Failure { permanent: true, ..chosen(printable(LONGEST_REASON, reason)) }),
        Ok(Ok(settlement)) => Handled::Settled(settlement),
        Ok(Err(error)) => Handled::Failed(error.into_failure()),
        Err(panic) => Handled::Failed(Failure::new(panic)),
    }
}
