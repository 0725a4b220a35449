//! The bound of the bytes that a consumer holds.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carrot::consume::ConsumerDefinition;
use carrot::{Connection, Error, Message, Queue};

use crate::support::{SOON, eventually, queue, ready};

const LARGE: usize = 1024;
/// Eight large messages.
const BOUND: u64 = 8 * LARGE as u64;
const PREFETCH: u16 = 32;

/// Publishes numbered messages of one size, with the quotes of JSON.
fn publish(connection: &Connection, queue: &Queue, numbers: std::ops::Range<u32>, size: usize) {
    let size = size - 2;
    let publisher = connection.publisher().queue(queue).build().unwrap();
    publisher.send_all(numbers.map(|number| format!("{number:0size$}"))).unwrap();
}

fn definition(queue: &Queue) -> ConsumerDefinition {
    ConsumerDefinition::new(queue).prefetch(PREFETCH).max_held_bytes(BOUND)
}

fn number(message: &Message) -> u32 {
    let text: String = message.decode().unwrap();
    text.parse().unwrap()
}

on_both_backends! {
    fn prefetch_shrinks_to_what_the_bound_allows_and_grows_back(connection: &Connection) {
        let queue = queue();
        publish(connection, &queue, 0..100, LARGE);
        publish(connection, &queue, 100..1_000, 10);
        let consumer = definition(&queue).open(connection).unwrap();
        let mut messages = consumer.messages().unwrap().timeout(SOON);
        for expected in 0..1_000 {
            let message = messages.next().unwrap().unwrap();
            assert_eq!(number(&message), expected);
            assert!(!message.is_redelivered(), "{expected}");
            // Of the messages that are not ready, those before this one are settled.
            let held = || 1_000 - ready(connection, &queue.name) - expected;
            match expected {
                0..60 => assert!(held() <= PREFETCH.into(), "{expected}: {}", held()),
                60..92 if expected % 8 == 0 => {
                    eventually("eight messages are held", || held() == 8);
                }
                60..92 => assert!(held() <= 8, "{expected}: {}", held()),
                900 => eventually("the prefetch has grown", || held() == u32::from(PREFETCH)),
                _ => {}
            }
            message.ack().unwrap();
        }
    }

    #[without_activemq("x-queue-type")]
    fn prefetch_of_a_quorum_queue_shrinks_without_redelivery(connection: &Connection) {
        let queue = queue().quorum();
        publish(connection, &queue, 0..200, LARGE);
        let consumer = definition(&queue).open(connection).unwrap();
        let mut messages = consumer.messages().unwrap().timeout(SOON);
        for expected in 0..200 {
            let message = messages.next().unwrap().unwrap();
            assert_eq!(number(&message), expected);
            assert!(!message.is_redelivered(), "{expected}");
            if expected == 150 {
                let held = || 200 - ready(connection, &queue.name) - expected;
                eventually("eight messages are held", || held() == 8);
            }
            // As a handler that takes longer than a round trip to the broker.
            std::thread::sleep(Duration::from_millis(2));
            message.ack().unwrap();
        }
    }

    fn workers_share_the_bound_and_handle_each_message_once(connection: &Connection) {
        let queue = queue();
        publish(connection, &queue, 0..300, LARGE);
        let handled = Arc::new(Mutex::new(Vec::new()));
        let redelivered = Arc::new(AtomicU32::new(0));
        let consumer = definition(&queue).open(connection).unwrap();
        let seen = (Arc::clone(&handled), Arc::clone(&redelivered));
        let workers = consumer
            .workers(4)
            .spawn(move |_: String, message: &Message| {
                seen.1.fetch_add(message.is_redelivered().into(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
                seen.0.lock().unwrap().push(number(message));
            })
            .unwrap();
        eventually("all are handled", || handled.lock().unwrap().len() >= 300);
        let report = workers.stop(SOON).unwrap();
        let mut handled = std::mem::take(&mut *handled.lock().unwrap());
        handled.sort_unstable();
        assert!(handled.into_iter().eq(0..300));
        assert_eq!((report.acknowledged, report.requeued_unhandled), (300, 0));
        assert_eq!(redelivered.load(Ordering::Relaxed), 0);
    }

    fn message_larger_than_the_bound_is_held_alone(connection: &Connection) {
        let queue = queue();
        publish(connection, &queue, 0..20, LARGE);
        let consumer = definition(&queue).max_held_bytes(1).open(connection).unwrap();
        let mut messages = consumer.messages().unwrap().timeout(SOON);
        for expected in 0..20 {
            let message = messages.next().unwrap().unwrap();
            assert_eq!(number(&message), expected);
            message.ack().unwrap();
        }
    }

    fn stop_after_a_change_requeues_what_is_not_handled(connection: &Connection) {
        for handled_before in [0, 1, 20, 40] {
            let queue = queue();
            publish(connection, &queue, 0..100, LARGE);
            let consumer = definition(&queue).open(connection).unwrap();
            let handled = Arc::new(AtomicU32::new(0));
            let counted = Arc::clone(&handled);
            let workers = consumer
                .workers(2)
                .spawn(move |_: String, _: &Message| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                })
                .unwrap();
            eventually("some are handled", || handled.load(Ordering::Relaxed) >= handled_before);
            let report = workers.stop(SOON).unwrap();
            assert_eq!(report.acknowledged, u64::from(handled.load(Ordering::Relaxed)));
            let left = 100 - handled.load(Ordering::Relaxed);
            eventually("the others are ready", || ready(connection, &queue.name) == left);
        }
    }

    fn deleted_queue_ends_the_run(connection: &Connection) {
        let queue = queue();
        publish(connection, &queue, 0..100, LARGE);
        let consumer = definition(&queue).open(connection).unwrap();
        let mut messages = consumer.messages().unwrap().timeout(SOON);
        messages.next().unwrap().unwrap().ack().unwrap();
        connection.delete_queue(&queue.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
        let error = messages.find_map(|message| match message {
            Ok(message) => message.ack().err(),
            Err(error) => Some(error),
        });
        assert!(matches!(error, Some(Error::Cancelled { .. })), "{error:?}");
    }

    fn queues_that_cannot_be_subscribed_again_are_refused(connection: &Connection) {
        let refused = |definition: ConsumerDefinition, limit: &str| {
            match definition.open(connection).unwrap_err() {
                Error::Invalid { field, limit: told, .. } => {
                    assert_eq!(field, "max_held_bytes");
                    assert!(told.contains(limit), "{told}");
                }
                other => panic!("{other:?}"),
            }
        };
        refused(definition(&queue()).max_held_bytes(0), "at least 1");
        refused(definition(&queue().auto_delete()), "last consumer");
        refused(definition(&queue().argument("x-queue-type", "stream")), "stream");
        refused(definition(&queue()).argument("x-stream-offset", "first"), "stream");
    }
}

mod losses {
    use super::*;

    on_both_breakable! {
    fn lost_connections_lose_no_message_while_the_prefetch_changes(broker: Breakable) {
        let queue = queue();
        publish(&broker.onlooker, &queue, 0..200, LARGE);
        let handled = Arc::new(Mutex::new(Vec::new()));
        let counted = Arc::clone(&handled);
        let consumer = definition(&queue).open(&broker.connection).unwrap();
        let workers = consumer
            .workers(2)
            .spawn(move |_: String, message: &Message| {
                std::thread::sleep(Duration::from_millis(1));
                counted.lock().unwrap().push(number(message));
            })
            .unwrap();
        for at in [1, 5, 30, 60, 100, 150] {
            eventually("some are handled", || handled.lock().unwrap().len() >= at);
            broker.cut();
        }
        eventually("all are handled", || {
            let mut numbers = handled.lock().unwrap().clone();
            numbers.sort_unstable();
            numbers.dedup();
            numbers.len() == 200
        });
        workers.stop(SOON).unwrap();
        assert_eq!(ready(&broker.onlooker, &queue.name), 0);
    }
    }
}

#[test]
fn bound_is_serialized() {
    let written = serde_json::to_string(&definition(&queue())).unwrap();
    assert!(written.contains(r#""max_held_bytes":8192"#), "{written}");
    let read: ConsumerDefinition = serde_json::from_str(&written).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), written);
}
