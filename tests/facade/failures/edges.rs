//! Failed messages in rare cases: stops, cuts, two runs, forwarded messages.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use carrot::memory::Broker;
use carrot::{Connection, Message, Queue, Settlement, consume::Retry};

use super::manual_clock::{Setup, refuse_declarations, setup};
use crate::support::{SOON, eventually};

fn always_fails(_: u32, _: &Message) -> Result<(), &'static str> {
    Err("no")
}

#[test]
fn stop_waits_for_paused_messages_to_be_requeued() {
    for _ in 0..50 {
        let Setup { broker, connection, .. } = setup();
        let consumer = connection
            .consumer("orders")
            .prefetch(100)
            .retry(Retry::fixed(Duration::from_secs(64)))
            .build()
            .unwrap();
        let workers = consumer.workers(1).spawn(always_fails).unwrap();
        refuse_declarations(&broker, 40);
        connection.publisher().routing_key("orders").build().unwrap().send_all(0..20_u32).unwrap();
        eventually("all pause", || workers.report().paused == 20);
        let report = workers.stop(SOON).unwrap();
        assert_eq!(
            (report.requeued_unhandled, broker.queue("orders").unwrap().ready.len()),
            (20, 20),
            "{report:?}"
        );
    }
}

#[test]
fn two_runs_count_their_own_messages() {
    let Setup { broker, connection, .. } = setup();
    let consumer = connection
        .consumer("orders")
        .prefetch(100)
        .retry(Retry::fixed(Duration::from_secs(64)))
        .build()
        .unwrap();
    let (one, other) = (
        consumer.workers(1).spawn(always_fails).unwrap(),
        consumer.workers(1).spawn(always_fails).unwrap(),
    );
    refuse_declarations(&broker, 40);
    connection.publisher().routing_key("orders").build().unwrap().send_all(0..10_u32).unwrap();
    eventually("all pause", || one.report().paused + other.report().paused == 10);
    let (paused_by_one, paused_by_other) = (one.report().paused, other.report().paused);
    consumer.stop().unwrap();
    assert_eq!(
        (one.join().unwrap().requeued_unhandled, other.join().unwrap().requeued_unhandled),
        (paused_by_one, paused_by_other)
    );
}

#[test]
fn retry_without_pause_is_no_busy_loop() {
    let Setup { broker, connection, .. } = setup();
    let consumer = connection.consumer("orders").build().unwrap();
    let (sender, handled) = mpsc::channel();
    let workers = consumer
        .workers(1)
        .spawn(move |_: u32, _: &Message| {
            sender.send(()).unwrap();
            Settlement::RetryAfter(Duration::ZERO)
        })
        .unwrap();
    refuse_declarations(&broker, 1000);
    connection.publisher().routing_key("orders").build().unwrap().send(&1_u32).unwrap();
    handled.recv_timeout(SOON).unwrap();
    // The clock stands still, and with it the pause of a second.
    assert!(handled.recv_timeout(Duration::from_millis(100)).is_err());
    workers.stop(SOON).unwrap();
}

#[test]
fn attempts_without_copies_are_counted_to_the_last() {
    let Setup { clock, broker, connection } = setup();
    let consumer = connection
        .consumer("orders")
        .retry(Retry::fixed(Duration::from_secs(1)).attempts(3))
        .discard_failed()
        .build()
        .unwrap();
    connection.declare_queue("orders.retry.v1.1s").unwrap();
    let (sender, attempts) = mpsc::channel();
    let workers = consumer
        .workers(1)
        .spawn(move |_: u32, message: &Message| {
            sender.send(message.attempt()).unwrap();
            Err::<(), _>("no")
        })
        .unwrap();
    connection.publisher().routing_key("orders").build().unwrap().send(&1_u32).unwrap();
    eventually("it is discarded", || {
        clock.advance(Duration::from_secs(1));
        workers.report().discarded == 1
    });
    assert_eq!(attempts.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.failed, report.paused), (3, 2));
    assert!(broker.queue("orders").unwrap().is_idle());
}

#[test]
fn parked_message_forwarded_has_all_attempts() {
    let Setup { clock, broker, connection } = setup();
    let queue = Queue::new("orders").single_active_consumer();
    let consumer = connection
        .consumer(queue)
        .retry(Retry::fixed(Duration::from_secs(1)).attempts(2))
        .build()
        .unwrap();
    connection.publisher().routing_key("orders").build().unwrap().send(&1_u32).unwrap();
    let parked = || broker.queue("orders.failed").map_or(0, |queue| queue.ready.len());
    let fail = |expected: u32| {
        let mut taken = None;
        eventually("the message is there", || {
            clock.advance(Duration::from_secs(1));
            taken = consumer.fetch().unwrap();
            taken.is_some()
        });
        let message = taken.unwrap();
        assert_eq!(message.attempt(), expected);
        message.fail("no").unwrap();
    };
    for _ in 0..2 {
        fail(1);
        assert_eq!(parked(), 0);
        fail(2);
        assert_eq!(parked(), 1);
        let parking = connection.consumer(Queue::existing("orders.failed")).build().unwrap();
        parking.fetch().unwrap().unwrap().forward().unwrap();
    }
}

#[test]
fn worker_abandons_message_lost_during_its_pause() {
    let Setup { clock, broker, connection } = setup();
    let queue = Queue::new("orders").single_active_consumer();
    let consumer = connection
        .consumer(queue)
        .retry(Retry::fixed(Duration::from_secs(4)).attempts(3))
        .build()
        .unwrap();
    let calls: Arc<Mutex<Vec<(u32, bool)>>> = Arc::default();
    let seen = Arc::clone(&calls);
    let workers = consumer
        .workers(2)
        .spawn(move |_: u32, message: &Message| {
            seen.lock().unwrap().push((message.attempt(), message.is_redelivered()));
            Err::<(), _>("no")
        })
        .unwrap();
    connection.publisher().routing_key("orders").build().unwrap().send(&1_u32).unwrap();
    let paused = || connection.statistics().consuming.paused_messages;
    eventually("it pauses", || workers.report().failed == 1 && paused() == 1);
    broker.faults().drop_connections();
    eventually("it has failed again", || calls.lock().unwrap().len() == 2);
    eventually("the first worker has let go of it", || workers.report().stale == 1);
    eventually("it is tried a second time", || {
        // Advanced only while the message waits, or the next pause could pass as well.
        let is_tried = calls.lock().unwrap().len() >= 3;
        if !is_tried {
            clock.advance(Duration::from_secs(4));
        }
        is_tried
    });
    assert_eq!(calls.lock().unwrap()[..3], [(1, false), (2, true), (3, true)]);
    workers.stop(SOON).unwrap();
}

#[test]
fn failure_on_lost_channel_counts_in_callbacks_and_batches() {
    for in_batches in [false, true] {
        let Setup { broker, connection, .. } = setup();
        let consumer = connection.consumer("orders").retry(Retry::never().attempts(2));
        let mut consumer = consumer.discard_failed().build().unwrap();
        connection.publisher().routing_key("orders").build().unwrap().send(&1_u32).unwrap();
        let cutting = broker.clone();
        let (sender, attempts) = mpsc::channel();
        let fail = move |message: &Message| {
            sender.send(message.attempt()).unwrap();
            if !message.is_redelivered() {
                cutting.faults().drop_connections();
            }
            Err::<(), _>("no")
        };
        if in_batches {
            let handler = move |_: Vec<u32>, messages: &[Message]| fail(&messages[0]);
            let workers = consumer.workers(1).batches(1, SOON).spawn(handler).unwrap();
            eventually("it is discarded", || workers.report().discarded == 1);
            workers.stop(SOON).unwrap();
        } else {
            consumer.register_callback(move |_: u32, message: &Message| fail(message));
            assert_eq!(consumer.handle_next(2).unwrap().discarded, 1);
        }
        assert_eq!(attempts.try_iter().collect::<Vec<_>>(), [1, 2]);
    }
}

#[test]
fn acknowledgement_after_stop_timeout_is_not_counted() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    let consumer = connection.consumer("orders").build().unwrap();
    let (sender, started) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let workers = consumer
        .workers(1)
        .spawn(move |_: u32, _: &Message| {
            sender.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        })
        .unwrap();
    connection.publisher().routing_key("orders").build().unwrap().send(&1_u32).unwrap();
    started.recv_timeout(SOON).unwrap();
    let report = workers.stop(Duration::from_millis(20)).unwrap();
    drop(go);
    assert_eq!((report.acknowledged, report.unfinished), (0, 1));
    assert_eq!(broker.queue("orders").unwrap().ready.len(), 1);
}
