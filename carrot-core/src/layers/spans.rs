use tracing::Span;
use tracing::field::{Empty, display};

use crate::consumer::handled::Handled;
use crate::consumer::layer::{HandleLayer, Next};
use crate::consumer::message::Message;
use crate::error::Result;
use crate::layers::trace_parent::TraceParent;
use crate::layers::{destination, error_type};
use crate::panic_guard::guard;
use crate::publish_layer::layer::PublishLayer;
use crate::publish_layer::outgoing::{OutgoingMessage, SentMessage};

/// A layer that creates spans of the crate `tracing` for sending and handling.
///
/// | span | begins | ends | its parent |
/// |---|---|---|---|
/// | `publish` | before the message is sent | when the outcome is known | the current span of the sending thread |
/// | `process` | before an attempt to handle | when the handler has returned | the current span of the handling thread |
///
/// The span `process` is current while the handler runs. Messages that the handler sends on its
/// thread, and its log lines and spans, belong to it. Each attempt has a span of its own.
///
/// Both spans have the level info and the target `carrot`. The field `otel.name` is the name of
/// the span in OpenTelemetry, such as `publish orders`. The page
/// [metrics and traces](../guide/metrics_and_traces/index.html) lists the fields.
///
/// The crate `tracing` connects no spans of several programs. Together with
/// [`TraceContext`](crate::TraceContext), the fields `trace_id` and `parent_id` do. That layer is
/// added first.
///
/// ```
/// use carrot::layers::{Spans, TraceContext};
///
/// let connection = carrot::connect("memory://")?
///     .with_layer(TraceContext::new())
///     .with_layer(Spans::new());
/// # connection.publisher().queue("orders").build()?.send("an order")?;
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Spans {}

impl Spans {
    /// Creates the layer.
    pub fn new() -> Spans {
        Spans {}
    }
}

/// Records the trace of a message in its span.
fn record_trace(span: &Span, parent: Option<TraceParent>) {
    if let Some(parent) = parent {
        span.record("trace_id", display(format_args!("{:032x}", parent.trace_id())));
        span.record("parent_id", display(format_args!("{:016x}", parent.parent_id())));
    }
}

fn record_failure(span: &Span, class: &str, reason: &dyn std::fmt::Display) {
    span.record("error.type", class);
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", display(reason));
}

impl PublishLayer for Spans {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> Result<()> {
        let destination = destination::of_sent(message.exchange(), message.routing_key());
        let span = tracing::info_span!(
            target: "carrot",
            "publish",
            otel.name = %format_args!("publish {destination}"),
            otel.kind = "producer",
            otel.status_code = Empty,
            otel.status_description = Empty,
            messaging.system = "rabbitmq",
            messaging.operation.name = "publish",
            messaging.operation.type = "send",
            messaging.destination.name = destination,
            messaging.rabbitmq.destination.routing_key = message.routing_key().as_str(),
            messaging.message.id = message.properties().message_id(),
            messaging.message.body.size = message.body().len(),
            error.type = Empty,
            trace_id = Empty,
            parent_id = Empty,
        );
        if !span.is_disabled() {
            record_trace(&span, TraceParent::of_properties(message.properties()));
            message.attach(span);
        }
        Ok(())
    }

    fn after_send(&self, message: &SentMessage<'_>) {
        if let (Some(span), Some(error)) = (message.attached::<Span>(), message.error()) {
            record_failure(span, error_type::of_error(error), error);
        }
    }
}

impl HandleLayer for Spans {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        let span = tracing::info_span!(
            target: "carrot",
            "process",
            otel.name = %format_args!("process {}", destination::group(message.queue())),
            otel.kind = "consumer",
            otel.status_code = Empty,
            otel.status_description = Empty,
            messaging.system = "rabbitmq",
            messaging.operation.name = "process",
            messaging.operation.type = "process",
            messaging.destination.name = message.queue(),
            messaging.rabbitmq.destination.routing_key = message.routing_key(),
            messaging.rabbitmq.message.delivery_tag = message.delivery_tag(),
            messaging.message.id = message.id(),
            messaging.message.body.size = message.body().len(),
            carrot.attempt = message.attempt(),
            error.type = Empty,
            trace_id = Empty,
            parent_id = Empty,
        );
        if span.is_disabled() {
            return next.run(message);
        }
        record_trace(&span, TraceParent::of(message));
        let handled = span.in_scope(|| next.run(message));
        if let (Some(class), Some(reason)) = (error_type::of_handled(&handled), handled.failure()) {
            // The subscriber is code of the program.
            if let Err(panic) = guard(|| record_failure(&span, class, &reason)) {
                log::error!("recording a failure in a span failed: {panic}");
            }
        }
        handled
    }
}
