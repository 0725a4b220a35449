use std::sync::{Arc, Mutex};
use std::time::Duration;

use carrot::consume::Retry;
use carrot::layers::{TraceContext, TraceParent};
use carrot::memory::{Broker, ManualClock};
use carrot::message::Value;
use carrot::{Connection, Message, Queue};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn traced(connection: &Connection) -> Connection {
    connection
        .clone()
        .with_publish_layer(TraceContext::new())
        .with_handle_layer(TraceContext::new())
}

fn fetch(connection: &Connection, queue: &str) -> Message {
    connection.consumer(queue).build().unwrap().fetch().unwrap().expect("a message")
}

/// The headers of a message, which is acknowledged.
fn headers(message: Message) -> (Option<Value>, Option<Value>) {
    let header = |name| message.header(name).cloned();
    let headers = (header("traceparent"), header("tracestate"));
    message.ack().unwrap();
    headers
}

#[test]
fn trace_of_a_message_sent_outside_of_a_handler_is_new_and_sampled() {
    let connection = traced(&crate::support::memory());
    let publisher = connection.publisher().queue("orders").build().unwrap();
    publisher.send_all(["one", "two"]).unwrap();
    let parents = [(); 2].map(|()| {
        let message = fetch(&connection, "orders");
        let parent = TraceParent::of(&message).unwrap();
        let text = message.header("traceparent").and_then(Value::as_str).map(str::to_owned);
        assert_eq!(text, Some(parent.to_string()));
        message.ack().unwrap();
        parent
    });
    assert_ne!(parents[0].trace_id(), parents[1].trace_id());
    assert!(parents[0].is_sampled());
    assert_eq!(TraceContext::current(), None);
}

#[test]
fn trace_that_starts_unsampled_is_marked_so() {
    let connection = crate::support::memory();
    let layer = TraceContext::new().sample_new_traces(false);
    connection.publisher().queue("orders").layer(layer).build().unwrap().send("x").unwrap();
    let message = fetch(&connection, "orders");
    assert!(!TraceParent::of(&message).unwrap().is_sampled());
    message.ack().unwrap();
}

#[test]
fn trace_header_of_the_program_is_kept_if_valid_and_else_replaced() {
    let connection = traced(&crate::support::memory());
    let publisher = connection.publisher().queue("orders").build().unwrap();
    let send = |parent: Value| {
        let message = publisher.message().header("traceparent", parent).header("tracestate", "a=1");
        message.send("x").unwrap();
        headers(fetch(&connection, "orders"))
    };
    let state = Some(Value::from("a=1"));
    assert_eq!(send(PARENT.into()), (Some(PARENT.into()), state.clone()));
    let bytes = Value::Bytes(PARENT.into());
    assert_eq!(send(bytes.clone()), (Some(bytes), state));
    for invalid in [Value::from("00-0-0-01"), Value::from(7), Value::Bytes(vec![0xff; 55])] {
        let (parent, state) = send(invalid.clone());
        assert_ne!(parent, Some(invalid));
        assert!(TraceParent::parse(parent.unwrap().as_str().unwrap()).is_some());
        assert_eq!(state, None);
    }
    publisher.message().header("tracestate", "a=1").send("x").unwrap();
    assert_eq!(headers(fetch(&connection, "orders")).1, None);
}

/// Handles a message that a handler answers with two messages. Returns the traces of the answers,
/// and what the handler saw as the current trace.
fn answers(properties: [(&'static str, Value); 2]) -> ([Message; 2], Option<TraceParent>) {
    let connection = traced(&crate::support::memory());
    let answers = connection.publisher().queue("answers").build().unwrap();
    let mut consumer = connection.consumer("orders").build().unwrap();
    let seen = Arc::new(Mutex::new(None));
    let current = Arc::clone(&seen);
    consumer.register_callback(move |_: String, _: &Message| {
        *current.lock().unwrap() = TraceContext::current();
        answers.send_all(["one", "two"]).unwrap();
        assert_eq!(TraceContext::current(), *current.lock().unwrap());
    });
    // Without a layer, so that the headers stay as they are.
    let content = properties
        .into_iter()
        .filter(|(_, value)| *value != Value::Void)
        .collect::<carrot::message::Headers>();
    let raw = Raw(Mutex::new(Some(content)));
    connection.publisher().queue("orders").layer(raw).build().unwrap().send("an order").unwrap();
    assert_eq!(consumer.handle_next(1).unwrap().acknowledged, 1);
    assert_eq!(TraceContext::current(), None);
    let received = [(); 2].map(|()| fetch(&connection, "answers"));
    (received, *seen.lock().unwrap())
}

/// Replaces all headers, after the layers of the connection.
struct Raw(Mutex<Option<carrot::message::Headers>>);

impl carrot::layers::PublishLayer for Raw {
    fn before_send(&self, message: &mut carrot::layers::OutgoingMessage<'_>) -> carrot::Result<()> {
        let headers = self.0.lock().unwrap().take().unwrap_or_default();
        message.change_properties(|properties| properties.with_headers(headers));
        Ok(())
    }
}

#[test]
fn trace_of_the_handled_message_is_continued_with_its_state() {
    let (answers, current) =
        answers([("traceparent", PARENT.into()), ("tracestate", "congo=t61r,rojo=00f0".into())]);
    let original = TraceParent::parse(PARENT).unwrap();
    assert_eq!(current, Some(original));
    let parents = answers.map(|answer| {
        let parent = TraceParent::of(&answer).unwrap();
        assert_eq!((parent.trace_id(), parent.is_sampled()), (original.trace_id(), true));
        assert_eq!(headers(answer).1, Some("congo=t61r,rojo=00f0".into()));
        parent.parent_id()
    });
    assert_ne!(parents[0], parents[1]);
    assert!(!parents.contains(&original.parent_id()));
}

#[test]
fn trace_state_that_is_invalid_or_long_is_dropped() {
    for state in ["A=1".to_string(), format!("a={}", "x".repeat(600))] {
        let (answers, _) = answers([("traceparent", PARENT.into()), ("tracestate", state.into())]);
        for answer in answers {
            let (parent, state) = headers(answer);
            assert!(parent.unwrap().as_str().unwrap().starts_with(&PARENT[..35]));
            assert_eq!(state, None);
        }
    }
}

#[test]
fn trace_of_a_handled_message_without_one_is_one_for_all_answers() {
    for parent in [Value::Void, "invalid".into()] {
        let (answers, current) = answers([("traceparent", parent), ("tracestate", "a=1".into())]);
        assert_eq!(current, None);
        let traces = answers.map(|answer| {
            let trace = TraceParent::of(&answer).unwrap().trace_id();
            assert_eq!(headers(answer).1, None);
            trace
        });
        assert_eq!(traces[0], traces[1]);
    }
}

#[test]
fn trace_is_forgotten_after_a_handler_that_panicked() {
    let connection = traced(&crate::support::memory());
    let mut consumer = connection.consumer("orders").requeue_failed().build().unwrap();
    consumer.register_callback(|_: String, _: &Message| -> () { panic!("a bug") });
    connection.publisher().queue("orders").build().unwrap().send("an order").unwrap();
    consumer.handle_next(1).unwrap();
    assert_eq!(TraceContext::current(), None);
}

#[test]
fn trace_survives_retries_and_parking() {
    let clock = ManualClock::new();
    let connection = traced(&Connection::new(Broker::with_clock(&clock).connector()));
    let retry = Retry::fixed(Duration::from_secs(1)).attempts(3).without_jitter();
    let mut consumer = connection.consumer("orders").retry(retry).build().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let traces = Arc::clone(&seen);
    consumer.register_callback(move |_: String, message: &Message| {
        traces.lock().unwrap().push((message.attempt(), TraceContext::current()));
        Err::<(), _>("no stock")
    });
    let publisher = connection.publisher().queue("orders").build().unwrap();
    publisher.message().header("traceparent", PARENT).send("an order").unwrap();
    for _ in 0..3 {
        consumer.handle_next(1).unwrap();
        clock.advance_to_next();
    }
    let original = TraceParent::parse(PARENT);
    assert_eq!(*seen.lock().unwrap(), [(1, original), (2, original), (3, original)]);
    let parked = connection.consumer(Queue::existing("orders.failed")).build().unwrap();
    let message = parked.fetch().unwrap().expect("parked");
    assert_eq!(TraceParent::of(&message), original);
    message.ack().unwrap();
}

on_both_backends! {
    fn trace_reaches_the_consumer_and_the_answer(connection: &Connection) {
        let connection = traced(connection);
        let (orders, answers) = (crate::support::queue(), crate::support::queue());
        let mut consumer = connection.consumer(orders.clone()).build().unwrap();
        let publisher = connection.publisher().queue(answers.clone()).build().unwrap();
        consumer.register_callback(move |_: String, message: &Message| {
            assert_eq!(TraceContext::current(), TraceParent::of(message));
            publisher.send(&message.header("traceparent").and_then(Value::as_str).unwrap()).unwrap();
        });
        connection.publisher().queue(orders.clone()).build().unwrap().send("an order").unwrap();
        assert_eq!(consumer.handle_next(1).unwrap().acknowledged, 1);
        let consumer = connection.consumer(answers.clone()).build().unwrap();
        let answer = consumer.fetch().unwrap().expect("an answer");
        let order = TraceParent::parse(answer.decode::<String>().unwrap()).unwrap();
        assert_eq!(TraceParent::of(&answer).unwrap().trace_id(), order.trace_id());
        assert_ne!(TraceParent::of(&answer).unwrap().parent_id(), order.parent_id());
        answer.ack().unwrap();
        for queue in [orders, answers] {
            connection.delete_queue(&queue.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
        }
    }
}
