//! Messages that can be neither copied nor parked: they stay in the process for the pause, and are
//! never dropped.

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use carrot::backend::Content;
use carrot::memory::Broker;
use carrot::{
    Connection, ConnectionOptions, Message, Queue, Workers,
    consume::{HandlerError, Retry},
};

use super::manual_clock::{Setup, refuse_declarations, setup};
use crate::support::{SOON, eventually};

#[test]
fn message_without_copy_pauses_in_process_and_is_requeued() {
    let setup = setup();
    let consumer = setup
        .connection
        .consumer("orders")
        .retry(Retry::fixed(Duration::from_secs(64)))
        .build()
        .unwrap();
    let (sender, handled) = mpsc::channel();
    let workers = consumer.workers(1).spawn(move |text: String, message: &Message| {
        sender.send((text.clone(), message.attempt(), message.is_redelivered())).unwrap();
        if text == "bad" { Err("no") } else { Ok(()) }
    });
    let workers = workers.unwrap();
    refuse_declarations(&setup.broker, 1);
    let publisher = setup.connection.publisher().routing_key("orders").build();
    // The publisher opens without a declaration, because it uses the default exchange.
    let publisher = publisher.unwrap();
    publisher.send_all(["bad", "good"]).unwrap();
    assert_eq!(handled.recv_timeout(SOON), Ok(("bad".into(), 1, false)));
    assert_eq!(handled.recv_timeout(SOON), Ok(("good".into(), 1, false)), "its worker goes on");
    eventually("it is kept", || workers.report().paused == 1);
    eventually("the other is acknowledged", || {
        setup.broker.queue("orders").unwrap().unacked.len() == 1
    });
    assert_eq!(setup.broker.queue("orders").unwrap().ready.len(), 0);
    setup.clock.advance(Duration::from_secs(63));
    assert_eq!(setup.broker.queue("orders").unwrap().unacked.len(), 1);
    // After the pause, the message is requeued, and can be copied this time.
    eventually("it came back", || {
        setup.clock.advance(Duration::from_secs(1));
        workers.report().retried == 1
    });
    assert_eq!(handled.recv_timeout(SOON), Ok(("bad".into(), 2, true)));
    assert_eq!(setup.broker.queue("orders.retry.v1.64s").unwrap().ready.len(), 1);
    workers.stop(SOON).unwrap();
}

/// A worker with a prefetch of 4 that fails the numbers that `fails` is true for.
fn worker_failing(setup: &Setup, fails: fn(u32) -> bool) -> (Workers, Receiver<u32>) {
    let retry = Retry::fixed(Duration::from_secs(64));
    let consumer = setup.connection.consumer("orders").prefetch(4).retry(retry).build().unwrap();
    let (sender, handled) = mpsc::channel();
    let workers = consumer.workers(1).spawn(move |number: u32, _message: &Message| {
        sender.send(number).unwrap();
        if fails(number) { Err("no") } else { Ok(()) }
    });
    (workers.unwrap(), handled)
}

#[test]
fn paused_messages_take_at_most_half_of_prefetch() {
    let setup = setup();
    let (workers, handled) = worker_failing(&setup, |_| true);
    refuse_declarations(&setup.broker, 3);
    setup
        .connection
        .publisher()
        .routing_key("orders")
        .build()
        .unwrap()
        .send_all(0..10_u32)
        .unwrap();
    for number in 0..3 {
        assert_eq!(handled.recv_timeout(SOON), Ok(number));
    }
    assert!(
        handled.recv_timeout(Duration::from_millis(50)).is_err(),
        "the worker waits itself with the third"
    );
    let report = workers.stop(SOON).unwrap();
    assert_eq!(report.failed, 3);
    let view = setup.broker.queue("orders").unwrap();
    assert_eq!((view.ready.len(), view.unacked.len()), (10, 0), "a stop gives back what pauses");
    assert_eq!(
        (report.paused, report.requeued_unhandled),
        (3, 4),
        "three that failed, and one that was prefetched: {report:?}"
    );
}

#[test]
fn messages_of_lost_channel_do_not_count_as_paused() {
    let setup = setup();
    // Without the arguments of a waiting queue.
    setup.connection.declare_queue("orders.retry.v1.64s").unwrap();
    let (workers, handled) = worker_failing(&setup, |number| number < 2);
    let publisher = setup.connection.publisher().routing_key("orders").build().unwrap();
    let paused = || setup.connection.statistics().consuming.paused_messages;
    for round in 0..3 {
        if round == 0 {
            publisher.send_all(0..2_u32).unwrap();
        }
        for number in 0..2 {
            assert_eq!(handled.recv_timeout(SOON), Ok(number));
        }
        eventually("both pause", || workers.report().paused == 2 * (round + 1) && paused() == 2);
        // The worker is free.
        publisher.send(&2).unwrap();
        assert_eq!(handled.recv_timeout(SOON), Ok(2));
        eventually("it is acknowledged", || workers.report().acknowledged == round + 1);
        if round < 2 {
            setup.broker.faults().drop_connections();
        }
    }
    workers.stop(SOON).unwrap();
}

#[test]
fn message_that_cannot_be_parked_stays() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").retry(Retry::never()).build().unwrap();
    // The start of the run and the parking each look for the queue, and then try to declare it.
    refuse_declarations(&setup.broker, 4);
    let (sender, handled) = mpsc::channel();
    let workers = consumer.workers(1).spawn(move |_: String, message: &Message| {
        sender.send(message.attempt()).unwrap();
        Err::<(), _>("no")
    });
    let workers = workers.unwrap();
    setup.connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    assert_eq!(handled.recv_timeout(SOON), Ok(1));
    eventually("it is kept", || workers.report().paused == 1);
    eventually("it is parked at last", || {
        setup.clock.advance(Duration::from_secs(1));
        workers.report().parked == 1
    });
    assert_eq!(setup.broker.queue("orders.failed").unwrap().ready.len(), 1);
    workers.stop(SOON).unwrap();
}

#[test]
fn copy_refused_returned_or_blocked_loses_no_message() {
    for fault in ["nack", "returned", "blocked", "full", "other arguments"] {
        let setup = setup();
        let waiting = "orders.retry.v1.64s";
        let consumer = setup
            .connection
            .consumer("orders")
            .retry(Retry::fixed(Duration::from_secs(64)).attempts(2))
            .build()
            .unwrap();
        let publisher = setup.connection.publisher().routing_key("orders").build().unwrap();
        publisher.send("x").unwrap();
        match fault {
            "nack" => drop(setup.broker.faults().nack_publishes(1)),
            "blocked" => drop(setup.broker.faults().block_publishers("memory")),
            "other arguments" => drop(setup.connection.declare_queue(waiting).unwrap()),
            _ => {}
        }
        let other = setup.connection.clone();
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(1).spawn(move |_: String, message: &Message| {
            if fault == "returned" {
                // A queue that the consumer has declared, and that was deleted since.
                let _ = other.delete_queue(waiting, carrot::topology::DeleteIf::ALWAYS);
            }
            sender.send(message.attempt()).unwrap();
            Err::<(), _>("no")
        });
        let workers = workers.unwrap();
        assert_eq!(handled.recv_timeout(SOON), Ok(1), "{fault}");
        match fault {
            "returned" | "full" => eventually("it was copied", || workers.report().retried == 1),
            _ => {
                eventually("it is kept", || workers.report().paused == 1);
                assert_eq!(setup.broker.queue("orders").unwrap().unacked.len(), 1, "{fault}");
            }
        }
        setup.broker.faults().unblock_publishers();
        if fault == "other arguments" {
            setup.connection.delete_queue(waiting, carrot::topology::DeleteIf::ALWAYS).unwrap();
        }
        eventually("it is parked in the end", || {
            setup.clock.advance(Duration::from_secs(64));
            workers.report().parked == 1
        });
        let report = workers.stop(SOON).unwrap();
        if fault == "blocked" {
            // A message published under an alarm may arrive after the alarm, as a duplicate.
            assert!(report.parked >= 1, "{fault}: {report:?}");
        } else {
            // Where no copy was sent, the attempt was counted in the process, and the second was
            // the last.
            let copied = u64::from(matches!(fault, "returned" | "full"));
            assert_eq!((report.retried, report.parked), (copied, 1), "{fault}");
        }
    }
}

#[test]
fn waiting_queue_without_answer_blocks_no_other_message() {
    let broker = Broker::new();
    let options = ConnectionOptions::memory().call_timeout(Duration::from_millis(300));
    let connection = Connection::with_options(broker.connector_with(&options).unwrap(), &options);
    let consumer =
        connection.consumer("orders").retry(Retry::fixed(Duration::from_secs(64))).build().unwrap();
    let workers = consumer.workers(1).spawn(|text: String, _message: &Message| match &*text {
        "bad" => Err::<(), _>(HandlerError::new("no")),
        _ => Err(HandlerError::permanent("never")),
    });
    let workers = workers.unwrap();
    let put =
        |text: &str| broker.put("orders", Content::new("", "orders", format!("{text:?}"))).unwrap();
    broker.faults().lose_confirms(1);
    put("bad");
    eventually("it is kept, since its copy had no answer", || workers.report().paused == 1);
    put("bad");
    put("worse");
    eventually("the next one is kept at once, and others are parked", || {
        let report = workers.report();
        (report.paused, report.parked) == (2, 1)
    });
    assert_eq!(
        broker.queue("orders.retry.v1.64s").unwrap().ready.len(),
        1,
        "nothing more was sent to it"
    );
    workers.stop(SOON).unwrap();
}

#[test]
fn stop_requeues_message_paused_in_worker() {
    let setup = setup();
    let queue = Queue::new("orders").single_active_consumer();
    let consumer = setup
        .connection
        .consumer(queue)
        .retry(Retry::fixed(Duration::from_secs(600)))
        .build()
        .unwrap();
    let (sender, handled) = mpsc::channel();
    let workers = consumer.workers(1).spawn(move |_: u32, _message: &Message| {
        sender.send(()).unwrap();
        Err::<(), _>("no")
    });
    let workers = workers.unwrap();
    setup.connection.publisher().routing_key("orders").build().unwrap().send_all(0..3_u32).unwrap();
    handled.recv_timeout(SOON).unwrap();
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.failed, report.requeued_unhandled, report.unfinished), (1, 3, 0));
    let view = setup.broker.queue("orders").unwrap();
    assert_eq!((view.ready.len(), view.unacked.len()), (3, 0));
}
