use serde::de::DeserializeOwned;

use crate::consumer::handler_error::{HandlerError, IntoHandlerError};
use crate::consumer::message::Message;
use crate::consumer::settlement::Settlement;

/// Handles the messages of a consumer, with its own state.
///
/// # Settlement
///
/// | `receive` | the message is |
/// |---|---|
/// | returns `Ok(settlement)` | acknowledged, rejected, requeued, retried or parked, by the [`Settlement`] |
/// | returns `Err`, or panics | *failed* |
/// | returns `Err` of [`HandlerError::permanent`] | parked at once |
/// | is not called, because the body cannot be decoded | *failed* |
/// | is not called, because the message is [`unreadable`](Message::unreadable) | rejected |
///
/// A failed message is not dropped unless the program asks for that. Carrot tries the message again
/// after pauses of 1, 2, 4 and 8 s, or those of [`retry`](crate::ConsumerDefinition::retry). After
/// the fifth failure the message is *parked*: moved to the queue `<queue>.failed`
/// ([`park`](crate::ConsumerDefinition::park)), with the error and the number of attempts in its
/// headers. Other messages are handled meanwhile. A poison message therefore cannot block the
/// queue.
///
/// An unreadable message cannot be copied, and is therefore neither retried nor parked. The broker
/// dead-letters the message if its queue has a dead-letter exchange, and drops it otherwise. The
/// rejection is logged at error level.
/// [`on_undecodable`](crate::ConsumerDefinition::on_undecodable) can settle the message in another
/// way.
///
/// Messages that were only prefetched, requeued, or redelivered after a lost connection have not
/// failed, even if [`is_redelivered`](Message::is_redelivered) returns true. Each failure is logged
/// at warn level.
///
/// Delivery is at least once: handlers should be idempotent.
///
/// # Pauses
///
/// A copy of the message waits in a queue of its own at the broker, `<queue>.retry.v1.<seconds>s`.
/// Carrot acknowledges the original once the broker has confirmed the copy. A crash in between
/// duplicates the message, and never loses it. If no copy can be sent, the original stays
/// unacknowledged in the process for the pause, and is then requeued.
///
/// A server-named, exclusive, auto-delete or transient queue gets no copies, nor does a queue with
/// a single active consumer. Its worker waits and tries the same message again. With automatic
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
    /// The type that the body of each message is decoded to.
    type Payload: DeserializeOwned;

    /// Handles one message. Several workers call a handler from several threads at once.
    ///
    /// # Errors
    /// Any error fails the message.
    fn receive(
        &self,
        payload: Self::Payload,
        message: &Message,
    ) -> Result<Settlement, HandlerError>;
}

/// The return types of a handler closure: nothing, a [`Settlement`], or a `Result` of either.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "this handler returns `{Self}`",
    note = "a handler returns `()`, a `carrot::Settlement`, or a `Result` of one of them, \
            and an error"
)]
pub trait IntoSettlement {
    /// Converts the value to a settlement.
    ///
    /// # Errors
    /// The error of the handler.
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
