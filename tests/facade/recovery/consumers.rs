//! Consumers whose connection is lost.

use std::collections::HashSet;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use carrot::topology::DeleteIf;
use carrot::{Connection, Error, Message, Queue};

use crate::support::{SOON, eventually, ready};

use super::broker;

#[test]
fn iterator_recovers_and_unacknowledged_messages_are_redelivered() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    publisher.send_all(0..3).unwrap();
    let mut messages = consumer.messages().unwrap().timeout(SOON);
    let first = messages.next().unwrap().unwrap();
    broker.faults().drop_connections();
    let error = first.ack().unwrap_err();
    assert!(matches!(error, Error::Stale { .. }), "{error}");
    for number in 0..3 {
        let message = messages.next().unwrap().unwrap();
        assert_eq!((message.decode::<u32>().unwrap(), message.is_redelivered()), (number, true));
        message.ack().unwrap();
    }
}

#[test]
fn workers_lose_no_message_to_many_cuts() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").prefetch(16).build().unwrap();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    let handled = Arc::new(std::sync::Mutex::new(HashSet::new()));
    let seen = Arc::clone(&handled);
    let workers = consumer
        .workers(4)
        .spawn(move |number: u32, _message: &Message| {
            thread::yield_now();
            seen.lock().unwrap().insert(number);
        })
        .unwrap();
    for batch in 0..20 {
        publisher.send_all((0..50).map(|number| batch * 50 + number)).unwrap();
        broker.faults().drop_connections();
    }
    eventually("all are handled", || handled.lock().unwrap().len() == 1000);
    eventually("all are settled", || ready(&connection, "queue") == 0);
    let report = workers.stop(SOON).unwrap();
    assert!(report.acknowledged >= 1000 && report.failed == 0, "{report:?}");
    assert_eq!(ready(&connection, "queue"), 0);
}

#[test]
fn wait_recovers_with_callbacks() {
    let (broker, connection) = broker();
    let mut consumer = connection.consumer("queue").build().unwrap();
    connection.publisher().routing_key("queue").build().unwrap().send_all(0..10).unwrap();
    let (cutter, stop) = (broker.clone(), consumer.stop_handle());
    let mut calls = 0;
    let (sender, numbers) = mpsc::channel();
    consumer.register_callback(move |number: u32, _message: &Message| {
        calls += 1;
        if calls == 5 {
            cutter.faults().drop_connections();
        }
        sender.send(number).unwrap();
        if number == 9 { stop.stop() } else { Ok(()) }
    });
    consumer.wait().unwrap();
    drop(consumer);
    let numbers: Vec<u32> = numbers.iter().collect();
    assert!(numbers.len() > 10 && (0..10).all(|number| numbers.contains(&number)), "{numbers:?}");
}

#[test]
fn stop_ends_workers_without_connection() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let workers = consumer.workers(2).spawn(|_: u32, _message: &Message| ()).unwrap();
    broker.faults().refuse_connects(1_000_000);
    broker.faults().drop_connections();
    eventually("a few attempts", || broker.faults().outstanding() > 0);
    let started = Instant::now();
    let report = workers.stop(SOON).unwrap();
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
    assert_eq!((report.unfinished, report.acknowledged), (0, 0));
}

#[test]
fn consumer_with_give_up_after_ends_with_cause() {
    let (broker, connection) = broker();
    let consumer =
        connection.consumer("queue").give_up_after(Duration::from_millis(200)).build().unwrap();
    let mut messages = consumer.messages().unwrap();
    broker.faults().refuse_connects(1_000_000);
    broker.faults().drop_connections();
    let error = messages.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert!(messages.next().is_none());
}

#[test]
fn redeclare_if_deleted_declares_queue_again() {
    let (_broker, connection) = broker();
    let wanted = connection
        .consumer("queue")
        .exchange("exchange")
        .routing_key("key")
        .redeclare_if_deleted()
        .build()
        .unwrap();
    let mut messages = wanted.messages().unwrap().timeout(SOON);
    let publisher =
        connection.publisher().exchange("exchange").routing_key("key").mandatory().build().unwrap();
    publisher.send("before").unwrap();
    messages.next().unwrap().unwrap().ack().unwrap();
    connection.delete_queue("queue", DeleteIf::ALWAYS).unwrap();

    let reader =
        thread::spawn(move || messages.next().unwrap().map(|message| message.decode::<String>()));
    eventually("the queue is back", || publisher.send("after").is_ok());
    assert_eq!(reader.join().unwrap().unwrap().unwrap(), "after");
}

#[test]
fn server_named_queue_recovers_under_another_name() {
    let (broker, connection) = broker();
    let exchange = carrot::Exchange::fanout("exchange");
    let consumer = connection.consumer(Queue::server_named()).exchange(&exchange).build().unwrap();
    let before = consumer.queue().unwrap();
    let mut messages = consumer.messages().unwrap().timeout(SOON);
    let publisher = connection.publisher().exchange(&exchange).mandatory().build().unwrap();
    broker.faults().drop_connections();
    let reader = thread::spawn(move || messages.next().unwrap().unwrap().queue().to_string());
    eventually("the queue is back", || publisher.send("x").is_ok());
    let after = reader.join().unwrap();
    assert_ne!(after, before);
    assert_eq!(consumer.queue().unwrap(), after);
}

#[test]
fn consumer_of_changed_queue_ends_with_brokers_words() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let mut messages = consumer.messages().unwrap();
    broker.faults().refuse_connects(1);
    broker.faults().drop_connections();
    let other = Connection::new(broker.connector());
    let _ = other.open();
    other.delete_queue("queue", DeleteIf::ALWAYS).unwrap();
    other.declare_queue(Queue::new("queue").max_length(1)).unwrap();
    let error = messages.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed { .. }), "{error}");
}
