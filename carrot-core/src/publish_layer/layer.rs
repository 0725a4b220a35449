use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::panic_guard::drop_guarded;
use crate::publish_layer::outgoing::{OutgoingMessage, SentMessage};

/// Code of the program around sending: sees each message before it is sent, and its outcome.
///
/// A layer is added to a publisher by [`layer`](crate::PublisherDefinition::layer), to a caller, or
/// to all publishers and callers of a connection by
/// [`with_publish_layer`](crate::Connection::with_publish_layer). Each method has a default that
/// does nothing.
///
/// # Order
///
/// The layers of the connection come before those of the publisher, and each group keeps the order
/// in which it was added. `before_send` is called in this order, `after_send` in the reverse order.
///
/// # Calls
///
/// For each message, `before_send` is called once, on the thread that sends, after the body was
/// encoded and before the message waits for room in the window. If `before_send` returned `Ok`,
/// `after_send` is called exactly once, also if the message could not be sent. Carrot sends a
/// message again after a lost connection without calling the layers again. The copies that wait
/// for a retry, and parked messages, do not pass the layers.
///
/// `after_send` runs on the thread that learns the outcome, which is usually the one that waits for
/// the [`Confirmation`](crate::Confirmation). It runs before the outcome is returned. The outcome
/// of a message whose confirmation was dropped is learned by a later call of the publisher.
///
/// # Faults
///
/// A layer that fails or panics in `before_send` fails its own message, which is not sent. A panic
/// in `after_send` is logged at error level, and the outcome stays the same. The time that
/// `before_send` takes counts towards the deadline of the message. No lock is held.
///
/// ```
/// use carrot::layers::{OutgoingMessage, PublishLayer};
///
/// /// Names the sending program in each message.
/// struct SentBy(&'static str);
///
/// impl PublishLayer for SentBy {
///     fn before_send(&self, message: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
///         message.set_header("sent-by", self.0);
///         Ok(())
///     }
/// }
///
/// let connection = carrot::connect("memory://")?;
/// let publisher = connection.publisher().queue("orders").layer(SentBy("shop")).build()?;
/// publisher.send("an order")?;
/// # let consumer = connection.consumer("orders").build()?;
/// # let message = consumer.fetch()?.expect("the message that was sent");
/// # assert_eq!(message.header("sent-by").and_then(|value| value.as_str()), Some("shop"));
/// # Ok::<(), carrot::Error>(())
/// ```
pub trait PublishLayer: Send + Sync + 'static {
    /// Sees, changes or refuses a message before it is sent.
    ///
    /// # Errors
    /// Any error. The message is not sent, and the caller receives the error.
    /// [`Error::Layer`](crate::Error::Layer) is meant for that.
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> Result<()> {
        let _ = message;
        Ok(())
    }

    /// Sees the outcome of a message that passed [`before_send`](PublishLayer::before_send).
    fn after_send(&self, message: &SentMessage<'_>) {
        let _ = message;
    }
}

impl<L: PublishLayer + ?Sized> PublishLayer for Arc<L> {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> Result<()> {
        (**self).before_send(message)
    }

    fn after_send(&self, message: &SentMessage<'_>) {
        (**self).after_send(message);
    }
}

/// The error of serializing a definition with layers.
pub(crate) const LAYERS_ARE_CODE: &str = "layers are code of the program, and cannot be serialized";

/// The publish layers of a connection or a publisher, the first one first.
#[derive(Clone, Default)]
pub(crate) struct PublishLayers(Vec<Arc<dyn PublishLayer>>);

impl PublishLayers {
    pub(crate) fn push(&mut self, layer: impl PublishLayer) {
        self.0.push(Arc::new(layer));
    }

    /// Adds `others` before these layers.
    pub(crate) fn prepend(&mut self, others: &PublishLayers) {
        self.0.splice(0..0, others.0.iter().cloned());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &dyn PublishLayer> {
        self.0.iter().map(|layer| &**layer)
    }

    pub(super) fn get(&self, index: usize) -> Option<&dyn PublishLayer> {
        self.0.get(index).map(|layer| &**layer)
    }
}

impl Drop for PublishLayers {
    /// Drops each layer alone, because a second panic of one drop aborts the process.
    fn drop(&mut self) {
        self.0.drain(..).for_each(drop_guarded);
    }
}

impl fmt::Debug for PublishLayers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} layers", self.0.len())
    }
}
