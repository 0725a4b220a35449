//! Messages that the broker refuses: reported at once, or resent on another channel. On the
//! in-process broker with injected faults.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use carrot::memory::{Broker, Operation};
use carrot::{Connection, Error, Publisher, Queue, topology::Overflow};

use crate::support::{SOON, ready};

fn broker() -> (Broker, Connection, Publisher) {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    connection.declare_queue("queue").unwrap();
    let publisher = connection.publisher().routing_key("queue").send_timeout(SOON).build().unwrap();
    (broker, connection, publisher)
}

#[track_caller]
fn refused_at_once(publisher: &Publisher) {
    let started = Instant::now();
    let error = publisher.send("x").unwrap_err();
    assert!(matches!(error, Error::Refused), "{error}");
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
}

#[test]
fn refusing_channel_after_loss_is_replaced() {
    let (broker, connection, publisher) = broker();
    publisher.send(&0).unwrap();
    broker.faults().drop_connections().nack_publishes(3);
    publisher.send(&1).unwrap();
    assert_eq!(broker.faults().outstanding(), 0);
    assert_eq!(ready(&connection, "queue"), 2);
}

#[test]
fn messages_in_flight_move_to_the_replacing_channel() {
    let (broker, connection, publisher) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let receipts: Vec<_> = (0..20).map(|number| publisher.publish(&number).unwrap()).collect();
    broker.faults().drop_connections_at(Operation::Confirm, 1).nack_publishes(20);
    for receipt in receipts {
        receipt.wait().unwrap();
    }
    assert_eq!(broker.faults().outstanding(), 0);
    let numbers: BTreeSet<u32> = consumer
        .fetch_all()
        .map(|message| {
            let message = message.unwrap();
            let number = message.decode().unwrap();
            message.ack().unwrap();
            number
        })
        .collect();
    assert_eq!(numbers, (0..20).collect());
}

#[test]
fn refusal_by_first_channel_is_final() {
    let (broker, _connection, publisher) = broker();
    broker.faults().nack_publishes(1);
    refused_at_once(&publisher);
    assert_eq!(broker.faults().outstanding(), 0);
}

#[test]
fn refusal_by_channel_that_worked_is_final() {
    let (broker, connection, publisher) = broker();
    broker.faults().drop_connections();
    publisher.send("x").unwrap();
    broker.faults().nack_publishes(1);
    refused_at_once(&publisher);
    assert_eq!(ready(&connection, "queue"), 1);
}

#[test]
fn full_queue_after_loss_is_reported_after_grace() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    connection
        .declare_queue(Queue::new("full").max_length(1).overflow(Overflow::RejectPublish))
        .unwrap();
    let publisher = connection
        .publisher()
        .routing_key("full")
        .send_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    publisher.send("x").unwrap();
    refused_at_once(&publisher);
    broker.faults().drop_connections();
    let started = Instant::now();
    assert!(matches!(publisher.send("y"), Err(Error::Refused)));
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    // From then on, its refusals are final.
    refused_at_once(&publisher);
}

#[test]
fn refusal_after_loss_respects_message_deadline() {
    let (broker, connection, _) = broker();
    let publisher = connection
        .publisher()
        .routing_key("queue")
        .send_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    publisher.send("x").unwrap();
    broker.faults().drop_connections().nack_publishes(1_000_000);
    refused_at_once(&publisher);
}
