use carrot::consume::HandlerError;
use carrot::memory::Broker;
use carrot::{Connection, Error, Message, Queue, Settlement};
use carrot_programs::chores;

use crate::support::{Queues, SOON, eventually, run, unique};

const PATH: &str = env!("CARGO_BIN_EXE_chores");

/// Sends numbers to a queue, whose handler fails permanently. They are then in the parking queue.
fn park(connection: &Connection, queue: &str, parking: &str, numbers: u32) {
    let consumer = connection.consumer(queue).park(parking).build().unwrap();
    let workers = consumer
        .workers(1)
        .spawn(|number: u32, _: &Message| {
            Err::<(), _>(HandlerError::permanent(format!("no {number}")))
        })
        .unwrap();
    connection.publisher().routing_key(queue).build().unwrap().send_all(0..numbers).unwrap();
    eventually("they are parked", || chores::count(connection, parking).unwrap() == numbers);
    workers.stop(SOON).unwrap();
}

on_both_backends! {
    fn parked_messages_are_counted_shown_and_moved_back(url: &str) {
        let connection = carrot::connect(url).unwrap();
        let (queue, parking) = (unique("queue"), unique("parking"));
        let names = vec![queue.clone(), parking.clone()];
        let _queues = Queues { connection: connection.clone(), names };
        park(&connection, &queue, &parking, 5);

        let first = chores::describe(&chores::peek(&connection, &parking, 1).unwrap()[0]);
        assert!(first.ends_with(&format!("{queue}  \"no 0\"  \"0\"")), "{first}");
        // All of them, more often than a quorum queue delivers a message by default.
        for _ in 0..25 {
            eventually("they return", || chores::count(&connection, &parking).unwrap() == 5);
            assert_eq!(chores::peek(&connection, &parking, 10).unwrap().len(), 5);
        }
        eventually("they return", || chores::count(&connection, &parking).unwrap() == 5);
        assert_eq!(chores::move_back(&connection, &parking, 2).unwrap(), 2);
        assert_eq!(chores::count(&connection, &queue).unwrap(), 2);
        assert_eq!(chores::move_back(&connection, &parking, usize::MAX).unwrap(), 3);
        assert_eq!(chores::move_back(&connection, &parking, usize::MAX).unwrap(), 0);
        assert_eq!(chores::count(&connection, &queue).unwrap(), 5);
    }

    fn message_without_an_origin_stays(url: &str) {
        let connection = carrot::connect(url).unwrap();
        let queue = unique("queue");
        let _queues = Queues { connection: connection.clone(), names: vec![queue.clone()] };
        connection.publisher().queue(&*queue).build().unwrap().send("never failed").unwrap();
        let error = chores::move_back(&connection, &queue, 10).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        eventually("it returns", || chores::count(&connection, &queue).unwrap() == 1);
    }
}

#[test]
fn message_that_fails_again_is_moved_once() {
    let connection = carrot::connect("memory://").unwrap();
    park(&connection, "queue", "queue.failed", 3);
    let consumer = connection.consumer("queue").build().unwrap();
    let park = |_: u32, _: &Message| Settlement::Park("again".into());
    let workers = consumer.workers(1).spawn(park).unwrap();
    assert_eq!(chores::move_back(&connection, "queue.failed", usize::MAX).unwrap(), 3);
    eventually("they are parked again", || {
        chores::count(&connection, "queue.failed").unwrap() == 3
    });
    assert_eq!(workers.stop(SOON).unwrap().parked, 3);
}

#[test]
fn message_whose_copy_is_not_confirmed_stays() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    park(&connection, "queue", "queue.failed", 3);
    broker.faults().nack_publishes(1);
    chores::move_back(&connection, "queue.failed", usize::MAX).unwrap_err();
    eventually("it returns", || chores::count(&connection, "queue.failed").unwrap() == 3);
    assert_eq!(broker.faults().outstanding(), 0);
    assert_eq!(chores::move_back(&connection, "queue.failed", usize::MAX).unwrap(), 3);
}

on_remote_brokers! {
    fn program_counts_shows_and_moves_back(url: &str) {
        let connection = carrot::connect(url).unwrap();
        let (queue, parking) = (unique("queue"), unique("parking"));
        let names = vec![queue.clone(), parking.clone()];
        let _queues = Queues { connection: connection.clone(), names };
        park(&connection, &queue, &parking, 3);
        let counted = run(PATH, url, &["count", &queue, &parking]);
        assert_eq!(counted, format!("{queue}: 0\n{parking}: 3\n"));
        assert_eq!(run(PATH, url, &["peek", &parking, "2"]).lines().count(), 2);
        eventually("they return", || chores::count(&connection, &parking).unwrap() == 3);
        assert_eq!(run(PATH, url, &["back", &parking]), "3 moved back\n");
        let moved = connection.declare_queue(Queue::existing(&*queue)).unwrap();
        assert_eq!(moved.message_count, 3);
    }
}
