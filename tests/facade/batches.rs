//! Messages in batches.

mod losses;
mod workers;

use std::time::{Duration, Instant};

use carrot::consume::Retry;
use carrot::{Connection, Error, Queue};

use crate::failures::manual_clock::setup;
use crate::support::{SOON, eventually, queue, ready};

/// Long enough to show that a batch did not wait for it.
const LONG: Duration = Duration::from_secs(3600);
/// Long enough for the messages of a test to arrive.
const SHORT: Duration = Duration::from_millis(300);

fn send(connection: &Connection, queue: impl Into<Queue>, messages: u32) {
    connection.publisher().queue(queue).build().unwrap().send_all(0..messages).unwrap();
}

on_both_backends! {
    fn batch_is_complete_with_its_size_or_after_its_time(connection: &Connection) {
        let queue = queue();
        send(connection, &queue, 250);
        let consumer = connection.consumer(&queue).build().unwrap();
        let mut received = Vec::new();
        let mut sizes = Vec::new();
        let started = Instant::now();
        for batch in consumer.batches(100, SHORT).unwrap().timeout(SHORT) {
            let batch = batch.unwrap();
            sizes.push(batch.len());
            received.extend(batch.decode::<u32>().map(Result::unwrap));
            batch.ack().unwrap();
        }
        assert!(started.elapsed() < SOON);
        assert_eq!(sizes, [100, 100, 50]);
        assert_eq!(received, (0..250).collect::<Vec<_>>());
        consumer.close().unwrap();
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn ack_of_a_batch_settles_no_message_in_other_hands(connection: &Connection) {
        let queue = queue();
        send(connection, &queue, 10);
        let consumer = connection.consumer(&queue).prefetch(4).build().unwrap();
        let fetched = consumer.fetch().unwrap().unwrap();
        let mut first = consumer.batches(3, LONG).unwrap();
        let mut second = consumer.batches(3, LONG).unwrap();
        let held = first.next().unwrap().unwrap();
        let batch = second.next().unwrap().unwrap();
        assert_eq!((held.len(), batch.len()), (3, 3));
        let acknowledged: Vec<u32> = batch.decode().map(Result::unwrap).collect();
        batch.ack().unwrap();
        drop((first, second));
        consumer.close().unwrap();
        assert!(held.ack().is_err() && fetched.ack().is_err());
        eventually("all others are back", || ready(connection, &queue.name) == 7);
        let consumer = connection.consumer(&queue).build().unwrap();
        let left: Vec<u32> = consumer.fetch_all().map(|message| {
            let message = message.unwrap();
            let number = message.decode().unwrap();
            message.ack().unwrap();
            number
        }).collect();
        assert_eq!(left.len(), 7);
        assert!(acknowledged.iter().all(|number| !left.contains(number)), "{acknowledged:?} {left:?}");
    }

    fn failed_message_of_a_batch_is_parked_alone(connection: &Connection) {
        let queue = queue();
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        publisher.send_all([1, 2, 3]).unwrap();
        publisher.send("four").unwrap();
        let parking = format!("{}.failed", queue.name);
        let consumer = connection.consumer(&queue).retry(Retry::never()).build().unwrap();
        let mut batch = consumer.batches(4, LONG).unwrap().next().unwrap().unwrap();
        assert_eq!(batch.decode_or_fail::<u32>(), [(0, 1), (1, 2), (2, 3)]);
        batch.fail(1, "no luck").unwrap();
        let refused = batch.fail(4, "no such message");
        assert!(matches!(&refused, Err(Error::Invalid { value, limit, .. }) if value == "4" && limit == "at most 3"), "{refused:?}");
        batch.ack().unwrap();
        eventually("two are parked", || ready(connection, &parking) == 2);
        consumer.close().unwrap();
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn dropped_and_requeued_batches_return_in_order(connection: &Connection) {
        let queue = queue();
        send(connection, &queue, 5);
        let consumer = connection.consumer(&queue).build().unwrap();
        for attempt in 0..3 {
            let mut batches = consumer.batches(5, LONG).unwrap();
            let mut batch = batches.next().unwrap().unwrap();
            drop(batches);
            assert_eq!(batch.decode().map(Result::unwrap).collect::<Vec<u32>>(), [0, 1, 2, 3, 4]);
            match attempt {
                0 => drop(batch),
                1 => {
                    batch.fail(0, "not applied").unwrap();
                    batch.requeue().unwrap();
                }
                _ => batch.reject().unwrap(),
            }
        }
        consumer.close().unwrap();
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn bound_in_bytes_completes_batches_before_their_time(connection: &Connection) {
        let queue = queue();
        let text = "x".repeat(2000);
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        publisher.send_all((0..300_u32).map(|number| (number, &text))).unwrap();
        let consumer = connection.consumer(&queue).max_held_bytes(20_000).build().unwrap();
        let mut numbers = Vec::new();
        let mut batches = consumer.batches(100, Duration::from_secs(2)).unwrap();
        let started = Instant::now();
        while numbers.len() < 300 {
            let batch = batches.next().unwrap().unwrap();
            assert!(batch.len() <= 10, "{}", batch.len());
            numbers.extend(batch.decode::<(u32, String)>().map(|message| message.unwrap().0));
            batch.ack().unwrap();
        }
        // 30 batches. One that waits for its time would not matter.
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
        assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    }
}

#[test]
fn time_of_a_batch_follows_manual_clock() {
    let setup = setup();
    send(&setup.connection, "orders", 2);
    let consumer = setup.connection.consumer("orders").build().unwrap();
    let mut batches = consumer.batches(3, LONG).unwrap();
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| batches.next().unwrap().unwrap());
        std::thread::sleep(Duration::from_millis(50));
        setup.clock.advance(LONG - Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!collecting.is_finished());
        eventually("the batch is complete", || {
            setup.clock.advance(Duration::from_secs(1));
            collecting.is_finished()
        });
        let batch = collecting.join().unwrap();
        assert_eq!(batch.len(), 2);
        batch.ack().unwrap();
    });
}

#[test]
fn stop_completes_batch_with_its_messages_and_ends_iterator() {
    let setup = setup();
    send(&setup.connection, "orders", 2);
    let consumer = setup.connection.consumer("orders").build().unwrap();
    let mut batches = consumer.batches(3, LONG).unwrap();
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| batches.next().unwrap().unwrap());
        eventually("both are taken", || setup.connection.statistics().consuming.delivered == 2);
        consumer.stop().unwrap();
        let batch = collecting.join().unwrap();
        assert_eq!(batch.len(), 2);
        batch.ack().unwrap();
    });
    assert!(batches.next().is_none() && batches.next().is_none());
    assert_eq!(setup.ready("orders"), 0);
}

#[test]
fn prefetch_is_raised_to_the_size_of_a_batch() {
    let setup = setup();
    send(&setup.connection, "orders", 50);
    let consumer = setup.connection.consumer("orders").prefetch(1).build().unwrap();
    let batch = consumer.batches(50, LONG).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.len(), 50);
    batch.ack().unwrap();
}

#[test]
fn empty_batches_are_refused() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    let refused = consumer.batches(0, LONG).map(drop);
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    let handler = |_: Vec<u32>, _: &[carrot::Message]| ();
    let refused = consumer.workers(1).batches(0, LONG).spawn(handler).map(drop);
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
}

#[test]
fn deleted_queue_ends_batches_after_the_collected_messages() {
    let setup = setup();
    send(&setup.connection, "orders", 2);
    let consumer = setup.connection.consumer("orders").build().unwrap();
    let mut batches = consumer.batches(3, LONG).unwrap();
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| batches.next().unwrap().unwrap().len());
        eventually("both are taken", || setup.connection.statistics().consuming.delivered == 2);
        setup.connection.delete_queue("orders", carrot::topology::DeleteIf::ALWAYS).unwrap();
        assert_eq!(collecting.join().unwrap(), 2);
    });
    assert!(batches.next().unwrap().is_err());
    assert!(batches.next().is_none());
}
