use serde::de::DeserializeOwned;

use crate::consumer::handler_error::{HandlerError, IntoHandlerError};
use crate::consumer::message::Message;
use crate::consumer::settlement::Settlement;

/// A type that handles the messages of a consumer, with state of its own; what a sub-class of
/// `Consumer` is in carrot for Python.
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
/// A failed message is never dropped, unless the program says so. It is tried again after a pause:
/// 1, 2, 4 and 8 s, unless [`retry`](crate::ConsumerDefinition::retry) says otherwise. After the
/// fifth failure it is *parked* in the queue `<queue>.failed`
/// ([`park`](crate::ConsumerDefinition::park)), with the error and the number of attempts in its
/// headers. Other messages go on meanwhile.
///
/// A message that was only prefetched, given back, or delivered again because its connection was
/// lost has not failed, whatever [`is_redelivered`](Message::is_redelivered) says. Each failure is
/// logged at warn level.
///
/// # How it waits
///
/// A copy of the message waits in a queue of its own at the broker, `<queue>.retry.v1.<seconds>s`.
/// The original is acknowledged once the broker has confirmed the copy. A crash in between doubles
/// the message, and never loses it. While no copy can be sent, the original stays unacknowledged in
/// the process for the pause, and then goes back to its queue.
///
/// A queue that is server-named, exclusive, auto-delete, transient or has a single active consumer
/// gets no copies: its worker waits, and tries the same message again. With automatic
/// acknowledgement, a failed message is lost.
///
/// ```
/// use carrot::{Handler, Message, Settlement, consume::HandlerError};
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
    fn receive(
        &self,
        payload: Self::Payload,
        message: &Message,
    ) -> Result<Settlement, HandlerError>;
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
