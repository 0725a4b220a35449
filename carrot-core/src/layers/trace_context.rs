use std::cell::Cell;
use std::sync::Arc;

use crate::backend::Content;
use crate::consumer::handled::Handled;
use crate::consumer::layer::{HandleLayer, Next};
use crate::consumer::message::Message;
use crate::error::Result;
use crate::layers::trace_parent::{TRACEPARENT, TraceParent};
use crate::layers::trace_state::{self, TRACESTATE};
use crate::model::{Properties, ShortString};
use crate::publish_layer::layer::PublishLayer;
use crate::publish_layer::outgoing::OutgoingMessage;

/// A layer that passes the trace of a message on, in the headers `traceparent` and `tracestate` of
/// W3C Trace Context.
///
/// Needs no tracing library. Other programs, brokers and tools that know the headers see which
/// messages belong together.
///
/// | a message is sent | its trace |
/// |---|---|
/// | with a valid `traceparent` of the program or of an earlier layer | stays as it is |
/// | by a handler, on the thread that the handler was called on | continues that of the handled message, with its `tracestate` |
/// | by such a handler, of a message without a valid trace | one new trace for all messages of the attempt |
/// | otherwise | a new trace |
///
/// Each sent message receives a random parent id. Copies for a retry keep the headers, so that all
/// attempts belong to one trace. So does a parked message.
///
/// Invalid headers are ignored, and never an error: see [`TraceParent`]. An invalid `tracestate` is
/// dropped, as is one of more than 512 bytes or 32 members.
///
/// # Threads
///
/// While a message passes the layer, the thread remembers the message. The layer of a publisher
/// finds it there. Handlers that send on other threads pass the headers on themselves. The thread
/// forgets the message before the layer returns, also after a panic. Nothing else is shared.
///
/// ```
/// use carrot::layers::{TraceContext, TraceParent};
///
/// let connection = carrot::connect("memory://")?.with_layer(TraceContext::new());
///
/// let consumer = connection.consumer("orders").build()?;
/// connection.publisher().routing_key("orders").build()?.send("an order")?;
/// let message = consumer.fetch()?.expect("the message that was sent");
/// assert!(TraceParent::of(&message).is_some());
/// # message.ack()?;
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TraceContext {
    samples_new_traces: bool,
}

impl Default for TraceContext {
    fn default() -> TraceContext {
        TraceContext { samples_new_traces: true }
    }
}

thread_local! {
    /// The message that passes the layer on this thread.
    static HANDLED: Cell<Option<HandledTrace>> = const { Cell::new(None) };
}

/// The trace of the message that is handled.
#[derive(Debug)]
enum HandledTrace {
    /// A message whose headers were not read yet.
    Unread(Arc<Content>),
    /// Headers that state a trace.
    Continued(TraceParent, Arc<Content>),
    /// The message has no trace. This one was started for the messages of its handler.
    Started(TraceParent),
}

/// Restores the message of an outer call when dropped.
struct Restore(Option<HandledTrace>);

impl Drop for Restore {
    fn drop(&mut self) {
        HANDLED.set(self.0.take());
    }
}

impl TraceContext {
    /// Creates a layer that marks the traces that it starts as sampled.
    pub fn new() -> TraceContext {
        TraceContext::default()
    }

    /// Sets whether new traces are marked as sampled, which asks the programs that receive the
    /// messages to record the trace. Continued traces keep their mark.
    ///
    /// Defaults to true.
    #[must_use]
    pub fn sample_new_traces(mut self, sampled: bool) -> TraceContext {
        self.samples_new_traces = sampled;
        self
    }

    /// Returns the position of the message that this thread handles. `None` outside of a handler,
    /// without the layer, and if the message has no valid trace.
    ///
    /// ```
    /// use carrot::Message;
    /// use carrot::layers::TraceContext;
    ///
    /// # let connection = carrot::connect("memory://")?.with_publish_layer(TraceContext::new());
    /// let mut consumer = connection.consumer("orders").layer(TraceContext::new()).build()?;
    /// consumer.register_callback(|order: String, _: &Message| {
    ///     let trace = TraceContext::current().map(|parent| parent.trace_id());
    ///     println!("order {order:?} of trace {:032x}", trace.unwrap_or_default());
    /// #   assert!(trace.is_some());
    /// });
    /// # connection.publisher().routing_key("orders").build()?.send("an order")?;
    /// # assert_eq!(consumer.handle_next(1)?.acknowledged, 1);
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn current() -> Option<TraceParent> {
        let handled = HANDLED.take();
        let parent = match &handled {
            Some(HandledTrace::Unread(content)) => TraceParent::of_properties(&content.properties),
            Some(HandledTrace::Continued(parent, _)) => Some(*parent),
            Some(HandledTrace::Started(_)) | None => None,
        };
        HANDLED.set(handled);
        parent
    }

    /// Starts a trace, or continues that of the handled message. Returns the `tracestate`, too.
    fn continued<T>(self, set: impl FnOnce(TraceParent, Option<&str>) -> T) -> T {
        match HANDLED.take().map(|handled| self.read(handled)) {
            Some(HandledTrace::Continued(parent, content)) => {
                let result = set(parent.child(), trace_state::of_properties(&content.properties));
                HANDLED.set(Some(HandledTrace::Continued(parent, content)));
                result
            }
            Some(HandledTrace::Started(parent)) => {
                HANDLED.set(Some(HandledTrace::Started(parent)));
                set(parent.child(), None)
            }
            Some(HandledTrace::Unread(_)) | None => {
                set(TraceParent::random(self.samples_new_traces), None)
            }
        }
    }

    fn read(self, handled: HandledTrace) -> HandledTrace {
        match handled {
            HandledTrace::Unread(content) => {
                match TraceParent::of_properties(&content.properties) {
                    Some(parent) => HandledTrace::Continued(parent, content),
                    None => HandledTrace::Started(TraceParent::random(self.samples_new_traces)),
                }
            }
            read => read,
        }
    }
}

impl PublishLayer for TraceContext {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> Result<()> {
        if TraceParent::of_properties(message.properties()).is_none() {
            self.continued(|parent, state| write(message, parent, state));
        }
        Ok(())
    }
}

impl HandleLayer for TraceContext {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        let handled = HandledTrace::Unread(Arc::clone(message.content()));
        let _restore = Restore(HANDLED.replace(Some(handled)));
        next.run(message)
    }
}

/// Writes both headers, or removes a `tracestate` that belongs to no trace.
pub(super) fn write(message: &mut OutgoingMessage<'_>, parent: TraceParent, state: Option<&str>) {
    message.set_header(ShortString::from_static(TRACEPARENT), parent.header());
    match state {
        Some(state) => message.set_header(ShortString::from_static(TRACESTATE), state),
        None if has_state(message.properties()) => {
            message.change_properties(|properties| properties.without_header(TRACESTATE));
        }
        None => {}
    }
}

fn has_state(properties: &Properties) -> bool {
    properties.headers().is_some_and(|headers| headers.len() > 1 && headers.contains(TRACESTATE))
}
