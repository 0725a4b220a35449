//! Workers that handle messages in batches.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use carrot::consume::{BatchSettlement, Retry};
use carrot::{Error, Message, Queue, Settlement};

use super::{LONG, SHORT, send};
use crate::failures::manual_clock::setup;
use crate::support::{SOON, eventually, queue, ready};

on_both_backends! {
    fn handlers_receive_full_batches_in_parallel(connection: &Connection) {
        let queue = queue();
        send(connection, &queue, 200);
        let consumer = connection.consumer(&queue).prefetch(1).build().unwrap();
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let (sender, sizes) = mpsc::channel();
        let handler = move |numbers: Vec<u32>, messages: &[Message]| {
            // Both workers have a batch at the same time.
            barrier.wait();
            assert_eq!(numbers.len(), messages.len());
            assert_eq!(messages[0].decode::<u32>().unwrap(), numbers[0]);
            sender.send(numbers.len()).unwrap();
        };
        let workers = consumer.workers(2).batches(50, LONG).spawn(handler).unwrap();
        for _ in 0..4 {
            assert_eq!(sizes.recv_timeout(SOON), Ok(50));
        }
        eventually("all are settled", || workers.report().acknowledged == 200);
        assert_eq!(workers.stop(SOON).unwrap().acknowledged, 200);
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn each_message_of_a_batch_is_settled_by_the_result(connection: &Connection) {
        let queue = queue();
        let parking = format!("{}.failed", queue.name);
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        publisher.send("not a number").unwrap();
        publisher.send_all(1..=5_u32).unwrap();
        let consumer = connection.consumer(&queue).retry(Retry::never()).build().unwrap();
        let (sender, handled) = mpsc::channel();
        let requeued = AtomicU32::new(0);
        let handler = move |numbers: Vec<u32>, messages: &[Message]| {
            sender.send(numbers.clone()).unwrap();
            let mut settlement = BatchSettlement::new();
            for (position, number) in numbers.iter().enumerate() {
                assert_eq!(messages[position].decode::<u32>().unwrap(), *number);
                match number {
                    2 => settlement.fail(position, "no luck"),
                    3 => settlement.settle(position, Settlement::Park("as chosen".into())),
                    4 => settlement.settle(position, Settlement::Reject),
                    5 if requeued.fetch_add(1, Ordering::SeqCst) == 0 => {
                        settlement.settle(position, Settlement::Requeue);
                    }
                    _ => {}
                }
            }
            Ok::<_, Error>(settlement)
        };
        let workers = consumer.workers(1).batches(6, SHORT).spawn(handler).unwrap();
        assert_eq!(handled.recv_timeout(SOON), Ok(vec![1, 2, 3, 4, 5]));
        assert_eq!(handled.recv_timeout(SOON), Ok(vec![5]));
        eventually("three are parked", || ready(connection, &parking) == 3);
        eventually("all are settled", || workers.report().acknowledged == 2);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.acknowledged, report.rejected, report.requeued), (2, 1, 1), "{report:?}");
        assert_eq!((report.failed, report.undecodable, report.parked), (1, 1, 3), "{report:?}");
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn stop_hands_out_the_batch_that_is_collected(connection: &Connection) {
        let queue = queue();
        send(connection, &queue, 7);
        let consumer = connection.consumer(&queue).build().unwrap();
        let (sender, handled) = mpsc::channel();
        let handler = move |numbers: Vec<u32>, _: &[Message]| sender.send(numbers.len()).unwrap();
        let workers = consumer.workers(3).batches(10, LONG).spawn(handler).unwrap();
        eventually("all are taken", || connection.statistics().consuming.delivered == 7);
        let report = workers.stop(SOON).unwrap();
        assert_eq!(handled.try_recv(), Ok(7));
        assert_eq!((report.acknowledged, report.requeued_unhandled), (7, 0), "{report:?}");
        assert_eq!(ready(connection, &queue.name), 0);
    }
}

#[test]
fn failed_batch_is_retried_with_attempts_of_each_message() {
    let setup = setup();
    let retry = Retry::fixed(Duration::from_secs(1)).attempts(3);
    let consumer = setup.connection.consumer("orders").retry(retry).build().unwrap();
    send(&setup.connection, "orders", 4);
    let panics = AtomicU32::new(0);
    let handler = move |numbers: Vec<u32>, messages: &[Message]| {
        assert!(messages.iter().all(|message| message.attempt() <= 3));
        if panics.fetch_add(1, Ordering::SeqCst) == 0 {
            panic!("the first batch");
        }
        if numbers.contains(&2) { Err("a batch with 2") } else { Ok(()) }
    };
    let workers = consumer.workers(1).batches(2, LONG).spawn(handler).unwrap();
    eventually("two are parked", || {
        setup.clock.advance(Duration::from_millis(100));
        setup.ready("orders.failed") >= 1
            && workers.report().acknowledged + workers.report().parked == 4
    });
    let report = workers.stop(SOON).unwrap();
    assert!(report.parked <= 2 && report.failed >= 5, "{report:?}");
    assert_eq!((setup.ready("orders"), report.stale), (0, 0));
}

#[test]
fn failures_that_pause_in_process_do_not_block_batches() {
    let setup = setup();
    let retry = Retry::fixed(Duration::from_secs(1)).attempts(2);
    let queue = Queue::new("orders").single_active_consumer();
    let consumer = setup.connection.consumer(queue).retry(retry).build().unwrap();
    send(&setup.connection, Queue::existing("orders"), 20);
    let handler = |_: Vec<u32>, _: &[Message]| Err::<(), _>("never");
    let workers = consumer.workers(1).batches(4, Duration::from_secs(1)).spawn(handler).unwrap();
    eventually("all are parked", || {
        setup.clock.advance(Duration::from_millis(200));
        setup.ready("orders.failed") == 20
    });
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.failed, report.parked, report.retried), (40, 20, 20), "{report:?}");
    assert_eq!(report.paused, 0);
}

#[test]
fn failed_batch_counts_once_for_the_pause_of_the_consumer() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").pause_after_failures(2).build().unwrap();
    send(&setup.connection, "orders", 9);
    let handler = |_: Vec<u32>, _: &[Message]| Err::<(), _>("never");
    let workers = consumer.workers(1).batches(3, LONG).spawn(handler).unwrap();
    let pauses = || setup.connection.statistics().consuming.consumer_pauses;
    eventually("two batches fail", || workers.report().failed == 6 && pauses() == 1);
    workers.stop(SOON).unwrap();
}

#[test]
fn failures_within_a_batch_count_once_for_the_pause_of_the_consumer() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").pause_after_failures(2).build().unwrap();
    let publisher = setup.connection.publisher().routing_key("orders").build().unwrap();
    let pauses = || setup.connection.statistics().consuming.consumer_pauses;
    let fail_numbers_but_3 = |numbers: Vec<u32>, _: &[Message]| {
        let mut settlement = BatchSettlement::new();
        for (position, number) in numbers.iter().enumerate() {
            if *number != 3 {
                settlement.fail(position, "not now");
            }
        }
        settlement
    };
    let workers = consumer.workers(1).batches(3, LONG).spawn(fail_numbers_but_3).unwrap();
    for (sent, failed, expected) in
        [([0, 1, 2], 3, 0), ([0, 1, 3], 5, 0), ([0, 1, 2], 8, 0), ([0, 1, 2], 11, 1)]
    {
        publisher.send_all(sent).unwrap();
        eventually("the batch is treated", || {
            let report = workers.report();
            report.failed == failed && report.retried == failed && pauses() == expected
        });
    }
    workers.stop(SOON).unwrap();
}

#[test]
fn settlement_outside_of_a_batch_fails_all_its_messages() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").retry(Retry::never()).build().unwrap();
    send(&setup.connection, "orders", 2);
    let handler = |_: Vec<u32>, _: &[Message]| {
        let mut settlement = BatchSettlement::new();
        settlement.fail(2, "nobody");
        settlement
    };
    let workers = consumer.workers(1).batches(2, LONG).spawn(handler).unwrap();
    eventually("both are parked", || setup.ready("orders.failed") == 2);
    let reason = workers.first_failure().unwrap();
    assert!(reason.contains("position 2 of a batch of 2"), "{reason}");
    workers.stop(SOON).unwrap();
}

#[test]
fn undecodable_message_alone_in_a_batch_does_not_reach_the_handler() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").retry(Retry::never()).build().unwrap();
    setup.connection.publisher().queue("orders").build().unwrap().send("text").unwrap();
    let handler = |_: Vec<u32>, _: &[Message]| panic!("called");
    let workers = consumer.workers(1).batches(1, LONG).spawn::<u32, ()>(handler).unwrap();
    eventually("it is parked", || setup.ready("orders.failed") == 1);
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.undecodable, report.failed), (1, 0));
}
