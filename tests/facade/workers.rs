use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use carrot::{Error, ExchangeKind, Message, Queue, consume::Retry};

use crate::support::{SOON, eventually, exchange, next, queue, ready};

on_both_backends! {
    fn queue_with_nul_in_its_name_has_workers(connection: &Connection) {
        let queue = Queue::new(format!("{}\0end", crate::support::unique("nul")));
        let consumer = connection.consumer(&queue).build().unwrap();
        let workers = consumer.workers(1).spawn(|_: u32, _: &Message| {}).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send(&1).unwrap();
        eventually("one is handled", || workers.report().acknowledged == 1);
        workers.stop(SOON).unwrap();
        connection.delete_queue(&queue.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
    }

    fn workers_handle_every_message_once(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let (sender, handled) = mpsc::channel();
        let counts = Arc::clone(&seen);
        let workers = consumer.workers(4).spawn(move |number: u32, _message: &Message| {
            *counts.lock().unwrap().entry(number).or_insert(0) += 1;
            sender.send(())
        }).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..500).unwrap();
        for _ in 0..500 {
            handled.recv_timeout(SOON).unwrap();
        }
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.acknowledged, report.requeued_unhandled, report.unfinished), (500, 0, 0));
        assert_eq!(ready(connection, &queue.name), 0);
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 500);
        assert!(seen.values().all(|times| *times == 1));
    }

    fn worker_survives_failures_and_panics(connection: &Connection) {
        let dead = exchange(ExchangeKind::Fanout);
        let queue = queue().dead_letter_exchange(&*dead.name);
        let graveyard = connection.consumer(crate::support::queue()).exchange(&dead).build().unwrap();
        let consumer = connection.consumer(&queue).retry(Retry::never()).discard_failed().build().unwrap();
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(1).spawn(move |what: String, _message: &Message| match &*what {
            "panic" => panic!("a handler that panics"),
            "error" => Err("a handler that fails".to_string()),
            _ => sender.send(what).map_err(|error| error.to_string()),
        }).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(["panic", "error", "fine"]).unwrap();
        assert_eq!(handled.recv_timeout(SOON), Ok("fine".into()));
        for _ in 0..2 {
            let message = next(&graveyard);
            assert_ne!(message.decode::<String>().unwrap(), "fine");
            message.ack().unwrap();
        }
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.acknowledged, report.failed, report.discarded), (1, 2, 2));
    }

    fn graceful_stop_finishes_handlers_and_requeues_the_rest(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).prefetch(10).build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..20).unwrap();
        let (started_sender, started) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let workers = consumer.workers(2).spawn(move |_number: u32, _message: &Message| {
            started_sender.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        }).unwrap();
        started.recv_timeout(SOON).unwrap();
        started.recv_timeout(SOON).unwrap();
        let stop = workers.stop_handle();
        let stopping = thread::spawn(move || workers.stop(SOON).unwrap());
        eventually("the stop is known", || stop.is_stopped());
        drop(go);
        let report = stopping.join().unwrap();
        assert_eq!((report.acknowledged, report.unfinished), (2, 0));
        eventually("all others are returned", || ready(connection, &queue.name) == 18);
    }

    fn handler_outlasting_stop_is_reported_and_requeued(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        let release = Arc::new(AtomicBool::new(false));
        let released = Arc::clone(&release);
        let (started_sender, started) = mpsc::channel();
        let workers = consumer.workers(1).spawn(move |_: String, _message: &Message| {
            started_sender.send(()).unwrap();
            while !released.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(5));
            }
        }).unwrap();
        started.recv_timeout(SOON).unwrap();
        let before = Instant::now();
        let report = workers.stop(Duration::from_millis(200)).unwrap();
        assert!(before.elapsed() < Duration::from_secs(3));
        assert_eq!((report.acknowledged, report.unfinished), (0, 1));
        eventually("the message is returned", || ready(connection, &queue.name) == 1);
        release.store(true, Ordering::Relaxed);
    }

    fn handler_stops_its_own_consumer(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let stop = consumer.stop_handle();
        let workers = consumer.workers(3).spawn(move |_number: u32, _message: &Message| stop.stop()).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..10).unwrap();
        let report = workers.join().unwrap();
        assert!((1..=3).contains(&report.acknowledged), "{report:?}");
        assert_eq!(u64::from(ready(connection, &queue.name)), 10 - report.acknowledged);
    }

    fn raw_workers_settle_messages_themselves(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).prefetch(10).build().unwrap();
        let (sender, batch) = mpsc::channel();
        let workers = consumer.workers(2).spawn_raw(move |message| sender.send(message).unwrap()).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..10).unwrap();
        let messages: Vec<Message> = (0..10).map(|_| batch.recv_timeout(SOON).unwrap()).collect();
        for message in messages {
            message.ack().unwrap();
        }
        workers.stop(SOON).unwrap();
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn workers_dropped_stop(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        drop(consumer.workers(2).spawn(|_: u32, _message: &Message| ()).unwrap());
        eventually("the consumer is gone", || {
            connection.declare_queue(Queue::existing(&*queue.name)).unwrap().consumer_count == 0
        });
        connection.publisher().routing_key(&*queue.name).build().unwrap().send(&1).unwrap();
        assert_eq!(ready(connection, &queue.name), 1);
    }

    fn queue_deleted_ends_workers_with_error(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let workers = consumer.workers(2).spawn(|_: u32, _message: &Message| ()).unwrap();
        connection.delete_queue(&queue.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
        eventually("the workers end", || workers.is_finished());
        let error = workers.join().unwrap_err();
        assert!(matches!(error, Error::Cancelled { .. }), "{error}");
    }

    fn zero_workers_are_refused(connection: &Connection) {
        let consumer = connection.consumer(Queue::server_named()).build().unwrap();
        assert!(matches!(consumer.workers(0).spawn(|_: u32, _message: &Message| ()), Err(Error::Invalid { .. })));
    }

    fn publish_and_settle_from_handlers_do_not_block_each_other(connection: &Connection) {
        let (from, to) = (queue(), queue());
        let consumer = connection.consumer(&from).prefetch(4).build().unwrap();
        let results = connection.consumer(&to).prefetch(100).build().unwrap();
        let publisher = connection.publisher().routing_key(&*to.name).max_in_flight(1).build().unwrap();
        let workers = consumer.workers(4).spawn(move |number: u32, _message: &Message| publisher.send(&(number * 2))).unwrap();
        connection.publisher().routing_key(&*from.name).build().unwrap().send_all(0..200).unwrap();
        let sum: u32 = results.messages().unwrap().timeout(SOON).take(200).map(|message| {
            let message = message.unwrap();
            let number = message.decode::<u32>().unwrap();
            message.ack().unwrap();
            number
        }).sum();
        assert_eq!(sum, 199 * 200);
        assert_eq!(workers.stop(SOON).unwrap().acknowledged, 200);
    }
}

#[test]
fn first_failure_of_handler_is_reported() {
    let broker = carrot::memory::Broker::new();
    let connection = carrot::Connection::new(broker.connector());
    let consumer = connection.consumer("queue").build().unwrap();
    let workers = consumer
        .workers(2)
        .spawn(
            |number: u32, _message: &Message| {
                if number == 2 { Err(format!("{number} is not liked")) } else { Ok(()) }
            },
        )
        .unwrap();
    let publisher = connection.publisher().routing_key("queue").build().unwrap();
    publisher.send(&1).unwrap();
    broker.wait_until_handled(&workers, SOON).unwrap();
    publisher.send_all([2, 3]).unwrap();
    let error = broker.wait_until_handled(&workers, SOON).unwrap_err();
    assert!(error.to_string().contains("2 is not liked"), "{error}");
    eventually("the others are handled", || workers.report().acknowledged == 2);
    assert_eq!(workers.stop(SOON).unwrap().failed, 1);
}
