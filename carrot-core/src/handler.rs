use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::{Message, Settlement};

/// Why a handler failed: any error, or a string, by `?` or `.into()`.
pub type HandlerError = Box<dyn StdError + Send + Sync + 'static>;

/// A type that handles the messages of a consumer, with state of its own; what a sub-class of `Consumer` is in carrot for Python.
///
/// # What becomes of the message
///
/// | `receive` | the message is |
/// |---|---|
/// | gives `Ok(settlement)` | acknowledged, rejected or requeued, as it says |
/// | gives `Err`, or panics | requeued the first time; rejected if it had been delivered before |
/// | is not called, since the body cannot be decoded | rejected |
///
/// So a message that always fails is tried twice and then goes to the queue's dead-letter exchange, if it has one: it never circles.
///
/// ```
/// use carrot_core::{Handler, HandlerError, Message, Settlement};
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
///             return Ok(Settlement::Reject);
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
    /// Whatever makes the message fail; it is logged at warn level.
    fn receive(&self, payload: Self::Payload, message: &Message) -> Result<Settlement, HandlerError>;
}

/// What a handler closure may return: nothing, a [`Settlement`], or a `Result` of either.
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

impl<R: IntoSettlement, E: Into<HandlerError>> IntoSettlement for Result<R, E> {
    fn into_settlement(self) -> Result<Settlement, HandlerError> {
        self.map_err(Into::into)?.into_settlement()
    }
}

/// How one message went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Handled(Settlement),
    /// The handler failed, for this reason.
    Failed(Settlement, Arc<str>),
    /// The body could not be decoded, for this reason.
    Undecodable(Arc<str>),
}

/// Runs a handler that settles by itself; survives its panic.
pub(crate) fn guard(receive: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(receive)) {
        log::warn!("handling a message failed: {}", panic_text(&*panic));
    }
}

/// Decodes `message`, and lets `receive` handle it; [`settle`] then does what the verdict says, by the rules in the doc of [`Handler`].
pub(crate) fn judge<T: DeserializeOwned>(
    message: &Message,
    receive: impl FnOnce(T, &Message) -> Result<Settlement, HandlerError>,
) -> Verdict {
    let payload = match message.decode() {
        Ok(payload) => payload,
        Err(error) => {
            let reason = with_sources(&error);
            log::warn!("message {} of queue {:?} is rejected: {reason}", message.delivery_tag(), message.queue());
            return Verdict::Undecodable(reason.into());
        }
    };
    let reason = match catch_unwind(AssertUnwindSafe(|| receive(payload, message))) {
        Ok(Ok(settlement)) => return Verdict::Handled(settlement),
        Ok(Err(error)) => with_sources(&*error),
        Err(panic) => panic_text(&*panic),
    };
    let settlement = if message.is_redelivered() { Settlement::Reject } else { Settlement::Requeue };
    log::warn!("handling message {} of queue {:?} failed ({settlement:?}): {reason}", message.delivery_tag(), message.queue());
    Verdict::Failed(settlement, reason.into())
}

pub(crate) fn settle(message: &mut Message, verdict: &Verdict) {
    let settlement = match *verdict {
        Verdict::Handled(settlement) | Verdict::Failed(settlement, _) => settlement,
        Verdict::Undecodable(_) => Settlement::Reject,
    };
    if let Err(error) = message.settle(settlement) {
        log::debug!("message {} of queue {:?} could not be settled: {error}", message.delivery_tag(), message.queue());
    }
}

fn with_sources(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("of an unknown kind"))
}
