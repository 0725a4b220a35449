//! What is lost when connections are, and how it all goes on: on the in-process broker, whose connections can be cut on command.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use carrot::backend::Condition;
use carrot::memory::{Broker, Operation};
use carrot::{Connection, ConnectionOptions, Consumer, Error, Message, Queue};

use crate::support::{SOON, eventually, ready};

fn broker() -> (Broker, Connection) {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    (broker, connection)
}

/// Takes what is in the queue, without what came twice: in the order of first delivery.
fn distinct(consumer: &Consumer) -> Vec<u32> {
    let mut seen = HashSet::new();
    let numbers = consumer.drain().map(|message| {
        let message = message.unwrap();
        let number = message.decode().unwrap();
        message.ack().unwrap();
        number
    });
    numbers.filter(|number| seen.insert(*number)).collect()
}

#[test]
fn a_publisher_goes_on_after_its_connection_was_cut() {
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
fn a_message_whose_confirm_is_lost_with_the_connection_is_sent_again_under_the_same_id() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    broker.faults().drop_connections_at(Operation::Confirm, 1);

    publisher.message().message_id("the-one").send("x").unwrap();

    let ids: Vec<_> = consumer
        .drain()
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
fn a_publisher_tries_to_connect_until_it_works() {
    let (broker, connection) = broker();
    connection.declare_queue("queue").unwrap();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    broker.faults().drop_connections();
    broker.faults().refuse_connects(3);
    publisher.send("x").unwrap();
    assert_eq!(broker.faults().outstanding(), 0);
    assert_eq!(ready(&connection, "queue"), 1);
}

#[test]
fn a_publisher_gives_up_at_its_deadline_and_tells_the_cause() {
    let (broker, connection) = broker();
    let publisher = connection.publisher().routing_key("queue").send_timeout(Duration::from_millis(200)).build().unwrap();
    let receipt = publisher.publish("before").unwrap();
    broker.faults().drop_connections();
    broker.faults().refuse_connects(1_000_000);
    let started = Instant::now();
    let error = publisher.send("after").unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert!(started.elapsed() >= Duration::from_millis(150) && started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // It may have been confirmed before the cut, but nobody had asked.
    let error = receipt.wait().unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[test]
fn a_confirm_that_never_comes_is_told_at_the_deadline() {
    let (broker, connection) = broker();
    let publisher = connection.publisher().routing_key("queue").send_timeout(Duration::from_millis(100)).build().unwrap();
    broker.faults().lose_confirms(1);
    assert!(matches!(publisher.send("x"), Err(Error::Timeout { .. })));
    publisher.send("y").unwrap();
}

#[test]
fn what_is_sent_again_keeps_its_order() {
    for nth in [1, 2, 50, 99] {
        let (broker, connection) = broker();
        let consumer = connection.consumer("queue").build().unwrap();
        let publisher = connection.publisher().routing_key("queue").max_in_flight(10).build().unwrap();
        broker.faults().drop_connections_at(Operation::Publish, nth);
        publisher.send_all(0..100).unwrap();
        assert_eq!(distinct(&consumer), (0..100).collect::<Vec<_>>(), "cut at publish {nth}");
    }
}

#[test]
fn receipts_resolve_once_whatever_happens_in_between() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    let receipts: Vec<_> = (0..100).map(|number| publisher.publish(&number).unwrap()).collect();
    broker.faults().drop_connections_at(Operation::Confirm, 30).drop_connections_at(Operation::Confirm, 60);
    for receipt in receipts {
        receipt.wait().unwrap();
    }
    assert_eq!(distinct(&consumer), (0..100).collect::<Vec<_>>());
}

#[test]
fn many_threads_on_one_publisher_lose_nothing_to_many_cuts() {
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
fn a_refused_declaration_is_told_and_not_tried_again() {
    let (broker, connection) = broker();
    let publisher = connection.publisher().exchange("exchange").build().unwrap();
    broker.faults().drop_connections();
    connection.delete_exchange("exchange", Condition::ALWAYS).unwrap();
    connection.declare_exchange(carrot::Exchange::fanout("exchange")).unwrap();
    let started = Instant::now();
    assert!(matches!(publisher.send("x"), Err(Error::Precondition { .. })));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn refused_credentials_are_told_and_not_tried_again() {
    let (broker, connection) = broker();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    let refused = Error::Authentication { endpoint: "here".into(), user: "guest".into(), reason: "changed".into() };
    broker.faults().drop_connections();
    broker.faults().fail_next(Operation::Connect, refused);
    assert!(matches!(publisher.send("x"), Err(Error::Authentication { .. })));
    publisher.send("y").unwrap();
}

#[test]
fn an_iterator_goes_on_and_what_was_out_comes_again() {
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
fn fetching_and_managing_go_on() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    connection.publisher().routing_key("queue").build().unwrap().send("x").unwrap();
    broker.faults().drop_connections();
    consumer.fetch().unwrap().unwrap().ack().unwrap();
    broker.faults().drop_connections();
    assert_eq!(connection.purge("queue").unwrap(), 0);
    broker.faults().drop_connections_at(Operation::Get, 1);
    assert!(consumer.fetch().unwrap().is_none());
}

#[test]
fn workers_lose_nothing_to_many_cuts_and_handlers_that_run_then_do_no_harm() {
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
fn waiting_goes_on_with_callbacks() {
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
fn a_stop_ends_workers_that_have_no_connection() {
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
fn closing_the_connection_ends_whoever_waits_for_another() {
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
fn a_consumer_gives_up_when_it_was_told_to_and_tells_the_cause() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").give_up_after(Duration::from_millis(200)).build().unwrap();
    let mut messages = consumer.messages().unwrap();
    broker.faults().refuse_connects(1_000_000);
    broker.faults().drop_connections();
    let error = messages.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert!(messages.next().is_none());
}

#[test]
fn a_deleted_queue_is_declared_again_where_that_is_wanted() {
    let (_broker, connection) = broker();
    let wanted = connection.consumer("queue").exchange("exchange").routing_key("key").redeclare_if_deleted().build().unwrap();
    let mut messages = wanted.messages().unwrap().timeout(SOON);
    let publisher = connection.publisher().exchange("exchange").routing_key("key").mandatory().build().unwrap();
    publisher.send("before").unwrap();
    messages.next().unwrap().unwrap().ack().unwrap();
    connection.delete_queue("queue", Condition::ALWAYS).unwrap();

    let reader = thread::spawn(move || messages.next().unwrap().map(|message| message.decode::<String>()));
    eventually("the queue is back", || publisher.send("after").is_ok());
    assert_eq!(reader.join().unwrap().unwrap().unwrap(), "after");
}

#[test]
fn a_server_named_queue_comes_back_under_another_name() {
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
fn a_consumer_whose_queue_changed_meanwhile_ends_with_the_brokers_words() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let mut messages = consumer.messages().unwrap();
    broker.faults().refuse_connects(1);
    broker.faults().drop_connections();
    let other = Connection::new(broker.connector());
    let _ = other.open();
    other.delete_queue("queue", Condition::ALWAYS).unwrap();
    other.declare_queue(Queue::new("queue").max_length(1)).unwrap();
    let error = messages.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Precondition { .. }), "{error}");
}

#[test]
fn a_refused_call_costs_its_own_channel_only() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let other = connection.consumer("other").build().unwrap();
    let mut messages = consumer.messages().unwrap().timeout(SOON);
    let precondition = Error::Precondition { reason: "PRECONDITION_FAILED - delivery acknowledgement timed out".into() };
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
fn hooks_are_told_and_the_state_can_be_asked() {
    let (broker, connection) = broker();
    let (losses, returns, blocks, unblocks) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let count = |counter: &Arc<AtomicUsize>| {
        let counter = Arc::clone(counter);
        move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    };
    let (lost, back, blocked, unblocked) = (count(&losses), count(&returns), count(&blocks), count(&unblocks));
    connection.on_disconnect(move |_error| lost());
    connection.on_reconnect(back);
    connection.on_blocked(move |reason| {
        assert_eq!(reason, "low on memory");
        blocked();
    });
    connection.on_unblocked(unblocked);
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    assert!(connection.is_connected() && !connection.is_blocked());

    broker.faults().drop_connections();
    eventually("the loss is told", || losses.load(Ordering::SeqCst) == 1);
    assert!(!connection.is_connected());
    publisher.send("x").unwrap();
    eventually("the return is told", || returns.load(Ordering::SeqCst) == 1);
    assert!(connection.is_connected());

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
fn a_blocked_publisher_waits_until_its_deadline_and_tells_the_reason() {
    let (broker, connection) = broker();
    let consumer = connection.consumer("queue").build().unwrap();
    let publisher = connection.publisher().routing_key("queue").send_timeout(Duration::from_millis(150)).build().unwrap();
    publisher.send("before").unwrap();
    broker.faults().block_publishers("low on memory");
    let error = publisher.send("meanwhile").unwrap_err();
    assert!(matches!(&error, Error::Blocked { reason } if reason == "low on memory"), "{error}");
    consumer.fetch().unwrap().unwrap().ack().unwrap();
    broker.faults().unblock_publishers();
    publisher.send("after").unwrap();
}

#[test]
fn a_consumer_whose_message_kills_every_connection_gives_up_and_the_others_go_on() {
    let broker = Broker::new();
    let connection = Connection::with_options(broker.connector(), &ConnectionOptions::default());
    let consumer = connection.consumer("queue").build().unwrap();
    let mut messages = consumer.messages().unwrap();
    for _ in 0..4 {
        broker.faults().fail_next(Operation::Next, Error::Unreadable { reason: "a routing key that is not UTF-8".into() });
    }
    let error = messages.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
    assert_eq!(broker.faults().outstanding(), 0);

    let other = connection.consumer("other").build().unwrap();
    connection.publisher().routing_key("other").build().unwrap().send("x").unwrap();
    crate::support::next(&other).ack().unwrap();
}

#[test]
fn closing_and_dropping_within_handlers_does_not_wait_for_itself() {
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
