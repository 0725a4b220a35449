//! Delayed messages on a real broker, at the address in `CARROT_TEST_ACTIVEMQ_URL`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, Content, Declare, Delete, DeleteIf,
    Delivery, Outcome, Publication, Role,
};
use carrot_core::{Binding, Error, Exchange, Properties, Queue};

const SOON: Duration = Duration::from_secs(20);

fn connector(variable: &str) -> ActiveMqConnector {
    let url = env::var(variable).unwrap_or_else(|_| panic!("{variable} names a broker"));
    ActiveMqConnector::new(&url.parse().unwrap()).unwrap()
}

/// Opens a channel, and declares an empty queue of this test.
fn open(name: &str) -> (Arc<dyn Backend>, String) {
    let channel = connector("CARROT_TEST_ACTIVEMQ_URL").open(&ChannelOptions::publish(), SOON);
    let channel = channel.unwrap();
    let queue = format!("carrot.test.delay.{name}.{}", std::process::id());
    channel.declare(Declare::Queue(&Queue::new(&*queue)), SOON).unwrap();
    (channel, queue)
}

fn publish(channel: &dyn Backend, content: Content, delay: Duration) -> Outcome {
    let content = Arc::new(content);
    let publication = Publication::new(&content).with_delay(delay);
    let tag = channel.publish(&publication, SOON).unwrap();
    channel.confirm(tag, SOON).unwrap()
}

/// Waits for a message.
#[track_caller]
fn fetch(channel: &dyn Backend, queue: &str) -> Delivery {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(delivery) = channel.get(queue, Acknowledgement::Automatic, SOON).unwrap() {
            return delivery;
        }
        assert!(Instant::now() < deadline, "no message in {queue}");
        std::thread::yield_now();
    }
}

fn delete(channel: &dyn Backend, queue: &str) {
    let deletion = Delete::Queue { name: queue, condition: DeleteIf::ALWAYS };
    channel.delete(deletion, SOON).unwrap();
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn scheduler_is_known_once_the_connection_is_open() {
    for variable in ["CARROT_TEST_ACTIVEMQ_URL", "CARROT_TEST_ACTIVEMQ_LIMITED_URL"] {
        for role in [Role::Publish, Role::Consume] {
            let connector = connector(variable);
            assert!(!connector.capabilities().delayed_publish, "before it is known");
            connector.connect(role, SOON).unwrap();
            assert!(connector.capabilities().delayed_publish, "{variable} {role}");
        }
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn delayed_message_is_received_unchanged_and_never_early() {
    let (channel, queue) = open("unchanged");
    let delay = Duration::from_millis(700);
    let properties = Properties::new()
        .with_message_id("id")
        .with_priority(7)
        .with_timestamp(5)
        .with_header("tenant", "acme")
        .with_header("AMQ_SCHEDULED_DELAY", 3_600_000_i64);
    let content = Content::new("", &*queue, "x").with_properties(properties);
    let sent_at = Instant::now();
    assert_eq!(publish(&*channel, content.clone(), delay), Outcome::Accepted);
    let delivery = fetch(&*channel, &queue);
    let passed = sent_at.elapsed();
    assert!(passed >= delay, "{passed:?}");
    assert_eq!(*delivery.content, content);
    assert!(!delivery.redelivered);
    delete(&*channel, &queue);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn time_to_live_begins_after_the_delay() {
    let (channel, queue) = open("expiry");
    // Neither of these timestamps is that of sending.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for timestamp in [5, now + 3600] {
        let properties = Properties::new().with_expiration("20000").with_timestamp(timestamp);
        let content = Content::new("", &*queue, "lives").with_properties(properties);
        publish(&*channel, content, Duration::from_millis(1));
    }
    let properties = Properties::new().with_expiration("1").with_timestamp(5);
    let content = Content::new("", &*queue, "expires").with_properties(properties);
    publish(&*channel, content, Duration::from_millis(1));
    // The last message, two periods of the scheduler later.
    publish(&*channel, Content::new("", &*queue, "last"), Duration::from_millis(1000));
    // The delay and the time to live of the second kind have passed, by the clock of this machine.
    let expired_at = SystemTime::now() + Duration::from_secs(2);
    while SystemTime::now() <= expired_at {
        std::thread::yield_now();
    }
    for expected in ["lives", "lives", "last"] {
        assert_eq!(fetch(&*channel, &queue).content.body, expected.as_bytes());
    }
    delete(&*channel, &queue);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn delayed_message_reaches_each_queue_of_its_exchange_once() {
    let (channel, one) = open("one");
    let (_, other) = open("other");
    let exchange = format!("{one}.exchange");
    channel.declare(Declare::Exchange(&Exchange::fanout(&*exchange)), SOON).unwrap();
    for queue in [&one, &other] {
        let binding = Binding::queue(&exchange, queue, "");
        channel.declare(Declare::Binding(&binding), SOON).unwrap();
    }
    let content = Content::new(&*exchange, "key", "x");
    assert_eq!(publish(&*channel, content.clone(), Duration::from_millis(1)), Outcome::Accepted);
    for queue in [&one, &other] {
        assert_eq!(*fetch(&*channel, queue).content, content);
        assert_eq!(channel.get(queue, Acknowledgement::Automatic, SOON).unwrap(), None);
        delete(&*channel, queue);
    }
    let deletion = Delete::Exchange { name: &exchange, condition: DeleteIf::ALWAYS };
    channel.delete(deletion, SOON).unwrap();
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn delayed_message_for_no_queue_is_returned() {
    let (channel, queue) = open("gone");
    delete(&*channel, &queue);
    let outcome = publish(&*channel, Content::new("", &*queue, "x"), Duration::from_millis(1));
    assert!(matches!(outcome, Outcome::Returned { code: 312, .. }), "{outcome:?}");
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn delay_of_more_than_ten_years_is_refused_and_the_longest_is_not() {
    let (channel, queue) = open("long");
    let content = Arc::new(Content::new("", &*queue, "x"));
    let publication = Publication::new(&content).with_delay(Duration::from_secs(315_360_001));
    let error = channel.publish(&publication, SOON).unwrap_err();
    assert!(matches!(&error, Error::Invalid { field, .. } if field == "delay"), "{error}");
    assert!(error.to_string().contains("315360000 s"), "{error}");
    channel.check().unwrap();
    delete(&*channel, &queue);
}
