//! Brokers whose memory or store is full.

use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot::{Connection, Consumer, Error, Publisher, Queue};
use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, Content, Declare, Publication,
};
use carrot_faults::eventually;

use crate::process::{OwnBroker, SOON};

const CALL_TIMEOUT: Duration = Duration::from_secs(5);

fn connect(broker: &OwnBroker) -> Connection {
    carrot::connect(broker.options()).unwrap()
}

/// Sends bodies of a size until the broker refuses one. Returns the number of those it has taken,
/// and the error.
fn fill(publisher: &Publisher, size: usize) -> (usize, Error) {
    let body = vec![0; size];
    for taken in 0..200 {
        let started = Instant::now();
        if let Err(error) = publisher.message().send_bytes(body.clone()) {
            assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
            return (taken, error);
        }
    }
    panic!("the broker takes everything");
}

fn drain(consumer: &Consumer) -> usize {
    let mut count = 0;
    for message in consumer.fetch_all() {
        message.unwrap().ack().unwrap();
        count += 1;
    }
    count
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn full_memory_refuses_messages_and_stops_no_consumer() {
    let broker = OwnBroker::start(&["--memory", "1mb"]);
    let connection = connect(&broker);
    let publisher = connection.publisher().queue("full").build().unwrap();
    let other = connection.publisher().queue("other").build().unwrap();
    other.send("waiting").unwrap();
    let (consumer, others) = (
        connection.consumer("full").build().unwrap(),
        connection.consumer("other").build().unwrap(),
    );
    let (taken, error) = fill(&publisher, 100_000);
    println!("memory: {taken} messages, then {error:?}");
    assert!(matches!(error, Error::Refused), "{error:?}");
    // A message whose deadline is earlier than that of the broker.
    let started = Instant::now();
    let late = publisher.message().timeout(Duration::from_millis(500)).send_bytes(vec![0; 100_000]);
    assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
    assert!(started.elapsed() < CALL_TIMEOUT, "{:?}", started.elapsed());
    // Neither declarations nor fetches wait for the memory.
    connection.declare_queue("new").unwrap();
    others.fetch().unwrap().unwrap().ack().unwrap();
    let drained = drain(&consumer);
    assert!(drained >= taken, "{drained} of {taken}");
    assert!(eventually(SOON, || publisher.message().send_bytes(vec![0; 100_000]).is_ok()));
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn messages_that_are_held_back_stop_neither_deadlines_nor_consumers() {
    let broker = OwnBroker::start(&["--memory", "1mb"]);
    let connector = ActiveMqConnector::new(&broker.options()).unwrap();
    let mut without_confirms = ChannelOptions::publish();
    without_confirms.confirms = false;
    let publishing = connector.open(&without_confirms, SOON).unwrap();
    let consuming = connector.open(&ChannelOptions::consume(), SOON).unwrap();
    let declare = |channel: &dyn Backend, name, timeout| {
        channel.declare(Declare::Queue(&Queue::new(name)), timeout)
    };
    declare(&*consuming, "full", SOON).unwrap();
    let content = Arc::new(Content::new("", "full", vec![0; 100_000]));
    for _ in 0..20 {
        publishing.publish(&Publication::new(&content), SOON).unwrap();
    }
    // The broker reads nothing more of this connection. The other one continues.
    let started = Instant::now();
    let late = declare(&*publishing, "late", Duration::from_millis(500));
    assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
    assert!(started.elapsed() < CALL_TIMEOUT, "{:?}", started.elapsed());
    declare(&*consuming, "new", SOON).unwrap();
    let mut drained = 0;
    while let Some(delivery) = consuming.get("full", Acknowledgement::Automatic, SOON).unwrap() {
        assert_eq!(delivery.content.body.len(), 100_000);
        drained += 1;
    }
    assert!(drained > 0, "{drained}");
    declare(&*publishing, "late", SOON).unwrap();
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn full_store_refuses_messages_until_it_has_room() {
    let broker = OwnBroker::start(&["--store", "16mb"]);
    let connection = connect(&broker);
    let publisher = connection.publisher().queue("full").build().unwrap();
    let consumer = connection.consumer("full").build().unwrap();
    let (taken, error) = fill(&publisher, 1_000_000);
    println!("store: {taken} messages, then {error:?}");
    assert!(matches!(error, Error::Refused), "{error:?}");
    let drained = drain(&consumer);
    assert_eq!(drained, taken);
    assert!(eventually(SOON, || publisher.message().send_bytes(vec![0; 1_000_000]).is_ok()));
    assert_eq!(drain(&consumer), 1);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn dead_letter_for_a_full_broker_is_not_lost_and_delays_no_consumer() {
    let broker = OwnBroker::start(&["--memory", "1mb"]);
    let connection = connect(&broker);
    connection.declare_queue("dead").unwrap();
    let work = Queue::new("work").dead_letter_exchange("").dead_letter_routing_key("dead");
    let worker = connection.consumer(work).build().unwrap();
    connection.publisher().routing_key("work").build().unwrap().send("bad").unwrap();
    let publisher = connection.publisher().queue("full").build().unwrap();
    let consumer = connection.consumer("full").build().unwrap();
    let rejected = worker.fetch().unwrap().unwrap();
    let (taken, error) = fill(&publisher, 100_000);
    assert!(matches!(error, Error::Refused), "{error:?}");
    let started = Instant::now();
    rejected.reject().unwrap();
    let drained = drain(&consumer);
    println!("dead letter: drained after {:?}", started.elapsed());
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
    assert!(drained >= taken, "{drained} of {taken}");
    let dead = connection.consumer("dead").build().unwrap();
    let arrives_once = || match worker.fetch().unwrap() {
        // The broker had no room in time.
        Some(returned) => {
            returned.reject().unwrap();
            false
        }
        None => dead.fetch().unwrap().is_some_and(|letter| letter.ack().is_ok()),
    };
    assert!(eventually(SOON, arrives_once), "the message is lost");
    assert!(dead.fetch().unwrap().is_none() && worker.fetch().unwrap().is_none());
}
