//! Recovery after lost connections, on the in-process broker with injected cuts.

mod consumers;
mod publishers;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use carrot::config::Role;
use carrot::memory::{Broker, Operation};
use carrot::topology::DeleteIf;
use carrot::{Connection, Consumer, Error, Message};

use crate::support::{SOON, eventually};

fn broker() -> (Broker, Connection) {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    (broker, connection)
}

/// Takes the messages of the queue without duplicates, in the order of first delivery.
fn distinct(consumer: &Consumer) -> Vec<u32> {
    let mut seen = HashSet::new();
    let numbers = consumer.fetch_all().map(|message| {
        let message = message.unwrap();
        let number = message.decode().unwrap();
        message.ack().unwrap();
        number
    });
    numbers.filter(|number| seen.insert(*number)).collect()
}

#[test]
fn refused_declaration_fails_without_retry() {
    let (broker, connection) = broker();
    let publisher = connection.publisher().exchange("exchange").build().unwrap();
    broker.faults().drop_connections();
    connection.delete_exchange("exchange", DeleteIf::ALWAYS).unwrap();
    connection.declare_exchange(carrot::Exchange::fanout("exchange")).unwrap();
    let started = Instant::now();
    assert!(matches!(publisher.send("x"), Err(Error::PreconditionFailed { .. })));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn credentials_accepted_before_are_retried() {
    let (broker, connection) = broker();
    let publisher = connection.publisher().queue("queue").build().unwrap();
    let refused = Error::Authentication {
        endpoint: "here".into(),
        user: "guest".into(),
        reason: "changed".into(),
    };
    for _ in 0..3 {
        broker.faults().fail_next(Operation::Connect, refused.clone());
    }
    broker.faults().drop_connections();
    publisher.send("x").unwrap();
    assert_eq!(broker.faults().outstanding(), 0);

    let other = Connection::new(broker.connector());
    broker.faults().fail_next(Operation::Connect, refused);
    assert!(matches!(other.open_within(SOON), Err(Error::Authentication { .. })));
}

#[test]
fn fetch_and_topology_calls_recover() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    connection.publisher().routing_key("queue").build().unwrap().send("x").unwrap();
    broker.faults().drop_connections();
    consumer.fetch().unwrap().unwrap().ack().unwrap();
    broker.faults().drop_connections();
    assert_eq!(connection.purge_queue("queue").unwrap(), 0);
    broker.faults().drop_connections_at(Operation::Get, 1);
    assert!(consumer.fetch().unwrap().is_none());
}

#[test]
fn connection_close_ends_threads_that_wait_for_reconnect() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    let mut messages = consumer.messages().unwrap();
    broker.faults().refuse_connects(1_000_000);
    broker.faults().drop_connections();
    thread::scope(|scope| {
        let receiving = scope.spawn(move || messages.next().map(|result| result.map(drop)));
        let sending = scope.spawn(|| publisher.send("x"));
        connection.close().unwrap();
        assert!(matches!(receiving.join().unwrap(), Some(Err(Error::Closed { .. }))));
        let sent = sending.join().unwrap();
        assert!(matches!(sent, Err(Error::Closed { .. })), "{sent:?}");
    });
}

#[test]
fn refused_call_closes_its_own_channel_only() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let other = connection.consumer("other").build().unwrap();
    let mut messages = consumer.messages().unwrap().timeout(SOON);
    let precondition = Error::PreconditionFailed {
        reason: "PRECONDITION_FAILED - delivery acknowledgement timed out".into(),
    };
    broker.faults().fail_next(Operation::Next, precondition);
    let publisher = connection.publisher().build().unwrap();
    publisher.message().routing_key("other").send("x").unwrap();
    let untouched = other.fetch().unwrap().unwrap();
    publisher.message().routing_key("queue").send("x").unwrap();
    messages.next().unwrap().unwrap().ack().unwrap();
    assert_eq!(broker.faults().outstanding(), 0);
    untouched.ack().unwrap();
}

#[test]
fn hooks_and_state_follow_an_outage() {
    let (broker, connection) = broker();
    let (losses, returns, blocks, unblocks) =
        <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let count = |counter: &Arc<AtomicUsize>| {
        let counter = Arc::clone(counter);
        move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    };
    let (lost, back, blocked, unblocked) =
        (count(&losses), count(&returns), count(&blocks), count(&unblocks));
    connection.on_disconnect(move |_, _| lost());
    connection.on_reconnect(move |_| back());
    connection.on_blocked(move |role, reason| {
        assert_eq!(role, Role::Publish);
        assert_eq!(reason, "low on memory");
        blocked();
    });
    connection.on_unblocked(move |_| unblocked());
    let publisher = connection.publisher().queue("queue").build().unwrap();
    assert!(connection.is_connected() && !connection.is_blocked());

    broker.faults().drop_connections();
    eventually("the loss is told", || losses.load(Ordering::SeqCst) == 1);
    eventually("the return is told, though nobody sends", || returns.load(Ordering::SeqCst) == 1);
    assert!(connection.is_connected());
    publisher.send("x").unwrap();

    // As on RabbitMQ, a connection learns of it at its next publication.
    broker.faults().block_publishers("low on memory");
    let receipt = publisher.publish("meanwhile").unwrap();
    eventually("the block is told", || blocks.load(Ordering::SeqCst) == 1);
    assert!(connection.is_blocked());
    broker.faults().unblock_publishers();
    receipt.wait().unwrap();
    eventually("the unblock is told", || unblocks.load(Ordering::SeqCst) == 1);
    assert!(!connection.is_blocked());
    assert_eq!((losses.load(Ordering::SeqCst), returns.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn close_and_drop_within_handlers_do_not_wait_for_themselves() {
    let (_broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    publisher.send("x").unwrap();
    let (sender, ended) = mpsc::channel();
    let held = std::sync::Mutex::new(Some((connection.clone(), publisher)));
    let workers = consumer
        .workers(1)
        .spawn(move |_: String, _message: &Message| {
            if let Some((connection, publisher)) = held.lock().unwrap().take() {
                publisher.send("sent from within").unwrap();
                drop(publisher);
                connection.close().unwrap();
            }
            sender.send(()).unwrap();
        })
        .unwrap();
    drop((consumer, connection));
    ended.recv_timeout(SOON).unwrap();
    eventually("the workers end", || workers.is_finished());
}
