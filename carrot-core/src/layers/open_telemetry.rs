use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanId, SpanKind, SpanRef, Status, TraceContextExt, TraceFlags,
    TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};

use crate::consumer::handled::Handled;
use crate::consumer::layer::{HandleLayer, Next};
use crate::consumer::message::Message;
use crate::error::Result;
use crate::layers::trace_parent::TraceParent;
use crate::layers::{destination, error_type, trace_context, trace_state};
use crate::model::Properties;
use crate::panic_guard::guard;
use crate::publish_layer::layer::PublishLayer;
use crate::publish_layer::outgoing::{OutgoingMessage, SentMessage};

/// A layer that creates spans of OpenTelemetry, and passes their context on in the headers
/// `traceparent` and `tracestate` of W3C Trace Context.
///
/// | span | kind | begins | ends | its parent |
/// |---|---|---|---|---|
/// | `publish <destination>` | producer | before the message is sent | when the outcome is known | the current context of the sending thread |
/// | `process <queue>` | consumer | before an attempt to handle | when the handler has returned | the span that sent the message, which is also linked |
///
/// The context of the span `process` is current while the handler runs. Messages that the handler
/// sends on its thread therefore belong to the same trace. Copies for a retry keep the headers:
/// each attempt has a span of its own, in one trace. The names and attributes are those of the
/// messaging conventions; the page [metrics and traces](../guide/metrics_and_traces/index.html)
/// lists them.
///
/// The layer uses the API of OpenTelemetry only. Without an SDK, no span is created, and the
/// headers of the program stay as they are. With an SDK, the headers of the span replace them. The
/// layer [`TraceContext`](crate::TraceContext) is not needed besides.
///
/// ```
/// use carrot::layers::OpenTelemetry;
///
/// // First, the program installs a tracer provider: `opentelemetry::global::set_tracer_provider`.
/// let tracing = OpenTelemetry::new();
/// let connection = carrot::connect("memory://")?.with_layer(tracing);
/// # connection.publisher().queue("orders").build()?.send("an order")?;
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Clone)]
pub struct OpenTelemetry {
    tracer: Arc<BoxedTracer>,
}

impl OpenTelemetry {
    /// Creates a layer that uses the tracer provider that the program has installed. A provider
    /// that is installed later is not used.
    pub fn new() -> OpenTelemetry {
        let scope = InstrumentationScope::builder("carrot").with_version(env!("CARGO_PKG_VERSION"));
        OpenTelemetry { tracer: Arc::new(global::tracer_with_scope(scope.build())) }
    }

    /// Creates a layer that uses `tracer`.
    pub fn with_tracer<T>(tracer: T) -> OpenTelemetry
    where
        T: Tracer + Send + Sync + 'static,
        T::Span: Send + Sync + 'static,
    {
        OpenTelemetry { tracer: Arc::new(BoxedTracer::new(Box::new(tracer))) }
    }
}

impl Default for OpenTelemetry {
    fn default() -> OpenTelemetry {
        OpenTelemetry::new()
    }
}

impl fmt::Debug for OpenTelemetry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OpenTelemetry").finish_non_exhaustive()
    }
}

/// Returns the attributes that both spans have.
fn attributes(
    operation: (&'static str, &'static str),
    destination: &str,
    routing_key: &str,
    properties: &Properties,
    body: &[u8],
) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("messaging.system", "rabbitmq"),
        KeyValue::new("messaging.operation.name", operation.0),
        KeyValue::new("messaging.operation.type", operation.1),
        KeyValue::new("messaging.destination.name", destination.to_owned()),
        KeyValue::new("messaging.message.body.size", i64::try_from(body.len()).unwrap_or(i64::MAX)),
    ];
    if !routing_key.is_empty() {
        let key = "messaging.rabbitmq.destination.routing_key";
        attributes.push(KeyValue::new(key, routing_key.to_owned()));
    }
    if let Some(id) = properties.message_id() {
        attributes.push(KeyValue::new("messaging.message.id", id.to_owned()));
    }
    attributes
}

fn record_failure(span: &SpanRef<'_>, class: &'static str, reason: String) {
    span.set_attribute(KeyValue::new("error.type", class));
    span.set_status(Status::error(reason));
}

/// Returns the context of the span that sent a message.
fn sent_by(properties: &Properties) -> Option<SpanContext> {
    let parent = TraceParent::of_properties(properties)?;
    let state = trace_state::of_properties(properties)
        .and_then(|state| TraceState::from_str(state).ok())
        .unwrap_or_default();
    let flags = if parent.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let trace_id = TraceId::from_bytes(parent.trace_id().to_be_bytes());
    let span_id = SpanId::from_bytes(parent.parent_id().to_be_bytes());
    Some(SpanContext::new(trace_id, span_id, flags, true, state))
}

impl PublishLayer for OpenTelemetry {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> Result<()> {
        let (routing_key, body) = (message.routing_key(), message.body());
        let destination = destination::of_sent(message.exchange(), routing_key);
        let operation = ("publish", "send");
        let span = SpanBuilder::from_name(format!("publish {destination}"))
            .with_kind(SpanKind::Producer)
            .with_attributes(attributes(
                operation,
                destination,
                routing_key,
                message.properties(),
                body,
            ))
            .start(&*self.tracer);
        let context = Context::current_with_span(span);
        let span_context = context.span().span_context().clone();
        let parent = TraceParent::new(
            u128::from_be_bytes(span_context.trace_id().to_bytes()),
            u64::from_be_bytes(span_context.span_id().to_bytes()),
            span_context.is_sampled(),
        );
        if let Some(parent) = parent {
            let state = span_context.trace_state().header();
            trace_context::write(message, parent, Some(&*state).filter(|text| !text.is_empty()));
        }
        message.attach(context);
        Ok(())
    }

    fn after_send(&self, message: &SentMessage<'_>) {
        let Some(context) = message.attached::<Context>() else { return };
        let span = context.span();
        if let Some(error) = message.error() {
            record_failure(&span, error_type::of_error(error), error.to_string());
        }
        span.end();
    }
}

impl HandleLayer for OpenTelemetry {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        let sent_by = sent_by(message.properties());
        let queue = message.queue();
        let mut attributes = attributes(
            ("process", "process"),
            queue,
            message.routing_key(),
            message.properties(),
            message.body(),
        );
        attributes.push(KeyValue::new("carrot.attempt", i64::from(message.attempt())));
        let mut span = SpanBuilder::from_name(format!("process {}", destination::group(queue)))
            .with_kind(SpanKind::Consumer)
            .with_attributes(attributes);
        let mut parent = Context::current();
        if let Some(sent_by) = sent_by {
            span = span.with_links(vec![Link::with_context(sent_by.clone())]);
            parent = parent.with_remote_span_context(sent_by);
        }
        let context = parent.with_span(span.start_with_context(&*self.tracer, &parent));
        let handled = {
            let _current = context.clone().attach();
            next.run(message)
        };
        // The SDK is code of the program.
        let ended = guard(|| {
            let span = context.span();
            if let (Some(class), Some(reason)) =
                (error_type::of_handled(&handled), handled.failure())
            {
                record_failure(&span, class, reason.to_owned());
            }
            span.end();
        });
        if let Err(panic) = ended {
            log::error!("ending a span failed: {panic} queue={queue:?}");
        }
        handled
    }
}
