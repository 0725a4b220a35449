//! Publishers whose connection is lost.

use std::thread;
use std::time::{Duration, Instant};

use carrot::Error;
use carrot::memory::Operation;

use crate::support::{SOON, ready};

use super::{broker, distinct};

#[test]
fn publisher_recovers_after_cut() {
    let (broker, connection) = broker();
    connection.declare_queue("queue").unwrap();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    for number in 0..3 {
        publisher.send(&number).unwrap();
        broker.faults().drop_connections();
    }
    assert_eq!(ready(&connection, "queue"), 3);
}

#[test]
fn message_with_lost_confirm_is_resent_with_same_id() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    broker.faults().drop_connections_at(Operation::Confirm, 1);

    publisher.message().message_id("the-one").send("x").unwrap();

    let ids: Vec<_> = consumer
        .fetch_all()
        .map(|message| {
            let message = message.unwrap();
            let id = message.properties().message_id().map(str::to_string);
            message.ack().unwrap();
            id
        })
        .collect();
    assert_eq!(ids, [Some("the-one".to_string()), Some("the-one".to_string())]);
}

#[test]
fn publisher_reconnects_until_success() {
    let (broker, connection) = broker();
    connection.declare_queue("queue").unwrap();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    broker.faults().refuse_connects(3).drop_connections();
    publisher.send("x").unwrap();
    assert_eq!(broker.faults().outstanding(), 0);
    assert_eq!(ready(&connection, "queue"), 1);
}

#[test]
fn publisher_gives_up_at_deadline_with_cause() {
    let (broker, connection) = broker();
    let publisher = connection
        .publisher()
        .routing_key("queue")
        .send_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    broker.faults().lose_confirms(1);
    let receipt = publisher.publish("before").unwrap();
    broker.faults().refuse_connects(1_000_000).drop_connections();
    let started = Instant::now();
    let error = publisher.send("after").unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert!(
        started.elapsed() >= Duration::from_millis(900) && started.elapsed() < SOON,
        "{:?}",
        started.elapsed()
    );
    let error = receipt.wait().unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[test]
fn missing_confirm_fails_at_deadline() {
    let (broker, connection) = broker();
    let publisher =
        connection.publisher().queue("queue").send_timeout(Duration::from_secs(1)).build().unwrap();
    broker.faults().lose_confirms(1);
    assert!(matches!(publisher.send("x"), Err(Error::Timeout { .. })));
    publisher.send("y").unwrap();
}

#[test]
fn resent_messages_keep_publish_order() {
    for nth in [1, 2, 50, 99] {
        let (broker, connection) = broker();
        let consumer = connection.consumer("queue").build().unwrap();
        let publisher =
            connection.publisher().routing_key("queue").max_in_flight(10).build().unwrap();
        broker.faults().drop_connections_at(Operation::Publish, nth);
        publisher.send_all(0..100).unwrap();
        assert_eq!(distinct(&consumer), (0..100).collect::<Vec<_>>(), "cut at publish {nth}");
    }
}

#[test]
fn confirmation_resolves_once_across_losses() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    let receipts: Vec<_> = (0..100).map(|number| publisher.publish(&number).unwrap()).collect();
    broker
        .faults()
        .drop_connections_at(Operation::Confirm, 30)
        .drop_connections_at(Operation::Confirm, 60);
    for receipt in receipts {
        receipt.wait().unwrap();
    }
    assert_eq!(distinct(&consumer), (0..100).collect::<Vec<_>>());
}

#[test]
fn many_threads_on_one_publisher_lose_no_message_to_many_cuts() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let publisher = connection.publisher().routing_key("queue").max_in_flight(20).build().unwrap();
    for cut in 1..=20 {
        broker.faults().drop_connections_at(Operation::Publish, cut * 37);
    }
    thread::scope(|scope| {
        for first in 0..8_u32 {
            let publisher = &publisher;
            scope.spawn(move || {
                for number in (first..1600).step_by(8) {
                    publisher.send(&number).unwrap();
                }
            });
        }
    });
    let mut numbers = distinct(&consumer);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1600).collect::<Vec<_>>());
}

#[test]
fn blocked_publisher_fails_at_deadline_with_reason() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let publisher = connection
        .publisher()
        .routing_key("queue")
        .send_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    publisher.send("before").unwrap();
    broker.faults().block_publishers("low on memory");
    let error = publisher.send("meanwhile").unwrap_err();
    assert!(matches!(&error, Error::Blocked { reason } if reason == "low on memory"), "{error}");
    consumer.fetch().unwrap().unwrap().ack().unwrap();
    broker.faults().unblock_publishers();
    publisher.send("after").unwrap();
}
