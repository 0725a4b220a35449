use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Clock, Content};
use crate::consumer::failure::Failure;
use crate::consumer::handled::Handled;
use crate::consumer::message::Message;
use crate::panic_guard::{drop_guarded, guard};

/// Code of the program around the handling of each message.
///
/// A layer is added to a consumer by [`layer`](crate::ConsumerDefinition::layer), or to all
/// consumers of a connection by [`with_handle_layer`](crate::Connection::with_handle_layer).
///
/// # Order
///
/// The layers of the connection are outside those of the consumer, and each group keeps the order
/// in which it was added: the first layer is the outermost.
///
/// # Calls
///
/// `handle` is called for each attempt of a message in workers and callbacks, on the thread that
/// calls the handler. It calls [`Next::run`] to continue with the next layer, the last of which
/// decodes the body and calls the handler. A layer that does not call it replaces the handler.
/// `after_settle` is called after each attempt, once the treatment of the message is known.
///
/// Messages that a program receives itself (`fetch`, `messages`, `spawn_raw`) do not pass the
/// layers. Only a message that cannot be read, which no closure of `spawn_raw` receives, does.
///
/// # Faults
///
/// A layer that panics in `handle` fails its own message, as a handler that panics does. A panic in
/// `after_settle` is logged at error level. A slow layer delays its own message, and the worker
/// that handles it. No lock is held.
///
/// ```
/// use carrot::layers::{HandleLayer, Handled, Next};
/// use carrot::{Message, Settlement};
///
/// /// Rejects messages without a sender.
/// struct RequireSender;
///
/// impl HandleLayer for RequireSender {
///     fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
///         match message.header("sent-by") {
///             Some(_) => next.run(message),
///             None => Handled::settled(Settlement::Reject),
///         }
///     }
/// }
///
/// let connection = carrot::connect("memory://")?;
/// let consumer = connection.consumer("orders").layer(RequireSender).build()?;
/// # let publisher = connection.publisher().routing_key("orders").build()?;
/// # publisher.send("anonymous")?;
/// # publisher.message().header("sent-by", "shop").send("signed")?;
/// # let mut consumer = consumer;
/// # consumer.register_callback(|order: String, _: &Message| assert_eq!(order, "signed"));
/// # let report = consumer.handle_next(2)?;
/// # assert_eq!((report.rejected, report.acknowledged), (1, 1));
/// # Ok::<(), carrot::Error>(())
/// ```
pub trait HandleLayer: Send + Sync + 'static {
    /// Handles one attempt of a message, by default with the next layer.
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        next.run(message)
    }

    /// Sees the treatment of a message after an attempt.
    fn after_settle(&self, message: &SettledMessage<'_>) {
        let _ = message;
    }
}

impl<L: HandleLayer + ?Sized> HandleLayer for Arc<L> {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        (**self).handle(message, next)
    }

    fn after_settle(&self, message: &SettledMessage<'_>) {
        (**self).after_settle(message);
    }
}

/// The layers inside a layer, and the handler. Passed to [`HandleLayer::handle`].
pub struct Next<'a> {
    layers: &'a [Arc<dyn HandleLayer>],
    handler: &'a mut dyn FnMut(&Message) -> Handled,
    clock: &'a Clock,
    /// Whether the message needs no handling any more.
    given_up: &'a dyn Fn() -> bool,
}

impl Next<'_> {
    /// Calls the next layer, or decodes the body and calls the handler.
    ///
    /// Never panics: a panic of the program's code becomes a failure.
    pub fn run(self, message: &Message) -> Handled {
        let Some((layer, layers)) = self.layers.split_first() else {
            return (self.handler)(message);
        };
        let next = Next { layers, ..self };
        guard(|| layer.handle(message, next)).unwrap_or_else(|panic| {
            Handled::failed_with(Failure::new(format!("a handle layer failed: {panic}")))
        })
    }
}

impl Next<'_> {
    /// Waits before the next layer. Returns false if the consumer was stopped, or the channel of
    /// the message was lost, before the time had passed. Another consumer then receives the
    /// message, once the layer returns [`Settlement::Requeue`](crate::Settlement::Requeue).
    ///
    /// Blocks for `duration` at most, on the clock of the connection: a manual clock of the memory
    /// broker has to be advanced. The message stays unacknowledged, so the pause has to be shorter
    /// than the consumer time-out of the broker, 30 minutes by default.
    pub fn pause(&self, duration: Duration) -> bool {
        self.clock.sleep_until(self.clock.now().saturating_add(duration), self.given_up)
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Next({} layers)", self.layers.len())
    }
}

/// The treatment of a message after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Treatment {
    /// Acknowledged.
    Acknowledged,
    /// Rejected, as the handler returned.
    Rejected,
    /// Requeued at once.
    Requeued,
    /// Tried again after a pause, at the broker or in this process.
    Retried,
    /// Moved to the parking queue.
    Parked,
    /// Rejected after its last attempt.
    Discarded,
    /// Neither copied nor parked: requeued after a pause in this process.
    Paused,
    /// Failed after automatic acknowledgement had deleted the message.
    Lost,
    /// The channel was lost before the message was settled. The broker delivers the message again.
    Stale,
    /// Returned to the queue because the consumer was stopped.
    Returned,
}

/// A message whose treatment is known. Passed to [`HandleLayer::after_settle`].
#[derive(Debug)]
pub struct SettledMessage<'a> {
    content: &'a Content,
    queue: &'a str,
    treatment: Treatment,
}

impl SettledMessage<'_> {
    /// Returns the message as it was delivered.
    pub fn content(&self) -> &Content {
        self.content
    }

    /// Returns the name of the queue that delivered the message.
    pub fn queue(&self) -> &str {
        self.queue
    }

    /// Returns the treatment.
    pub fn treatment(&self) -> Treatment {
        self.treatment
    }
}

/// The handle layers of a connection or a consumer, the outermost first.
#[derive(Clone, Default)]
pub(crate) struct HandleLayers(Vec<Arc<dyn HandleLayer>>);

impl HandleLayers {
    pub(crate) fn push(&mut self, layer: impl HandleLayer) {
        self.0.push(Arc::new(layer));
    }

    /// Adds `others` outside these layers.
    pub(crate) fn prepend(&mut self, others: &HandleLayers) {
        self.0.splice(0..0, others.0.iter().cloned());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Calls the handler through the layers.
    pub(crate) fn handle(
        &self,
        message: &Message,
        handler: &mut dyn FnMut(&Message) -> Handled,
        clock: &Clock,
        given_up: &dyn Fn() -> bool,
    ) -> Handled {
        Next { layers: &self.0, handler, clock, given_up }.run(message)
    }

    /// Shows the treatment of a message to the layers, the innermost first.
    pub(crate) fn after_settle(&self, content: &Content, queue: &str, treatment: Treatment) {
        let message = SettledMessage { content, queue, treatment };
        let mut left = self.0.iter().rev();
        // One guard for all layers: after a panic, the iterator continues after the layer that
        // failed.
        while let Err(panic) =
            guard(|| left.by_ref().for_each(|layer| layer.after_settle(&message)))
        {
            log::error!("handle layer failed after a message was settled: {panic} queue={queue:?}");
        }
    }
}

impl Drop for HandleLayers {
    /// Drops each layer alone, because a second panic of one drop aborts the process.
    fn drop(&mut self) {
        self.0.drain(..).for_each(drop_guarded);
    }
}

impl fmt::Debug for HandleLayers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} layers", self.0.len())
    }
}
