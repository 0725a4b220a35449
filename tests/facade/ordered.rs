//! Workers that handle the messages of one key in order.

mod failures;
mod losses;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use carrot::consume::{Report, Retry};
use carrot::{Connection, Message, Queue};

use crate::support::{SOON, eventually, queue, ready};

/// The handled messages of each key, and the keys that are handled now.
#[derive(Default)]
pub(super) struct Observed {
    handled: Mutex<BTreeMap<u32, Vec<u32>>>,
    running: Mutex<BTreeSet<u32>>,
}

impl Observed {
    /// Handles a message of a key by `handle`, and fails if another of the key is handled now.
    pub(super) fn handle<T>(&self, key: u32, handle: impl FnOnce() -> T) -> T {
        assert!(self.running.lock().unwrap().insert(key), "key {key} is handled twice at once");
        let result = handle();
        self.running.lock().unwrap().remove(&key);
        result
    }

    pub(super) fn note(&self, key: u32, number: u32) {
        self.handled.lock().unwrap().entry(key).or_default().push(number);
    }

    pub(super) fn of(&self, key: u32) -> Vec<u32> {
        self.handled.lock().unwrap().get(&key).cloned().unwrap_or_default()
    }

    pub(super) fn count(&self) -> usize {
        self.handled.lock().unwrap().values().map(Vec::len).sum()
    }

    /// Returns the handled messages of all keys.
    pub(super) fn all(&self) -> BTreeMap<u32, Vec<u32>> {
        self.handled.lock().unwrap().clone()
    }
}

pub(super) fn key_of(message: &Message) -> Option<u32> {
    message.text().and_then(|text| text.strip_prefix('[')?.split(',').next()?.parse().ok())
}

/// Sends messages `(key, number)`, the first of all keys before the second of any.
pub(super) fn send(connection: &Connection, queue: impl Into<Queue>, keys: u32, of_each: u32) {
    let publisher = connection.publisher().queue(queue).build().unwrap();
    let messages = (0..of_each).flat_map(|number| (0..keys).map(move |key| (key, number)));
    publisher.send_all(messages).unwrap();
}

/// 1,000 keys with 5 messages each; of every 50th key, two messages fail once or twice.
fn handle_1000_keys(connection: &Connection, of_each: u32, between: &mut dyn FnMut()) -> Report {
    let queue = queue();
    send(connection, &queue, 1000, of_each);
    let retry = Retry::fixed(Duration::from_millis(100)).attempts(3);
    let consumer = connection.consumer(queue.clone()).prefetch(700).retry(retry).build().unwrap();
    let observed = Arc::new(Observed::default());
    let seen = Arc::clone(&observed);
    let workers = consumer
        .workers(8)
        .ordered_by(key_of)
        .spawn(move |(key, number): (u32, u32), message: &Message| {
            seen.handle(key, || {
                if key % 50 == 0 && (1..=2).contains(&number) && message.attempt() <= number {
                    return Err("not yet");
                }
                seen.note(key, number);
                Ok(())
            })
        })
        .unwrap();
    let all = 1000 * of_each as usize;
    eventually("all are handled", || {
        between();
        observed.count() == all
    });
    eventually("all are settled", || workers.report().acknowledged == all as u64);
    let report = workers.stop(SOON).unwrap();
    let expected: Vec<_> = (0..of_each).collect();
    observed.all().iter().for_each(|(key, handled)| assert_eq!(*handled, expected, "key {key}"));
    assert_eq!(ready(connection, &queue.name), 0);
    let _ = connection.delete_queue(&queue.name, carrot::topology::DeleteIf::ALWAYS);
    report
}

on_both_backends! {
    fn thousand_keys_with_failures_keep_order_of_each_key(connection: &Connection) {
        let report = handle_1000_keys(connection, 5, &mut || {});
        assert_eq!((report.failed, report.retried, report.parked), (60, 60, 0));
    }

    fn key_that_pauses_does_not_delay_other_keys(connection: &Connection) {
        let queue = queue();
        send(connection, &queue, 2, 3);
        let retry = Retry::fixed(Duration::from_secs(60)).attempts(2);
        let consumer = connection.consumer(queue.clone()).retry(retry).build().unwrap();
        let (sender, handled) = mpsc::channel();
        let workers = consumer
            .workers(1)
            .ordered_by(key_of)
            .spawn(move |(key, number): (u32, u32), _: &Message| {
                sender.send((key, number)).unwrap();
                if key == 0 { Err("key 0 stands still") } else { Ok(()) }
            })
            .unwrap();
        for expected in [(0, 0), (1, 0), (1, 1), (1, 2)] {
            assert_eq!(handled.recv_timeout(SOON), Ok(expected));
        }
        eventually("key 1 is settled", || workers.report().acknowledged == 3);
        assert_eq!(connection.statistics().consuming.paused_messages, 1);
        let report = workers.stop(SOON).unwrap();
        assert!(handled.try_recv().is_err());
        assert_eq!((report.failed, report.retried, report.requeued_unhandled), (1, 0, 3));
        eventually("all of key 0 are back", || ready(connection, &queue.name) == 3);
        // In their order.
        let consumer = connection.consumer(queue.clone()).build().unwrap();
        for number in 0..3 {
            let message = consumer.fetch().unwrap().unwrap();
            assert_eq!(message.decode::<(u32, u32)>().unwrap(), (0, number));
            message.ack().unwrap();
        }
    }

    fn different_keys_are_handled_at_the_same_time(connection: &Connection) {
        let queue = queue();
        send(connection, &queue, 4, 1);
        let consumer = connection.consumer(queue.clone()).build().unwrap();
        let barrier = Arc::new(std::sync::Barrier::new(4));
        let workers = consumer
            .workers(4)
            .ordered_by(key_of)
            .spawn(move |_: (u32, u32), _: &Message| {
                barrier.wait();
            })
            .unwrap();
        eventually("all are handled", || workers.report().acknowledged == 4);
        workers.stop(SOON).unwrap();
    }

    fn messages_with_automatic_acknowledgement_keep_their_order(connection: &Connection) {
        let queue = queue();
        send(connection, &queue, 50, 20);
        let consumer = connection
            .consumer(queue.clone())
            .automatic_acknowledgement()
            .prefetch(10)
            .build()
            .unwrap();
        let observed = Arc::new(Observed::default());
        let seen = Arc::clone(&observed);
        let workers = consumer
            .workers(4)
            .ordered_by(key_of)
            .spawn(move |(key, number): (u32, u32), _: &Message| {
                seen.handle(key, || seen.note(key, number));
            })
            .unwrap();
        eventually("all are handled", || observed.count() == 1000);
        workers.stop(SOON).unwrap();
        let expected: Vec<_> = (0..20).collect();
        assert!(observed.all().values().all(|handled| *handled == expected));
    }

    fn bound_in_bytes_keeps_order_while_the_prefetch_changes(connection: &Connection) {
        let queue = queue();
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        let text = "x".repeat(2000);
        publisher.send_all((0..600_u32).map(|number| (number % 10, number / 10, &text))).unwrap();
        let consumer = connection
            .consumer(queue.clone())
            .prefetch(100)
            .max_held_bytes(20_000)
            .build()
            .unwrap();
        let observed = Arc::new(Observed::default());
        let seen = Arc::clone(&observed);
        let workers = consumer
            .workers(4)
            .ordered_by(key_of)
            .spawn(move |(key, number, _): (u32, u32, String), _: &Message| {
                seen.handle(key, || seen.note(key, number));
            })
            .unwrap();
        eventually("all are handled", || observed.count() == 600);
        eventually("all are settled", || workers.report().acknowledged == 600);
        assert!(connection.statistics().consuming.prefetch_changes > 0);
        workers.stop(SOON).unwrap();
        let expected: Vec<_> = (0..60).collect();
        assert!(observed.all().values().all(|handled| *handled == expected));
    }
}

#[test]
fn thousand_keys_with_failures_keep_order_on_manual_clock() {
    let setup = crate::failures::manual_clock::setup();
    let mut advance = || setup.clock.advance(Duration::from_millis(100));
    let report = handle_1000_keys(&setup.connection, 5, &mut advance);
    assert_eq!((report.failed, report.retried, report.parked), (60, 60, 0));
}
