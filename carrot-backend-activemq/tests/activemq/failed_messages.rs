//! Failed messages of a consumer on a real broker, at the address in `CARROT_TEST_ACTIVEMQ_URL`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use carrot::Message;
use carrot::consume::Retry;
use carrot::topology::DeleteIf;

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
