//! Failures of messages that have a key.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use carrot::consume::{HandlerError, Retry, Router};
use carrot::{Error, Handler, Message, Queue, Settlement};

use super::{Observed, key_of, send};
use crate::failures::manual_clock::{refuse_declarations, setup};
use crate::support::{SOON, eventually};

#[test]
fn failed_message_is_parked_after_last_attempt_and_key_goes_on() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    send(&setup.connection, "orders", 2, 2);
    let (sender, handled) = mpsc::channel();
    let workers = consumer
        .workers(1)
        .ordered_by(key_of)
        .spawn(move |(key, number): (u32, u32), message: &Message| {
            sender.send((key, number, message.attempt())).unwrap();
            if (key, number) == (0, 0) { Err("never") } else { Ok(()) }
        })
        .unwrap();
    for expected in [(0, 0, 1), (1, 0, 1), (1, 1, 1)] {
        assert_eq!(handled.recv_timeout(SOON), Ok(expected));
    }
    for (attempt, seconds) in [(2, 1), (3, 2), (4, 4), (5, 8)] {
        eventually("it pauses", || setup.connection.statistics().consuming.paused_messages == 1);
        setup.clock.advance(Duration::from_secs(seconds) / 2);
        assert!(handled.recv_timeout(Duration::from_millis(20)).is_err());
        eventually("the pause is over", || {
            setup.clock.advance(Duration::from_millis(10));
            workers.report().retried == u64::from(attempt) - 1
        });
        assert_eq!(handled.recv_timeout(SOON), Ok((0, 0, attempt)));
    }
    assert_eq!(handled.recv_timeout(SOON), Ok((0, 1, 1)));
    eventually("it is parked", || setup.ready("orders.failed") == 1);
    assert!(setup.broker.queue("orders.retry.v1.1s").is_none());
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.failed, report.retried, report.parked, report.acknowledged), (5, 4, 1, 3));
}

#[test]
fn every_settlement_keeps_order_of_its_key() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    let publisher = setup.connection.publisher().routing_key("orders").build().unwrap();
    publisher.send_all(["requeue", "later", "park", "permanent", "reject", "panic"]).unwrap();
    publisher.send(&7).unwrap();
    publisher.send(&"last").unwrap();
    let (sender, handled) = mpsc::channel();
    let requeued = std::sync::atomic::AtomicBool::new(false);
    let workers = consumer
        .workers(4)
        .ordered_by(|_| "one key")
        .spawn(move |kind: String, message: &Message| {
            sender.send(format!("{kind} {}", message.attempt())).unwrap();
            let again = message.attempt() > 1;
            match &*kind {
                "requeue" if !requeued.swap(true, std::sync::atomic::Ordering::SeqCst) => {
                    Ok(Settlement::Requeue)
                }
                "later" if !again => Ok(Settlement::RetryAfter(Duration::from_secs(3))),
                "park" => Ok(Settlement::Park("as chosen".into())),
                "permanent" => Err(HandlerError::permanent("hopeless")),
                "reject" => Ok(Settlement::Reject),
                "panic" if !again => panic!("once"),
                _ => Ok(Settlement::Ack),
            }
        })
        .unwrap();
    let mut seen = Vec::new();
    eventually("all are handled", || {
        setup.clock.advance(Duration::from_millis(500));
        seen.extend(handled.try_iter());
        seen.last().is_some_and(|last| last == "last 1")
    });
    let expected = [
        "requeue 1",
        "requeue 1",
        "later 1",
        "later 2",
        "park 1",
        "permanent 1",
        "reject 1",
        "panic 1",
        "panic 2",
        "last 1",
    ];
    assert_eq!(seen, expected);
    eventually("all are settled", || workers.report().acknowledged == 4);
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.requeued, report.rejected, report.parked), (1, 1, 3), "{report:?}");
    assert_eq!((report.failed, report.undecodable, report.retried), (2, 5, 6), "{report:?}");
    assert_eq!((setup.ready("orders"), setup.ready("orders.failed")), (0, 3));
}

#[test]
fn panicking_key_function_parks_only_its_message() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    send(&setup.connection, "orders", 3, 2);
    let observed = Arc::new(Observed::default());
    let seen = Arc::clone(&observed);
    let workers = consumer
        .workers(2)
        .ordered_by(|message| {
            assert_ne!(message.body(), b"[1,0]", "no key");
            key_of(message)
        })
        .spawn(move |(key, number): (u32, u32), _: &Message| seen.note(key, number))
        .unwrap();
    eventually("all are handled", || observed.count() == 5 && setup.ready("orders.failed") == 1);
    assert!(workers.first_failure().unwrap().contains("no key"));
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.failed, report.parked, report.acknowledged), (1, 1, 5), "{report:?}");
    assert_eq!(observed.of(1), [1]);
}

#[test]
fn message_that_cannot_be_parked_keeps_its_key_standing() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").retry(Retry::never()).build().unwrap();
    send(&setup.connection, "orders", 1, 2);
    refuse_declarations(&setup.broker, 40);
    let (sender, handled) = mpsc::channel();
    let workers = consumer
        .workers(2)
        .ordered_by(key_of)
        .spawn(move |(_, number): (u32, u32), _: &Message| {
            sender.send(number).unwrap();
            if number == 0 { Err("never") } else { Ok(()) }
        })
        .unwrap();
    assert_eq!(handled.recv_timeout(SOON), Ok(0));
    eventually("it pauses", || setup.connection.statistics().consuming.paused_messages == 1);
    assert!(handled.try_recv().is_err());
    setup.broker.faults().clear();
    eventually("it is parked", || {
        setup.clock.advance(Duration::from_secs(1));
        setup.ready("orders.failed") == 1
    });
    assert_eq!(handled.recv_timeout(SOON), Ok(0));
    assert_eq!(handled.recv_timeout(SOON), Ok(1));
    workers.stop(SOON).unwrap();
}

#[test]
fn message_held_for_ten_minutes_is_parked_at_its_next_failure() {
    let setup = setup();
    let retry = Retry::fixed(Duration::from_secs(400)).attempts(1000);
    let consumer = setup.connection.consumer("orders").retry(retry).build().unwrap();
    send(&setup.connection, "orders", 1, 1);
    let workers = consumer
        .workers(1)
        .ordered_by(key_of)
        .spawn(|_: (u32, u32), _: &Message| Err::<(), _>("never"))
        .unwrap();
    eventually("it is parked", || {
        setup.clock.advance(Duration::from_secs(100));
        setup.ready("orders.failed") == 1
    });
    // Two pauses of 512 s.
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.failed, report.retried, report.parked), (3, 2, 1));
}

#[test]
fn consumer_that_pauses_after_failures_resumes_with_keys_in_order() {
    let setup = setup();
    let consumer = setup
        .connection
        .consumer(Queue::new("orders").single_active_consumer())
        .pause_after_failures(1)
        .build()
        .unwrap();
    send(&setup.connection, Queue::existing("orders"), 3, 3);
    let observed = Arc::new(Observed::default());
    let seen = Arc::clone(&observed);
    let workers = consumer
        .workers(2)
        .ordered_by(key_of)
        .spawn(move |(key, number): (u32, u32), message: &Message| {
            if key == 0 && message.attempt() == 1 {
                return Err("once");
            }
            seen.note(key, number);
            Ok(())
        })
        .unwrap();
    eventually("all are handled", || {
        setup.clock.advance(Duration::from_millis(100));
        observed.count() == 9
    });
    assert!(setup.connection.statistics().consuming.consumer_pauses > 0);
    workers.stop(SOON).unwrap();
    assert!(observed.all().values().all(|numbers| *numbers == [0, 1, 2]));
}

#[test]
fn stop_returns_waiting_and_paused_messages_in_order() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    send(&setup.connection, "orders", 3, 3);
    let workers = consumer
        .workers(1)
        .ordered_by(key_of)
        .spawn(|_: (u32, u32), _: &Message| Err::<(), _>("never"))
        .unwrap();
    eventually("all keys pause", || setup.connection.statistics().consuming.paused_messages == 3);
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.failed, report.requeued_unhandled, report.unfinished), (3, 9, 0));
    assert_eq!(setup.connection.statistics().consuming.paused_messages, 0);
    let consumer = setup.connection.consumer("orders").build().unwrap();
    let returned: Vec<(u32, u32)> = consumer
        .fetch_all()
        .map(|message| {
            let message = message.unwrap();
            let decoded = message.decode().unwrap();
            message.ack().unwrap();
            decoded
        })
        .collect();
    let sent: Vec<_> = (0..3).flat_map(|number| (0..3).map(move |key| (key, number))).collect();
    assert_eq!(returned, sent);
}

#[test]
fn deleted_queue_ends_ordered_workers_with_its_error() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    send(&setup.connection, "orders", 3, 3);
    let workers = consumer
        .workers(2)
        .ordered_by(key_of)
        .spawn(|_: (u32, u32), _: &Message| Err::<(), _>("never"))
        .unwrap();
    eventually("all keys pause", || setup.connection.statistics().consuming.paused_messages == 3);
    setup.connection.delete_queue("orders", carrot::topology::DeleteIf::ALWAYS).unwrap();
    eventually("the workers end", || workers.is_finished());
    let error = workers.join().unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. } | Error::NotFound { .. }), "{error}");
    assert_eq!(setup.connection.statistics().consuming.paused_messages, 0);
}

#[test]
fn messages_in_hand_are_lost_if_automatic_acknowledgement_ends_with_an_error() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").automatic_acknowledgement().build().unwrap();
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let workers = consumer
        .workers(1)
        .ordered_by(key_of)
        .spawn(move |_: (u32, u32), _: &Message| {
            let _ = gate.lock().unwrap().recv();
        })
        .unwrap();
    send(&setup.connection, Queue::existing("orders"), 1, 5);
    let delivered = || setup.connection.statistics().consuming.delivered;
    eventually("all are received", || delivered() == 5);
    setup.connection.delete_queue("orders", carrot::topology::DeleteIf::ALWAYS).unwrap();
    eventually("those that no worker has taken are lost", || workers.report().lost == 4);
    drop(go);
    eventually("the workers end", || workers.is_finished());
    assert_eq!(workers.report().acknowledged, 1);
    assert!(workers.join().is_err());
}

struct Count(Arc<Observed>);

impl Handler for Count {
    type Payload = (u32, u32);

    fn receive(&self, (key, number): (u32, u32), _: &Message) -> Result<Settlement, HandlerError> {
        self.0.handle(key, || self.0.note(key, number));
        Ok(Settlement::Ack)
    }
}

#[test]
fn handler_and_router_receive_messages_in_order() {
    let setup = setup();
    for queue in ["handled", "routed"] {
        let consumer = setup.connection.consumer(queue).build().unwrap();
        send(&setup.connection, queue, 2, 2);
        let observed = Arc::new(Observed::default());
        let seen = Arc::clone(&observed);
        let workers = consumer.workers(2).ordered_by(key_of);
        let workers = if queue == "handled" {
            workers.spawn_handler(Count(seen))
        } else {
            let note = move |(key, number): (u32, u32), _: &Message| seen.note(key, number);
            workers.spawn_router(Router::new().on("", note))
        };
        let workers = workers.unwrap();
        eventually("all are handled", || workers.report().acknowledged == 4);
        workers.stop(SOON).unwrap();
        assert_eq!((observed.of(0), observed.of(1)), (vec![0, 1], vec![0, 1]));
    }
}

#[test]
fn ordered_workers_refuse_requeue_failed_and_zero_threads() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").requeue_failed().build().unwrap();
    let refused = consumer.workers(2).ordered_by(key_of).spawn(|_: u32, _: &Message| ());
    assert!(matches!(refused, Err(Error::Config { .. })), "{refused:?}");
    let consumer = setup.connection.consumer("orders").build().unwrap();
    let refused = consumer.workers(0).ordered_by(key_of).spawn(|_: u32, _: &Message| ());
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
}
