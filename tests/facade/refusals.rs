//! When a broker refuses messages: told at once, or tried again on another channel. On the
//! in-process broker, which fails on command.

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
fn a_channel_that_was_opened_after_a_loss_and_refuses_is_given_up_for_another() {
    let (broker, connection, publisher) = broker();
    publisher.send(&0).unwrap();
    broker.faults().drop_connections().nack_publishes(3);
    publisher.send(&1).unwrap();
    assert_eq!(broker.faults().outstanding(), 0);
    assert_eq!(ready(&connection, "queue"), 2);
}

#[test]
fn everything_in_flight_goes_to_the_other_channel() {
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
fn a_channel_that_was_not_opened_after_a_loss_is_believed() {
    let (broker, _connection, publisher) = broker();
    broker.faults().nack_publishes(1);
    refused_at_once(&publisher);
    assert_eq!(broker.faults().outstanding(), 0);
}

#[test]
fn a_channel_that_has_worked_since_the_loss_is_believed() {
    let (broker, connection, publisher) = broker();
    broker.faults().drop_connections();
    publisher.send("x").unwrap();
    broker.faults().nack_publishes(1);
    refused_at_once(&publisher);
    assert_eq!(ready(&connection, "queue"), 1);
}

#[test]
fn a_queue_that_is_full_after_a_loss_is_told_when_others_would_have_a_leader_again() {
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
    // From then on its word counts.
    refused_at_once(&publisher);
}

#[test]
fn a_refusal_is_told_at_the_deadline_of_the_message() {
    let (broker, connection, _) = broker();
    let publisher = connection
        .publisher()
        .routing_key("queue")
        .send_timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    publisher.send("x").unwrap();
    broker.faults().drop_connections().nack_publishes(1_000_000);
    refused_at_once(&publisher);
}
