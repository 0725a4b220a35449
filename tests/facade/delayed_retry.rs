//! Failed messages of a queue that delays them itself (RabbitMQ 4.3), and of one whose broker
//! cannot.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use carrot::topology::{DelayedRetry, DeleteIf};
use carrot::{Connection, Error, Message, Queue, Settlement, consume::Retry, message::Value};

use crate::support::{SOON, eventually, ready, unique};

const SHORTEST: Duration = Duration::from_millis(300);

/// A quorum queue with pauses of 300, 600 and 700 ms.
fn delaying() -> Queue {
    Queue::new(unique("delaying")).quorum().expires(Duration::from_secs(300)).delayed_retry(
        DelayedRetry::Failed,
        SHORTEST,
        Duration::from_millis(700),
    )
}

fn delete(connection: &Connection, names: &[&str]) {
    for name in names {
        connection.delete_queue(name, DeleteIf::default()).unwrap();
    }
}

/// Whether copies of failed messages waited for one second.
fn waiting_queue_exists(connection: &Connection, queue: &str) -> bool {
    match connection.declare_queue(Queue::existing(format!("{queue}.retry.v1.1s"))) {
        Ok(_) => true,
        Err(Error::NotFound { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

on_both_backends! {
    #[without_activemq("x-queue-type")]
    fn failed_message_is_retried_with_a_pause_and_then_parked(connection: &Connection) {
        let queue = delaying();
        let parking = format!("{}.failed", queue.name);
        let consumer = connection.consumer(&queue).retry(Retry::default().attempts(3)).build().unwrap();
        let (sender, attempts) = mpsc::channel();
        let workers = consumer.workers(1).spawn(move |_: String, message: &Message| {
            sender.send((message.attempt(), Instant::now())).unwrap();
            Err::<(), _>("no")
        }).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        let times: Vec<Instant> = (1..=3).map(|number| {
            let (attempt, time) = attempts.recv_timeout(SOON).unwrap();
            assert_eq!(attempt, number);
            time
        }).collect();
        eventually("the message is parked", || ready(connection, &parking) == 1);
        assert!(times[1] - times[0] >= SHORTEST && times[2] - times[1] >= SHORTEST * 2, "{times:?}");
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.retried, report.parked), (3, 2, 1));
        assert_eq!(ready(connection, &queue.name), 0);
        let parked = connection.consumer(Queue::existing(&*parking)).build().unwrap().fetch().unwrap().unwrap();
        assert_eq!(parked.header("carrot-attempts").and_then(Value::as_i64), Some(3));
        assert!(parked.header("x-delivery-count").and_then(Value::as_i64).is_none_or(|count| count == 0));
        parked.ack().unwrap();
        delete(connection, &[&queue.name, &parking]);
    }

    #[without_activemq("x-queue-type")]
    fn chosen_pause_waits_in_a_waiting_queue_and_counts(connection: &Connection) {
        let queue = delaying();
        let consumer = connection.consumer(&queue).build().unwrap();
        let (sender, attempts) = mpsc::channel();
        let workers = consumer.workers(1).spawn(move |_: String, message: &Message| {
            let attempt = message.attempt();
            sender.send(attempt).unwrap();
            match attempt {
                1 => Err("no"),
                2 => Ok(Settlement::RetryAfter(Duration::from_secs(1))),
                3 => Err("no"),
                _ => Ok(Settlement::Ack),
            }
        }).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        for attempt in 1..=4 {
            assert_eq!(attempts.recv_timeout(SOON), Ok(attempt));
        }
        assert!(waiting_queue_exists(connection, &queue.name));
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.retried, report.acknowledged, report.parked), (3, 1, 0));
        delete(connection, &[&queue.name, &format!("{}.failed", queue.name)]);
    }
}

on_remote_brokers! {
    #[without_activemq("x-queue-type")]
    fn broker_that_delays_gets_no_copy_and_ends_at_the_delivery_limit(broker: &RemoteBroker) {
        let connection = broker.connect();
        let dead = unique("dead");
        connection.declare_queue(Queue::new(&*dead)).unwrap();
        let queue =
            delaying().delivery_limit(1).dead_letter_exchange("").dead_letter_routing_key(&*dead);
        let consumer = connection.consumer(&queue).build().unwrap();
        let workers = consumer.workers(1).spawn(|_: String, _: &Message| Err::<(), _>("no")).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        let parking = format!("{}.failed", queue.name);
        if broker.release() < (4, 3) {
            eventually("a copy waits", || waiting_queue_exists(&connection, &queue.name));
            workers.stop(SOON).unwrap();
            return delete(&connection, &[&queue.name, &parking, &dead]);
        }
        eventually("the broker dead-letters", || ready(&connection, &dead) == 1);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.retried, report.parked), (2, 2, 0));
        assert!(!waiting_queue_exists(&connection, &queue.name));
        let dead_consumer = connection.consumer(Queue::existing(&*dead)).build().unwrap();
        let message = dead_consumer.fetch().unwrap().unwrap();
        assert_eq!(message.deaths()[0].reason, "delivery_limit");
        message.ack().unwrap();
        delete(&connection, &[&queue.name, &parking, &dead]);
    }

    #[without_activemq("x-queue-type")]
    fn queue_that_exists_without_delay_is_refused_by_a_broker_that_delays(broker: &RemoteBroker) {
        let connection = broker.connect();
        let queue = delaying();
        let plain = Queue::new(&*queue.name).quorum().expires(Duration::from_secs(300));
        connection.declare_queue(plain).unwrap();
        match connection.consumer(&queue).build() {
            Err(Error::PreconditionFailed { reason }) if broker.release() >= (4, 3) => {
                assert!(reason.contains("x-delayed-retry"), "{reason}");
            }
            Ok(_) => assert!(broker.release() < (4, 3)),
            Err(error) => panic!("{error}"),
        }
        delete(&connection, &[&queue.name]);
    }
}
