use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carrot::consume::Retry;
use carrot::layers::{Spans, TraceContext};
use carrot::memory::{Broker, ManualClock};
use carrot::{Connection, Exchange, Message};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A span as it was recorded.
#[derive(Debug, Clone, Default)]
struct RecordedSpan {
    name: &'static str,
    parent: Option<usize>,
    fields: BTreeMap<&'static str, String>,
    is_closed: bool,
}

impl RecordedSpan {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

#[derive(Default)]
struct State {
    spans: Vec<RecordedSpan>,
    entered: Vec<usize>,
}

/// Keeps all spans, for one thread.
#[derive(Clone, Default)]
struct KeepsSpans(Arc<Mutex<State>>);

impl KeepsSpans {
    fn spans(&self) -> Vec<RecordedSpan> {
        self.0.lock().unwrap().spans.clone()
    }

    fn named(&self, name: &str) -> Vec<RecordedSpan> {
        self.spans().into_iter().filter(|span| span.field("otel.name") == name).collect()
    }
}

fn index(id: &Id) -> usize {
    id.into_u64() as usize - 1
}

impl Visit for RecordedSpan {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for KeepsSpans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == "carrot"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut state = self.0.lock().unwrap();
        let mut span = RecordedSpan {
            name: attributes.metadata().name(),
            parent: state.entered.last().copied(),
            ..RecordedSpan::default()
        };
        attributes.record(&mut span);
        state.spans.push(span);
        Id::from_u64(state.spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        values.record(&mut self.0.lock().unwrap().spans[index(id)]);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, id: &Id) {
        self.0.lock().unwrap().entered.push(index(id));
    }

    fn exit(&self, _: &Id) {
        self.0.lock().unwrap().entered.pop();
    }

    fn try_close(&self, id: Id) -> bool {
        self.0.lock().unwrap().spans[index(&id)].is_closed = true;
        true
    }
}

/// Keeps other tests of spans from running. The crate `tracing` remembers for each kind of span
/// whether any subscriber wants it, and asks only the thread that creates the first one: without a
/// subscriber there, the other threads would record nothing.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn observed(connection: Connection) -> Connection {
    connection
        .with_publish_layer(TraceContext::new())
        .with_publish_layer(Spans::new())
        .with_handle_layer(TraceContext::new())
        .with_handle_layer(Spans::new())
}

#[test]
fn spans_of_one_trace_cover_publisher_retry_and_answer() {
    let _alone = alone();
    let spans = KeepsSpans::default();
    let clock = ManualClock::new();
    tracing::subscriber::with_default(spans.clone(), || {
        let connection = observed(Connection::new(Broker::with_clock(&clock).connector()));
        let retry = Retry::fixed(Duration::from_secs(1)).without_jitter();
        let mut consumer = connection.consumer("orders").retry(retry).build().unwrap();
        let answers = connection.publisher().queue("answers").build().unwrap();
        consumer.register_callback(move |_: String, message: &Message| {
            if message.attempt() == 1 {
                return Err("no stock");
            }
            answers.send("an answer").map_err(|_| "not sent")
        });
        connection.publisher().queue("orders").build().unwrap().send("an order").unwrap();
        consumer.handle_next(1).unwrap();
        clock.advance_to_next();
        assert_eq!(consumer.handle_next(1).unwrap().acknowledged, 1);
    });
    let (published, answered) = (spans.named("publish orders"), spans.named("publish answers"));
    let processed = spans.named("process orders");
    assert_eq!((published.len(), processed.len(), answered.len()), (1, 2, 1));
    assert!(spans.spans().iter().all(|span| span.is_closed));

    let trace = published[0].field("trace_id");
    assert_eq!(trace.len(), 32);
    assert!(spans.spans().iter().all(|span| span.field("trace_id") == trace));
    assert!(
        processed.iter().all(|span| span.field("parent_id") == published[0].field("parent_id"))
    );
    let of_answer = answered[0].parent.map(|parent| spans.spans()[parent].clone()).unwrap();
    assert_eq!((of_answer.name, of_answer.field("carrot.attempt")), ("process", "2"));

    assert_eq!(processed[0].field("error.type"), "failed");
    assert_eq!(processed[0].field("otel.status_code"), "ERROR");
    assert_eq!(processed[0].field("otel.status_description"), "no stock");
    assert_eq!(processed[1].field("error.type"), "");
    for (field, value) in [
        ("otel.kind", "producer"),
        ("messaging.system", "rabbitmq"),
        ("messaging.operation.name", "publish"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "orders"),
        ("messaging.rabbitmq.destination.routing_key", "orders"),
        ("messaging.message.body.size", "10"),
    ] {
        assert_eq!(published[0].field(field), value, "{field}");
    }
    assert_eq!(published[0].field("messaging.message.id").len(), 22);
}

#[test]
fn span_of_a_message_that_cannot_be_routed_records_the_failure() {
    let _alone = alone();
    let spans = KeepsSpans::default();
    tracing::subscriber::with_default(spans.clone(), || {
        let connection = observed(crate::support::memory());
        let publisher = connection
            .publisher()
            .exchange(Exchange::existing("amq.topic"))
            .mandatory()
            .build()
            .unwrap();
        publisher.message().routing_key("nowhere").send("x").unwrap_err();
    });
    let published = spans.named("publish amq.topic");
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].field("error.type"), "unroutable");
    assert_eq!(published[0].field("otel.status_code"), "ERROR");
    assert!(published[0].is_closed);
}

#[test]
fn spans_without_a_subscriber_change_nothing() {
    let _alone = alone();
    let connection = observed(crate::support::memory());
    let mut consumer = connection.consumer("orders").build().unwrap();
    consumer.register_callback(|_: String, _: &Message| {});
    connection.publisher().queue("orders").build().unwrap().send("an order").unwrap();
    assert_eq!(consumer.handle_next(1).unwrap().acknowledged, 1);
}
