use std::future::{Future, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carrot::consume::Retry;
use carrot::layers::{OpenTelemetry, TraceParent};
use carrot::memory::{Broker, ManualClock};
use carrot::{Connection, Exchange, Message};
use opentelemetry::Context;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

/// Keeps the spans that ended.
#[derive(Debug, Clone, Default)]
struct KeepsSpans(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for KeepsSpans {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.0.lock().unwrap().extend(batch);
        ready(Ok(()))
    }
}

impl KeepsSpans {
    fn named(&self, name: &str) -> Vec<SpanData> {
        self.0.lock().unwrap().iter().filter(|span| span.name == name).cloned().collect()
    }
}

fn provider() -> (SdkTracerProvider, KeepsSpans) {
    let spans = KeepsSpans::default();
    (SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build(), spans)
}

fn observed(connection: Connection, provider: &SdkTracerProvider) -> Connection {
    let layer = OpenTelemetry::with_tracer(provider.tracer("test"));
    connection.with_publish_layer(layer.clone()).with_handle_layer(layer)
}

fn attribute(span: &SpanData, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
}

#[test]
fn opentelemetry_trace_covers_program_publisher_retry_and_answer() {
    let (provider, spans) = provider();
    let clock = ManualClock::new();
    let connection = observed(Connection::new(Broker::with_clock(&clock).connector()), &provider);
    let retry = Retry::fixed(Duration::from_secs(1)).without_jitter();
    let mut consumer = connection.consumer("orders").retry(retry).build().unwrap();
    let answers = connection.publisher().queue("answers").build().unwrap();
    consumer.register_callback(move |_: String, message: &Message| {
        if message.attempt() == 1 {
            return Err("no stock");
        }
        answers.send("an answer").map_err(|_| "not sent")
    });
    let publisher = connection.publisher().queue("orders").build().unwrap();
    provider.tracer("program").in_span("checkout", |_| publisher.send("an order")).unwrap();
    consumer.handle_next(1).unwrap();
    clock.advance_to_next();
    assert_eq!(consumer.handle_next(1).unwrap().acknowledged, 1);
    assert!(!Context::current().has_active_span());

    let one = |name: &str| {
        let found = spans.named(name);
        assert_eq!(found.len(), 1, "{name}");
        found[0].clone()
    };
    let (checkout, published, answered) =
        (one("checkout"), one("publish orders"), one("publish answers"));
    let processed = spans.named("process orders");
    assert_eq!(processed.len(), 2);
    let trace = checkout.span_context.trace_id();
    for span in [&published, &answered, &processed[0], &processed[1]] {
        assert_eq!(span.span_context.trace_id(), trace, "{}", span.name);
    }
    assert_eq!(published.parent_span_id, checkout.span_context.span_id());
    assert_eq!(
        (published.span_kind.clone(), answered.span_kind.clone()),
        (SpanKind::Producer, SpanKind::Producer)
    );
    for span in &processed {
        assert_eq!(span.span_kind, SpanKind::Consumer);
        assert_eq!(span.parent_span_id, published.span_context.span_id());
        assert!(span.parent_span_is_remote);
        let links: Vec<SpanId> =
            span.links.iter().map(|link| link.span_context.span_id()).collect();
        assert_eq!(links, [published.span_context.span_id()]);
    }
    assert_eq!(answered.parent_span_id, processed[1].span_context.span_id());

    assert_eq!(processed[0].status, Status::error("no stock"));
    assert_eq!(attribute(&processed[0], "error.type"), "failed");
    assert_eq!(processed[1].status, Status::Unset);
    assert_eq!(attribute(&processed[1], "carrot.attempt"), "2");
    for (name, value) in [
        ("messaging.system", "rabbitmq"),
        ("messaging.operation.name", "publish"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "orders"),
        ("messaging.rabbitmq.destination.routing_key", "orders"),
        ("messaging.message.body.size", "10"),
    ] {
        assert_eq!(attribute(&published, name), value, "{name}");
    }
    assert_eq!(published.status, Status::Unset);

    let message = connection.consumer("answers").build().unwrap().fetch().unwrap().unwrap();
    let parent = TraceParent::of(&message).unwrap();
    assert_eq!(parent.trace_id().to_be_bytes(), trace.to_bytes());
    assert_eq!(parent.parent_id().to_be_bytes(), answered.span_context.span_id().to_bytes());
    message.ack().unwrap();
}

#[test]
fn opentelemetry_span_of_a_message_that_cannot_be_routed_has_an_error() {
    let (provider, spans) = provider();
    let connection = observed(crate::support::memory(), &provider);
    let publisher = connection
        .publisher()
        .exchange(Exchange::existing("amq.topic"))
        .mandatory()
        .build()
        .unwrap();
    publisher.message().routing_key("nowhere").send("x").unwrap_err();
    let published = spans.named("publish amq.topic");
    assert_eq!(published.len(), 1);
    assert_eq!(attribute(&published[0], "error.type"), "unroutable");
    assert!(matches!(published[0].status, Status::Error { .. }));
}

#[test]
fn opentelemetry_passes_a_remote_context_and_its_state_on() {
    let (provider, spans) = provider();
    let connection = observed(crate::support::memory(), &provider);
    let plain = connection.publisher().queue("orders").build().unwrap();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut consumer = connection.consumer("orders").build().unwrap();
    let answers = connection.publisher().queue("answers").build().unwrap();
    consumer.register_callback(move |_: String, _: &Message| answers.send("an answer"));
    // The layer replaces the headers of the program by those of its span.
    let message = plain.message().header("traceparent", parent).header("tracestate", "a=1");
    message.send("an order").unwrap();
    let published = spans.named("publish orders");
    assert_ne!(published[0].span_context.span_id().to_string(), "b7ad6b7169203331");
    assert_eq!(consumer.handle_next(1).unwrap().acknowledged, 1);
    let answer = connection.consumer("answers").build().unwrap().fetch().unwrap().unwrap();
    assert_eq!(answer.header("tracestate"), None);
    assert_eq!(
        TraceParent::of(&answer).unwrap().trace_id().to_be_bytes(),
        published[0].span_context.trace_id().to_bytes()
    );
    answer.ack().unwrap();
}

#[test]
fn opentelemetry_without_an_sdk_keeps_the_headers_of_the_program() {
    let connection = crate::support::memory().with_publish_layer(OpenTelemetry::new());
    let publisher = connection.publisher().queue("orders").build().unwrap();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    publisher.message().header("traceparent", parent).send("x").unwrap();
    publisher.send("x").unwrap();
    let consumer = connection.consumer("orders").build().unwrap();
    let parents: Vec<_> = consumer
        .fetch_all()
        .map(|message| {
            let message = message.unwrap();
            let parent = TraceParent::of(&message).map(|parent| parent.to_string());
            message.ack().unwrap();
            parent
        })
        .collect();
    assert_eq!(parents, [Some(parent.to_string()), None]);
}
