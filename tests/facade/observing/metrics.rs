use std::time::{Duration, SystemTime};

use carrot::consume::Retry;
use carrot::error::Cause;
use carrot::layers::{Metrics, OutgoingMessage, PublishLayer};
use carrot::memory::{Broker, ManualClock};
use carrot::{Connection, Error, Exchange, Message, Queue, Settlement};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use super::recorder::TestRecorder;
use crate::support::queue;

fn observed(connection: &Connection) -> (Connection, TestRecorder) {
    let recorder = TestRecorder::default();
    let metrics = Metrics::with_recorder(recorder.clone()).stamp_sent_time();
    let connection = connection.clone().with_publish_layer(metrics.clone());
    (connection.with_handle_layer(metrics), recorder)
}

on_both_backends! {
    fn metrics_of_sent_and_handled_messages_are_complete(connection: &Connection) {
        let (connection, recorder) = observed(connection);
        let queue = queue();
        let name = queue.name.clone();
        let mut consumer = connection.consumer(queue).build().unwrap();
        let publisher = connection.publisher().routing_key(name.as_str()).build().unwrap();
        for number in 0..3 {
            publisher.send(&number).unwrap();
        }
        let of_queue = |metric: &str| format!("{metric}{{name={name}}}");
        let confirmed =
            format!("messaging.client.sent.messages{{carrot.outcome=confirmed,name={name}}}");
        assert_eq!(recorder.value(&confirmed), 3.0);
        assert_eq!(recorder.value(&of_queue("carrot.publish.in_flight")), 0.0);
        let durations = recorder.values(&of_queue("messaging.client.operation.duration"));
        assert_eq!(durations.len(), 3);
        assert!(durations.iter().all(|seconds| *seconds > 0.0 && *seconds < 30.0), "{durations:?}");

        let (active, of_active) = (recorder.clone(), of_queue("carrot.process.active"));
        consumer.register_callback(move |number: u32, _: &Message| {
            assert_eq!(active.value(&of_active), 1.0);
            if number == 1 { Settlement::Reject } else { Settlement::Ack }
        });
        consumer.handle_next(3).unwrap();
        assert_eq!(recorder.value(&of_queue("messaging.client.consumed.messages")), 3.0);
        assert_eq!(recorder.value(&of_queue("carrot.process.active")), 0.0);
        for metric in ["messaging.process.duration", "carrot.queue.duration"] {
            let values = recorder.values(&of_queue(metric));
            assert_eq!(values.len(), 3, "{metric}");
            assert!(values.iter().all(|seconds| *seconds >= 0.0 && *seconds < 60.0), "{values:?}");
        }
        let settled = |treatment| {
            recorder.value(&format!(
                "carrot.settled.messages{{carrot.treatment={treatment},name={name}}}"
            ))
        };
        assert_eq!((settled("acknowledged"), settled("rejected")), (2.0, 1.0));
        connection.delete_queue(&name, carrot::topology::DeleteIf::ALWAYS).unwrap();
    }

    fn metrics_of_a_message_that_cannot_be_routed_name_the_failure(connection: &Connection) {
        let (connection, recorder) = observed(connection);
        let publisher = connection.publisher().exchange("amq.direct").mandatory().build().unwrap();
        let error = publisher.message().routing_key("nowhere").send("lost").unwrap_err();
        assert!(matches!(error, Error::Unroutable { .. }), "{error}");
        let failed = "carrot.outcome=returned,error.type=unroutable,name=amq.direct";
        assert_eq!(recorder.value(&format!("messaging.client.sent.messages{{{failed}}}")), 1.0);
        let durations = recorder.values(
            "messaging.client.operation.duration{error.type=unroutable,name=amq.direct}",
        );
        assert_eq!(durations.len(), 1);
        assert_eq!(recorder.value("carrot.publish.in_flight{name=amq.direct}"), 0.0);
    }

    fn metrics_of_queues_that_the_broker_names_have_one_destination(connection: &Connection) {
        let (connection, recorder) = observed(connection);
        for _ in 0..2 {
            let mut consumer = connection.consumer(Queue::server_named()).exchange(Exchange::existing("amq.fanout")).build().unwrap();
            consumer.register_callback(|_: String, _: &Message| {});
            connection.publisher().exchange(Exchange::existing("amq.fanout")).build().unwrap().send("to all").unwrap();
            assert_eq!(consumer.handle_next(1).unwrap().acknowledged, 1);
        }
        assert_eq!(recorder.value("messaging.client.consumed.messages{name=amq.gen}"), 2.0);
        assert!(!recorder.names().iter().any(|name| name.contains("amq.gen-")));
    }
}

#[test]
fn metrics_have_the_units_of_the_conventions() {
    let (_, recorder) = observed(&crate::support::memory());
    for metric in [
        "messaging.client.operation.duration",
        "messaging.process.duration",
        "carrot.queue.duration",
    ] {
        assert_eq!(recorder.unit(metric), Some(Unit::Seconds), "{metric}");
    }
    for metric in [
        "messaging.client.sent.messages",
        "messaging.client.consumed.messages",
        "carrot.settled.messages",
        "carrot.publish.in_flight",
        "carrot.process.active",
    ] {
        assert_eq!(recorder.unit(metric), Some(Unit::Count), "{metric}");
    }
}

#[test]
fn metrics_of_failed_attempts_count_retries_and_parking() {
    let clock = ManualClock::new();
    let (connection, recorder) = observed(&Connection::new(Broker::with_clock(&clock).connector()));
    let retry = Retry::fixed(Duration::from_secs(1)).attempts(3).without_jitter();
    let mut consumer = connection.consumer("orders").retry(retry).build().unwrap();
    consumer.register_callback(|_: String, _: &Message| Err::<(), _>("no stock"));
    connection.publisher().queue("orders").build().unwrap().send("an order").unwrap();
    for _ in 0..3 {
        assert_eq!(consumer.handle_next(1).unwrap().acknowledged, 0);
        clock.advance_to_next();
    }
    let settled = |treatment| {
        recorder
            .value(&format!("carrot.settled.messages{{carrot.treatment={treatment},name=orders}}"))
    };
    assert_eq!((settled("retried"), settled("parked")), (2.0, 1.0), "{:?}", recorder.names());
    assert_eq!(recorder.value("messaging.client.consumed.messages{name=orders}"), 3.0);
    let failed = recorder.values("messaging.process.duration{error.type=failed,name=orders}");
    assert_eq!(failed.len(), 3);
    assert_eq!(recorder.values("messaging.process.duration{name=orders}").len(), 0);
    // The copies do not count as sent, and their time in queue would include the pauses.
    let sent = "messaging.client.sent.messages{carrot.outcome=confirmed,name=orders}";
    assert_eq!(recorder.value(sent), 1.0);
    assert_eq!(recorder.values("carrot.queue.duration{name=orders}").len(), 1);
}

#[test]
fn metrics_of_undecodable_and_postponed_messages_differ_from_failures() {
    let clock = ManualClock::new();
    let (connection, recorder) = observed(&Connection::new(Broker::with_clock(&clock).connector()));
    let mut consumer = connection.consumer("orders").build().unwrap();
    consumer.register_callback(|_: u32, _: &Message| Settlement::Park("not now".into()));
    let publisher = connection.publisher().queue("orders").build().unwrap();
    publisher.send("no number").unwrap();
    publisher.send(&7).unwrap();
    consumer.handle_next(2).unwrap();
    let undecodable = "messaging.process.duration{error.type=undecodable,name=orders}";
    assert_eq!(recorder.values(undecodable).len(), 1);
    assert_eq!(recorder.values("messaging.process.duration{name=orders}").len(), 1);
}

#[test]
fn metrics_of_the_time_in_queue_are_read_from_the_timestamp_without_a_header() {
    let recorder = TestRecorder::default();
    let metrics = Metrics::with_recorder(recorder.clone());
    let connection = crate::support::memory().with_handle_layer(metrics);
    let mut consumer = connection.consumer("orders").build().unwrap();
    consumer.register_callback(|_: String, message: &Message| {
        assert_eq!(message.header("carrot-sent-ms"), None);
    });
    let publisher = connection.publisher().queue("orders").build().unwrap();
    publisher.send("without a time").unwrap();
    let ago = |seconds| SystemTime::now() - Duration::from_secs(seconds);
    for sent in [ago(90), ago(31 * 24 * 60 * 60), SystemTime::now() + Duration::from_secs(90)] {
        publisher.message().timestamp(sent).send("with a time").unwrap();
    }
    assert_eq!(consumer.handle_next(4).unwrap().acknowledged, 4);
    let times = recorder.values("carrot.queue.duration{name=orders}");
    assert_eq!(times.len(), 2, "{times:?}");
    assert!((90.0..120.0).contains(&times[0]) && times[1] == 0.0, "{times:?}");
}

/// Refuses each message.
struct Refuses;

impl PublishLayer for Refuses {
    fn before_send(&self, _: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        let source: Option<Cause> = None;
        Err(Error::Layer { reason: "refused".into(), source })
    }
}

#[test]
fn metrics_of_a_message_that_a_later_layer_refuses_return_to_zero_in_flight() {
    let (connection, recorder) = observed(&crate::support::memory());
    let connection = connection.with_publish_layer(Refuses);
    let publisher = connection.publisher().queue("orders").build().unwrap();
    assert!(matches!(publisher.send("x"), Err(Error::Layer { .. })));
    assert_eq!(recorder.value("carrot.publish.in_flight{name=orders}"), 0.0);
    let failed = "carrot.outcome=failed,error.type=layer,name=orders";
    assert_eq!(recorder.value(&format!("messaging.client.sent.messages{{{failed}}}")), 1.0);
}

/// Sends each message to another queue.
struct Reroutes;

impl PublishLayer for Reroutes {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        message.set_routing_key("others");
        Ok(())
    }
}

#[test]
fn metrics_of_a_message_that_a_later_layer_reroutes_return_to_zero_in_flight() {
    let (connection, recorder) = observed(&crate::support::memory());
    connection.declare_queue("others").unwrap();
    let connection = connection.with_publish_layer(Reroutes);
    let publisher = connection.publisher().queue("orders").build().unwrap();
    publisher.send("x").unwrap();
    for name in ["orders", "others"] {
        let in_flight = recorder.value(&format!("carrot.publish.in_flight{{name={name}}}"));
        assert_eq!(in_flight, 0.0, "{name}");
    }
    let confirmed = "messaging.client.sent.messages{carrot.outcome=confirmed,name=others}";
    assert_eq!(recorder.value(confirmed), 1.0);
}

#[test]
fn metrics_beyond_a_thousand_destinations_share_one() {
    let (connection, recorder) = observed(&crate::support::memory());
    let publisher = connection.publisher().not_mandatory().build().unwrap();
    for number in 0..1010 {
        publisher.message().routing_key(format!("q{number}")).send("x").unwrap();
    }
    let sent = |name: &str| {
        recorder.value(&format!(
            "messaging.client.sent.messages{{carrot.outcome=confirmed,name={name}}}"
        ))
    };
    assert_eq!((sent("q0"), sent("q999"), sent("q1000"), sent("_OTHER")), (1.0, 1.0, 0.0, 10.0));
}

/// A recorder whose counters panic.
struct Panics;

impl CounterFn for Panics {
    fn increment(&self, _: u64) {
        panic!("a bad recorder")
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Panics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(std::sync::Arc::new(Panics))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        panic!("a bad recorder")
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn metrics_recorder_that_panics_fails_no_message() {
    let metrics = Metrics::with_recorder(Panics);
    let connection = crate::support::memory();
    let connection = connection.with_publish_layer(metrics.clone()).with_handle_layer(metrics);
    let mut consumer = connection.consumer("orders").build().unwrap();
    consumer.register_callback(|_: String, _: &Message| {});
    connection.publisher().queue("orders").build().unwrap().send("an order").unwrap();
    assert_eq!(consumer.handle_next(1).unwrap().acknowledged, 1);
}
