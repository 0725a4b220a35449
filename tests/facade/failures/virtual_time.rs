//! Retries by a clock that the test advances: a day of retries takes no real time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use carrot::{Message, Queue, Settlement, consume::Retry};

use super::manual_clock::setup;
use crate::support::{SOON, eventually};

#[test]
fn default_retry_is_five_attempts_after_1_2_4_8_seconds() {
    let setup = setup();
    let (workers, attempts) = setup.failing(setup.connection.consumer("orders"));
    setup.connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    for (attempt, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        assert_eq!(attempts.recv_timeout(SOON), Ok(attempt));
        setup.expect_pause(seconds, &format!("orders.retry.v1.{seconds}s"));
    }
    assert_eq!(attempts.recv_timeout(SOON), Ok(5));
    eventually("it is parked", || setup.ready("orders.failed") == 1);
    setup.clock.advance(Duration::from_secs(1_000_000));
    assert_eq!(setup.ready("orders.failed"), 1);
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.failed, report.retried, report.parked), (5, 4, 1));
    assert!(attempts.try_recv().is_err());
}

#[test]
fn ten_attempts_span_a_day_of_virtual_time() {
    let setup = setup();
    let retry = Retry::exponential(Duration::from_secs(256), Duration::from_secs(65_536))
        .attempts(10)
        .without_jitter();
    let (workers, attempts) = setup.failing(setup.connection.consumer("orders").retry(retry));
    setup.connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    for attempt in 1..=9_u32 {
        assert_eq!(attempts.recv_timeout(SOON), Ok(attempt));
        let seconds = 256_u64 << (attempt - 1);
        setup.expect_pause(seconds, &format!("orders.retry.v1.{seconds}s"));
    }
    assert!(setup.clock.elapsed() > Duration::from_secs(86_400));
    assert_eq!(attempts.recv_timeout(SOON), Ok(10));
    eventually("it is parked", || setup.ready("orders.failed") == 1);
    assert_eq!(workers.stop(SOON).unwrap().parked, 1);
}

#[test]
fn waiting_queues_have_fixed_arguments_and_never_expire() {
    let setup = setup();
    let (workers, attempts) = setup
        .failing(setup.connection.consumer("orders").retry(Retry::fixed(Duration::from_secs(3))));
    setup.connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    attempts.recv_timeout(SOON).unwrap();
    eventually("a copy waits", || setup.ready("orders.retry.v1.4s") == 1);
    let declared = setup.broker.queue("orders.retry.v1.4s").unwrap().definition;
    let expected = Queue::new("orders.retry.v1.4s")
        .quorum()
        .message_ttl(Duration::from_secs(4))
        .dead_letter_exchange("")
        .dead_letter_routing_key("orders")
        .argument("x-dead-letter-strategy", "at-least-once")
        .argument("x-overflow", "reject-publish");
    assert_eq!(declared, expected);
    assert_eq!(
        setup.broker.queue("orders.failed").unwrap().definition,
        Queue::new("orders.failed").quorum().without_delivery_limit()
    );
    drop(workers);
}

#[test]
fn pause_in_process_follows_manual_clock() {
    let setup = setup();
    let queue = Queue::new("orders").single_active_consumer();
    let (workers, attempts) = setup.failing(
        setup.connection.consumer(queue).retry(Retry::fixed(Duration::from_secs(600)).attempts(3)),
    );
    setup.connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    for attempt in 1..=3 {
        assert_eq!(attempts.recv_timeout(SOON), Ok(attempt));
        if attempt < 3 {
            // The worker may begin its pause after an advance of the clock. The next advance ends
            // it.
            eventually("the pause is over", || {
                setup.clock.advance(Duration::from_secs(600));
                workers.report().retried >= u64::from(attempt)
            });
        }
    }
    eventually("it is parked", || setup.ready("orders.failed") == 1);
    assert_eq!(workers.stop(SOON).unwrap().parked, 1);
}

#[test]
fn chosen_pause_is_rounded_up_to_power_of_two() {
    let setup = setup();
    let (sender, attempts) = mpsc::channel();
    let workers = setup.connection.consumer("orders").build().unwrap().workers(1).spawn(
        move |_: String, message: &Message| {
            sender.send(message.attempt()).unwrap();
            match message.attempt() {
                1 => Settlement::RetryAfter(Duration::ZERO),
                2 => Settlement::RetryAfter(Duration::from_secs(100)),
                3 => Settlement::RetryAfter(Duration::MAX),
                _ => Settlement::Ack,
            }
        },
    );
    let workers = workers.unwrap();
    setup.connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    for seconds in [1, 128, 131_072] {
        attempts.recv_timeout(SOON).unwrap();
        setup.expect_pause(seconds, &format!("orders.retry.v1.{seconds}s"));
    }
    setup.broker.queue("orders").unwrap();
    assert_eq!(attempts.recv_timeout(SOON), Ok(4));
    assert_eq!(workers.stop(SOON).unwrap().acknowledged, 1);
}

#[test]
fn consumer_pauses_after_failures_in_a_row_and_continues() {
    let setup = setup();
    let (sender, handled) = mpsc::channel();
    let consumer = setup
        .connection
        .consumer("orders")
        .prefetch(1)
        .retry(Retry::fixed(Duration::from_secs(1)))
        .pause_after_failures(3)
        .build()
        .unwrap();
    let workers = consumer.workers(1).spawn(move |number: u32, _message: &Message| {
        sender.send(number).unwrap();
        if number < 4 { Err("the database is away") } else { Ok(()) }
    });
    let workers = workers.unwrap();
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
    // During the pause no message is handled, although messages are ready.
    assert!(handled.recv_timeout(Duration::from_millis(50)).is_err());
    // After the pause, one failure is enough for the next pause.
    eventually("the pause is over", || {
        setup.clock.advance(Duration::from_millis(100));
        workers.report().failed == 4
    });
    assert_eq!(handled.recv_timeout(SOON), Ok(3));
    assert!(handled.recv_timeout(Duration::from_millis(50)).is_err());
    workers.stop(SOON).unwrap();
}

#[test]
fn prefetched_message_keeps_all_attempts_across_deployment() {
    let setup = setup();
    let before = setup.connection.consumer("orders").build().unwrap();
    let (started_sender, started) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let workers = before.workers(1).spawn(move |_: u32, _message: &Message| {
        started_sender.send(()).unwrap();
        let _ = gate.lock().unwrap().recv();
    });
    let workers = workers.unwrap();
    setup
        .connection
        .publisher()
        .routing_key("orders")
        .build()
        .unwrap()
        .send_all(0..11_u32)
        .unwrap();
    started.recv_timeout(SOON).unwrap();
    let stop = workers.stop_handle();
    let stopping = std::thread::spawn(move || workers.stop(SOON).unwrap());
    eventually("the old release stops", || stop.is_stopped());
    drop(go);
    let report = stopping.join().unwrap();
    assert_eq!((report.acknowledged, report.failed, report.requeued_unhandled), (1, 0, 10));

    // The new release fails four times at each of the ten, and has all five attempts.
    let attempts = Arc::new(Mutex::new(BTreeMap::<u32, Vec<u32>>::new()));
    let seen = Arc::clone(&attempts);
    let after = setup.connection.consumer("orders").build().unwrap();
    let workers = after.workers(2).spawn(move |number: u32, message: &Message| {
        seen.lock().unwrap().entry(number).or_default().push(message.attempt());
        if message.attempt() < 5 { Err("not yet") } else { Ok(()) }
    });
    let workers = workers.unwrap();
    eventually("all are handled", || {
        setup.clock.advance(Duration::from_secs(1));
        workers.report().acknowledged == 10
    });
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.failed, report.retried, report.parked), (40, 40, 0));
    let attempts = attempts.lock().unwrap();
    assert_eq!(attempts.len(), 10);
    assert!(attempts.values().all(|seen| *seen == [1, 2, 3, 4, 5]), "{attempts:?}");
    assert_eq!((setup.ready("orders"), setup.ready("orders.failed")), (0, 0));
}

#[test]
fn outage_of_a_second_loses_no_message() {
    const MESSAGES: u32 = 100;
    let setup = setup();
    let clock = setup.clock.clone();
    let handled = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&handled);
    let consumer = setup.connection.consumer("orders").build().unwrap();
    let workers = consumer.workers(4).spawn(move |number: u32, _message: &Message| {
        if clock.elapsed() < Duration::from_secs(1) {
            return Err("the database is away");
        }
        seen.lock().unwrap().insert(number);
        Ok(())
    });
    let workers = workers.unwrap();
    setup
        .connection
        .publisher()
        .routing_key("orders")
        .build()
        .unwrap()
        .send_all(0..MESSAGES)
        .unwrap();
    eventually("some have failed", || workers.report().failed > 0);
    eventually("all are handled", || {
        setup.clock.advance(Duration::from_millis(100));
        workers.report().acknowledged == u64::from(MESSAGES)
    });
    let report = workers.stop(SOON).unwrap();
    assert_eq!(
        (report.failed, report.parked, report.lost, report.discarded),
        (report.retried, 0, 0, 0),
        "{report:?}"
    );
    assert_eq!(handled.lock().unwrap().len(), MESSAGES as usize);
    assert_eq!((setup.ready("orders"), setup.ready("orders.failed")), (0, 0));
}
