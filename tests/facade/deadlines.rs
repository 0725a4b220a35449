//! Calls of publishers and consumers return by their own deadlines, regardless of other failures:
//! on the in-process broker with injected faults.

use std::thread;
use std::time::{Duration, Instant};

use carrot::memory::{Broker, Operation};
use carrot::{
    Connection, ConnectionOptions, Error, Publisher, Result, publish::PublisherDefinition,
};

use crate::support::{SOON, eventually, ready};

/// Much less than every other deadline, and more than a busy machine takes for a call.
const DEADLINE: Duration = Duration::from_secs(1);
/// Longer than any test.
const AGES: Duration = Duration::from_secs(3600);

fn broker() -> (Broker, Connection) {
    let broker = Broker::new();
    let patient = ConnectionOptions::default().connect_timeout(AGES).call_timeout(AGES);
    let connection = Connection::with_options(broker.connector_with(&patient).unwrap(), &patient);
    connection.declare_queue("queue").unwrap();
    (broker, connection)
}

fn publisher(connection: &Connection, definition: PublisherDefinition) -> Publisher {
    definition.routing_key("queue").send_timeout(DEADLINE).on(connection).build().unwrap()
}

/// Runs a call that must fail at the deadline.
#[track_caller]
fn late<T>(call: impl FnOnce() -> Result<T>) -> Error {
    let started = Instant::now();
    let error = call().err().expect("a failure");
    let took = started.elapsed();
    assert!(took >= DEADLINE / 2 && took < DEADLINE + SOON / 2, "{took:?}: {error}");
    error
}

#[test]
fn blocked_broker_bounds_sent_bytes_and_reports_reason() {
    let (broker, connection) = broker();
    let publisher =
        publisher(&connection, PublisherDefinition::new().max_bytes_in_flight(usize::MAX));
    broker.faults().block_publishers("low on memory");
    let body = vec![0; 1 << 20];
    let mut receipts = Vec::new();
    let error = loop {
        match publisher.message().publish_bytes(body.clone()) {
            Ok(receipt) => receipts.push(receipt),
            Err(error) => break error,
        }
        assert!(receipts.len() < 64, "memory has no bound");
    };
    assert!(matches!(&error, Error::Blocked { reason } if reason == "low on memory"), "{error}");
    let error = late(|| publisher.message().publish_bytes(body));
    assert!(matches!(error, Error::Blocked { .. }), "{error}");
    broker.faults().unblock_publishers();
    publisher.send("after").unwrap();
}

#[test]
fn congested_socket_fails_publish_at_its_deadline() {
    let (broker, connection) = broker();
    let publisher = publisher(&connection, PublisherDefinition::new());
    broker.faults().delay(Operation::Publish, AGES, 1);
    let error = late(|| publisher.send("x"));
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    publisher.send("y").unwrap();
    assert_eq!(ready(&connection, "queue"), 1);
}

#[test]
fn reopened_channel_respects_deadline_of_message() {
    for slow in [Operation::Connect, Operation::Declare, Operation::Publish] {
        let (broker, connection) = broker();
        let exchange = carrot::Exchange::fanout("exchange");
        let publisher = publisher(&connection, PublisherDefinition::new().exchange(exchange));
        publisher.send("before").unwrap();
        // The connection for consumers is reopened, too.
        let times = if slow == Operation::Connect { 2 } else { 1 };
        broker.faults().delay(slow, AGES, times).drop_connections();
        let error = late(|| publisher.send("meanwhile"));
        assert!(
            matches!(error, Error::Timeout { .. } | Error::Connect { .. }),
            "{slow:?}: {error}"
        );
        broker.faults().clear();
        publisher.send("after").unwrap();
    }
}

#[test]
fn message_past_its_deadline_is_not_resent() {
    let (broker, connection) = broker();
    let publisher = publisher(&connection, PublisherDefinition::new());
    broker.faults().lose_confirms(1);
    let receipt = publisher.publish("before").unwrap();
    thread::sleep(DEADLINE);
    broker.faults().drop_connections();
    publisher.send("after").unwrap();
    let error = receipt.wait().unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(ready(&connection, "queue"), 2);
}

#[test]
fn publisher_opening_without_success_does_not_block_consumer() {
    let (broker, connection) = broker();
    let publisher = publisher(&connection, PublisherDefinition::new());
    let consumer = connection.consumer("queue").build().unwrap();
    publisher.send("x").unwrap();
    broker.faults().delay(Operation::Open, AGES, 1).drop_connections();
    thread::scope(|scope| {
        let sending = scope.spawn(|| publisher.send("y"));
        crate::support::eventually("the publisher opens", || broker.faults().outstanding() == 0);
        let started = Instant::now();
        let message = consumer.fetch().unwrap().unwrap();
        assert!(
            !sending.is_finished(),
            "the consumer waited for the publisher, {:?}",
            started.elapsed()
        );
        message.ack().unwrap();
        broker.faults().clear();
        sending.join().unwrap().unwrap();
    });
}

/// A publisher with a long deadline, a window of this many messages, and a first message without an
/// answer.
fn unanswered(max_in_flight: usize) -> (Connection, Publisher) {
    let (broker, connection) = broker();
    let publisher = connection
        .publisher()
        .routing_key("queue")
        .max_in_flight(max_in_flight)
        .send_timeout(10 * SOON)
        .build()
        .unwrap();
    broker.faults().delay(Operation::Confirm, AGES, 1);
    (connection, publisher)
}

#[test]
fn window_admits_messages_while_oldest_is_unanswered() {
    let (connection, publisher) = unanswered(2);
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| publisher.send("the oldest"));
        eventually("the oldest is on its way", || ready(&connection, "queue") == 1);
        let others: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| (0..20).try_for_each(|number| publisher.send(&number))))
            .collect();
        for other in others {
            other.join().unwrap().unwrap();
        }
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
        connection.close().unwrap();
    });
}

#[test]
fn window_full_under_alarm_fails_at_deadline_with_blocked() {
    let (broker, connection) = broker();
    let publisher = publisher(&connection, PublisherDefinition::new().max_in_flight(1));
    broker.faults().block_publishers("low on memory");
    // The broker reports an alarm at the first message after it.
    let _first = publisher.publish("x").unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let error = late(|| publisher.send("x"));
                assert!(matches!(error, Error::Blocked { .. }), "{error}");
            });
        }
    });
}

#[test]
fn window_full_on_close_wakes_waiting_threads() {
    let (connection, publisher) = unanswered(1);
    let started = Instant::now();
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| publisher.send("x"))).collect();
        eventually("one is on its way", || ready(&connection, "queue") == 1);
        connection.close().unwrap();
        for thread in waiting {
            let error = thread.join().unwrap().unwrap_err();
            assert!(matches!(error, Error::Closed { .. }), "{error}");
        }
    });
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}
