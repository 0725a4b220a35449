//! Deletions and purges on a real broker, beside consumers of other clients.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::VecDeque;
use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delete,
    DeleteIf, Extent, Outcome, Publication, QueueInfo, Rejection, Subscription,
};
use carrot_core::{DeliveryMode, Error, Properties, Queue, Result};
use carrot_faults::{eventually, unique};

const SOON: Duration = Duration::from_secs(60);
/// The messages that wait for their confirms.
const WINDOW: usize = 500;

/// A connector of its own for each call, as other programs have.
fn open_as(variable: &str) -> Arc<dyn Backend> {
    let url = env::var(variable).unwrap_or_else(|_| panic!("{variable} names a broker"));
    let connector = ActiveMqConnector::new(&url.parse().unwrap()).unwrap();
    connector.open(&ChannelOptions::publish(), SOON).unwrap()
}

fn open() -> Arc<dyn Backend> {
    open_as("CARROT_TEST_ACTIVEMQ_URL")
}

fn declare(channel: &dyn Backend, queue: &Queue) -> QueueInfo {
    channel.declare(Declare::Queue(queue), SOON).unwrap()
}

/// Sends messages with the bodies 0, 1, 2 and so on.
fn publish(channel: &dyn Backend, queue: &str, count: u32) {
    let mut tags = VecDeque::new();
    let confirm = |tag| assert_eq!(channel.confirm(tag, SOON).unwrap(), Outcome::Accepted);
    for number in 0..count {
        let properties = Properties::new().with_delivery_mode(DeliveryMode::Transient);
        let content = Content::new("", queue, number.to_string()).with_properties(properties);
        tags.push_back(channel.publish(&Publication::new(&Arc::new(content)), SOON).unwrap());
        if tags.len() > WINDOW {
            tags.pop_front().map(confirm);
        }
    }
    tags.into_iter().for_each(confirm);
}

fn delete(channel: &dyn Backend, queue: &str, condition: DeleteIf) -> Result<u32> {
    let deletion = Delete::Queue { name: queue, condition };
    channel.delete(deletion, SOON).map(|deleted| deleted.message_count)
}

fn purge(channel: &dyn Backend, queue: &str, timeout: Duration) -> Result<u32> {
    channel.delete(Delete::Messages { queue }, timeout).map(|deleted| deleted.message_count)
}

/// Returns the number of ready messages once it is as expected, or at a deadline.
#[track_caller]
fn check_ready(channel: &dyn Backend, queue: &str, expected: u32) {
    let mut found = 0;
    let is_met = eventually(SOON, || {
        found = declare(channel, &Queue::existing(queue)).message_count;
        found == expected
    });
    assert!(is_met, "{found} of {expected} messages are ready");
}

fn consume(channel: &dyn Backend, queue: &str) -> Box<dyn Subscription> {
    channel.consume(queue, &ConsumeOptions::with_prefetch(1), SOON).unwrap()
}

/// Takes the next message of a subscription, and acknowledges it.
#[track_caller]
fn receive(channel: &dyn Backend, subscription: &dyn Subscription, body: &str) {
    let delivery = subscription.next(SOON).unwrap().unwrap();
    assert_eq!(delivery.content.body[..], *body.as_bytes());
    channel.ack(delivery.tag, Extent::One).unwrap();
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn refused_deletion_keeps_all_messages() {
    const MESSAGES: u32 = 20;
    let queue = unique("carrot.test.used");
    let other = open();
    declare(&*other, &Queue::new(&*queue));
    let subscription = consume(&*other, &queue);
    publish(&*other, &queue, MESSAGES);
    check_ready(&*other, &queue, MESSAGES - 1);
    for condition in [DeleteIf::ALWAYS, DeleteIf::UNUSED] {
        let error = delete(&*open(), &queue, condition).unwrap_err();
        assert!(matches!(error, Error::PreconditionFailed { .. }), "{error:?}");
    }
    for number in 0..MESSAGES {
        receive(&*other, &*subscription, &number.to_string());
    }
    drop(subscription);
    publish(&*other, &queue, 3);
    assert_eq!(delete(&*other, &queue, DeleteIf::ALWAYS).unwrap(), 3);
    declare(&*other, &Queue::new(&*queue));
    check_ready(&*other, &queue, 0);
    assert_eq!(delete(&*other, &queue, DeleteIf::EMPTY).unwrap(), 0);
}

/// Fetches from and purges a queue whose exclusive consumer holds a message.
#[track_caller]
fn check_beside_an_exclusive_consumer(channel: &dyn Backend, queue: &str) {
    let other = open();
    declare(&*other, &Queue::new(queue).single_active_consumer());
    let subscription = consume(&*other, queue);
    let get = |mode| channel.get(queue, mode, SOON).unwrap().unwrap();
    publish(&*other, queue, 10);
    check_ready(&*other, queue, 9);
    assert_eq!(get(Acknowledgement::Automatic).content.body[..], *b"1");
    let held = get(Acknowledgement::Manual);
    assert_eq!((&held.content.body[..], held.redelivered), (&b"2"[..], false));
    channel.ack(held.tag, Extent::One).unwrap();
    let requeued = get(Acknowledgement::Manual);
    assert_eq!(requeued.content.body[..], *b"3");
    channel.reject(requeued.tag, Rejection::Requeue, Extent::One).unwrap();
    check_ready(&*other, queue, 7);
    // The consumer continues with the next message.
    receive(&*other, &*subscription, "0");
    receive(&*other, &*subscription, "3");
    let held = subscription.next(SOON).unwrap().unwrap();
    assert_eq!(purge(channel, queue, SOON).unwrap(), 5);
    check_ready(&*other, queue, 0);
    assert!(channel.get(queue, Acknowledgement::Manual, SOON).unwrap().is_none());
    publish(&*other, queue, 1);
    other.ack(held.tag, Extent::One).unwrap();
    receive(&*other, &*subscription, "0");
    drop(subscription);
    assert_eq!(delete(&*other, queue, DeleteIf::ALWAYS).unwrap(), 0);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn messages_beside_a_single_active_consumer_are_fetched_and_purged() {
    check_beside_an_exclusive_consumer(&*open(), &unique("carrot.test.single"));
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn messages_beside_an_exclusive_consumer_are_fetched_and_purged() {
    // The user may not read the table, and so knows no settings of the queue: to it, the consumer
    // is an exclusive one of a JMS program.
    let channel = open_as("CARROT_TEST_ACTIVEMQ_LIMITED_URL");
    check_beside_an_exclusive_consumer(&*channel, &format!("limited.{}", unique("exclusive")));
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn purge_of_a_long_queue_removes_each_message_and_continues_after_a_timeout() {
    const MESSAGES: u32 = 20_000;
    let queue = unique("carrot.test.long");
    let channel = open();
    declare(&*channel, &Queue::new(&*queue));
    publish(&*channel, &queue, MESSAGES);
    check_ready(&*channel, &queue, MESSAGES);
    let mut removed = 0;
    let mut timeout = Duration::from_millis(20);
    let started = Instant::now();
    loop {
        match purge(&*channel, &queue, timeout) {
            Ok(count) => break removed += count,
            Err(Error::Timeout { operation, .. }) => {
                assert!(operation.contains(&*queue), "{operation}");
                let count = operation.split(' ').find_map(|word| word.parse::<u32>().ok());
                removed += count.unwrap_or_else(|| panic!("no number in {operation}"));
            }
            Err(error) => panic!("{error:?}"),
        }
        timeout *= 2;
        assert!(started.elapsed() < SOON, "{removed} removed");
    }
    assert_eq!(removed, MESSAGES);
    assert!(timeout > Duration::from_millis(20), "the purge took less than 20 ms");
    check_ready(&*channel, &queue, 0);
    delete(&*channel, &queue, DeleteIf::ALWAYS).unwrap();
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn messages_of_a_temporary_queue_are_counted() {
    let channel = open();
    let mut temporary = Queue::new("");
    temporary.exclusive = true;
    let queue = declare(&*channel, &temporary).name;
    publish(&*channel, &queue, 2);
    check_ready(&*channel, &queue, 2);
    let error = delete(&*channel, &queue, DeleteIf::EMPTY).unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed { .. }), "{error:?}");
}
