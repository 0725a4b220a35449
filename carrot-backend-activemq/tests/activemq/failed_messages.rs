//! Failed messages of a consumer on a real broker, at the address in `CARROT_TEST_ACTIVEMQ_URL`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use carrot::consume::Retry;
use carrot::topology::DeleteIf;
use carrot::{Connection, Message};
use carrot_faults::eventually;

const SOON: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn failed_message_is_tried_again_and_then_parked() {
    let connection = carrot::connect(env::var("CARROT_TEST_ACTIVEMQ_URL").unwrap()).unwrap();
    let queue = format!("carrot.test.failed.{}", std::process::id());
    let parking = format!("{queue}.parked");
    let retry = Retry::fixed(Duration::from_millis(10)).attempts(2);
    let consumer = connection.consumer(&*queue).retry(retry).park(&*parking).build().unwrap();
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let handler = move |_: String, _: &Message| {
        counted.fetch_add(1, Ordering::SeqCst);
        Err::<(), _>("not today")
    };
    let workers = consumer.workers(1).spawn(handler).unwrap();
    connection.publisher().routing_key(&*queue).build().unwrap().send("x").unwrap();

    let parked = connection.consumer(&*parking).build().unwrap();
    let deadline = Instant::now() + SOON;
    let message = loop {
        if let Some(message) = parked.fetch().unwrap() {
            break message;
        }
        assert!(Instant::now() < deadline, "the message is not parked");
        std::thread::yield_now();
    };
    assert_eq!(message.decode::<String>().unwrap(), "x");
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    message.ack().unwrap();
    drop(workers);
    drop((consumer, parked));
    for queue in [&queue, &parking] {
        connection.delete_queue(queue, DeleteIf::ALWAYS).unwrap();
    }
}

/// A connection, and a queue of this test with its parking queue.
struct FailingQueue {
    connection: Connection,
    queue: String,
}

impl FailingQueue {
    fn new(name: &str) -> FailingQueue {
        let connection = carrot::connect(env::var("CARROT_TEST_ACTIVEMQ_URL").unwrap()).unwrap();
        let queue = format!("carrot.test.failed.{name}.{}", std::process::id());
        connection.declare_queue(&*queue).unwrap();
        FailingQueue { connection, queue }
    }

    #[track_caller]
    fn send(&self, body: &str) {
        self.connection.publisher().routing_key(&*self.queue).build().unwrap().send(body).unwrap();
    }
}

impl Drop for FailingQueue {
    fn drop(&mut self) {
        for queue in [self.queue.clone(), format!("{}.failed", self.queue)] {
            let _ = self.connection.delete_queue(&queue, DeleteIf::ALWAYS);
        }
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn failed_message_waits_at_the_broker_and_holds_no_prefetch_slot() {
    let failing = FailingQueue::new("slot");
    let retry = Retry::fixed(Duration::from_millis(1500)).attempts(3);
    let consumer = failing.connection.consumer(&*failing.queue).prefetch(1).retry(retry);
    let consumer = consumer.build().unwrap();
    let seen = Arc::new(Mutex::new(Vec::<(String, u32, Instant)>::new()));
    let noted = Arc::clone(&seen);
    let routing_key = failing.queue.clone();
    let workers = consumer.workers(1).spawn(move |body: String, message: &Message| {
        assert_eq!((message.exchange(), message.routing_key()), ("", &*routing_key));
        assert!(!message.is_redelivered() && message.deaths().is_empty());
        noted.lock().unwrap().push((body.clone(), message.attempt(), Instant::now()));
        if body == "bad" { Err("not today") } else { Ok(()) }
    });
    let workers = workers.unwrap();
    for body in ["bad", "good", "good"] {
        failing.send(body);
    }
    let parked = || failing.connection.statistics().consuming.parked;
    assert!(eventually(SOON, || parked() == 1), "the message is not parked: {seen:?}");
    drop(workers);
    let seen = seen.lock().unwrap();
    let order: Vec<_> = seen.iter().map(|(body, attempt, _)| (&**body, *attempt)).collect();
    assert_eq!(order, [("bad", 1), ("good", 1), ("good", 1), ("bad", 2), ("bad", 3)]);
    let failures: Vec<_> = seen.iter().filter(|one| one.0 == "bad").map(|one| one.2).collect();
    let pauses = failures.windows(2).map(|pair| pair[1] - pair[0]);
    // The pause is exact, and not a step of a ladder of seconds. The scheduler adds up to 0.5 s.
    let is_exact = |pause: &Duration| (1500..4000).contains(&pause.as_millis());
    let pauses: Vec<_> = pauses.collect();
    assert!(pauses.iter().all(is_exact), "{pauses:?}");
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn failed_message_that_waits_survives_the_connection_of_its_consumer() {
    let failing = FailingQueue::new("cut");
    let first = carrot::connect(env::var("CARROT_TEST_ACTIVEMQ_URL").unwrap()).unwrap();
    let consumer = first.consumer(&*failing.queue).retry(Retry::fixed(Duration::from_secs(2)));
    let consumer = consumer.build().unwrap();
    let workers =
        consumer.workers(1).spawn(|_: String, _: &Message| Err::<(), _>("not today")).unwrap();
    failing.send("x");
    let retried = || first.statistics().consuming.retried;
    assert!(eventually(SOON, || retried() == 1), "the message did not fail");
    drop((workers, consumer));
    first.close().unwrap();
    let consumer = failing.connection.consumer(&*failing.queue).build().unwrap();
    let message = consumer.messages().unwrap().timeout(SOON).next().unwrap().unwrap();
    assert_eq!((message.decode::<String>().unwrap().as_str(), message.attempt()), ("x", 2));
    message.ack().unwrap();
    assert!(consumer.fetch().unwrap().is_none(), "the message is doubled");
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn failed_message_of_a_single_active_consumer_pauses_in_the_process() {
    let failing = FailingQueue::new("single");
    let name = format!("{}.single", failing.queue);
    let queue = carrot::Queue::new(&*name).single_active_consumer();
    let retry = Retry::fixed(Duration::from_millis(10)).attempts(2);
    let consumer = failing.connection.consumer(queue).retry(retry).build().unwrap();
    let copies = Arc::new(AtomicU32::new(0));
    let copied = Arc::clone(&copies);
    let workers = consumer.workers(1).spawn(move |_: String, message: &Message| {
        if message.properties().header("carrot-attempt").is_some() {
            copied.fetch_add(1, Ordering::SeqCst);
        }
        Err::<(), _>("not today")
    });
    let workers = workers.unwrap();
    failing.connection.publisher().routing_key(&*name).build().unwrap().send("x").unwrap();
    let parked = || failing.connection.statistics().consuming.parked;
    assert!(eventually(SOON, || parked() == 1), "the message is not parked");
    assert_eq!(copies.load(Ordering::SeqCst), 0);
    drop((workers, consumer));
    for queue in [&name, &format!("{name}.failed")] {
        failing.connection.delete_queue(queue, DeleteIf::ALWAYS).unwrap();
    }
}
