//! The differences of ActiveMQ, in place of the tests that pass on the other brokers.

use std::time::Duration;

use carrot::layers::RateLimit;
use carrot::topology::DeleteIf;
use carrot::{Connection, Error, Exchange, Message, Queue};

use super::activemq;
use crate::breakable::Breakable;
use crate::support::{SOON, eventually, next, queue, ready, unique};

fn numbers(messages: impl Iterator<Item = carrot::Result<Message>>) -> Vec<u32> {
    messages
        .map(|message| {
            let message = message.unwrap();
            let number = message.decode().unwrap();
            message.ack().unwrap();
            number
        })
        .collect()
}

pub fn requeued_messages_return_to_the_head() {
    let (connection, queue) = (activemq(), queue());
    let consumer = connection.consumer(&queue).build().unwrap();
    connection.publisher().queue(&queue).build().unwrap().send_all(0..3).unwrap();
    let first = consumer.fetch().unwrap().unwrap();
    let second = consumer.fetch().unwrap().unwrap();
    second.requeue().unwrap();
    first.requeue().unwrap();
    assert_eq!(numbers(consumer.fetch_all()), [1, 0, 2]);
}

/// Returns the messages that a consumer held when its connection was lost, as they arrive again.
fn redelivered(held: u16) -> Vec<u32> {
    let (broker, queue) = (Breakable::on_activemq(), queue());
    let consumer = broker.connection.consumer(&queue).prefetch(held).build().unwrap();
    broker.onlooker.publisher().queue(&queue).build().unwrap().send_all(0..held).unwrap();
    let mut messages = consumer.messages().unwrap().timeout(SOON);
    let first: Vec<_> = messages.by_ref().take(held.into()).collect();
    assert_eq!(first.len(), usize::from(held));
    broker.cut();
    numbers(messages.filter(Result::is_ok).take(held.into()))
}

pub fn lost_connection_returns_messages_in_any_order() {
    const HELD: u16 = 100;
    // After one loss, the order may be the old one by chance.
    eventually("another order after a loss", || {
        let mut numbers = redelivered(HELD);
        let is_sorted = numbers.is_sorted();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..HELD.into()));
        !is_sorted
    });
}

/// Checks that a queue has no waiting queue of this name. Returns the number of its messages.
#[track_caller]
fn ready_without_waiting_queue(connection: &Connection, queue: &str, waiting: &str) -> u32 {
    let waiting = connection.declare_queue(Queue::existing(format!("{queue}{waiting}")));
    assert!(matches!(waiting, Err(Error::NotFound { .. })), "{waiting:?}");
    ready(connection, queue)
}

/// The scheduler of the broker holds them.
pub fn postponed_messages_wait_in_no_queue() {
    let (connection, queue) = (activemq(), queue());
    let limit = RateLimit::new(1, Duration::from_secs(3600)).unwrap();
    let mut consumer = connection.consumer(&queue).layer(limit).build().unwrap();
    consumer.register_callback(|_: u32, _: &Message| ());
    connection.publisher().queue(&queue).build().unwrap().send_all(0..2).unwrap();
    let report = consumer.handle_next(2).unwrap();
    assert_eq!((report.acknowledged, report.retried, report.failed), (1, 1, 0), "{report:?}");
    // A message that the consumer holds returns to its queue.
    consumer.close().unwrap();
    assert_eq!(ready_without_waiting_queue(&connection, &queue.name, ".retry.v1.4096s"), 0);
}

pub fn longest_delay_is_ten_years() {
    const LONGEST: Duration = Duration::from_secs(315_360_000);
    let (connection, queue) = (activemq(), queue());
    let publisher = connection.publisher().queue(&queue).build().unwrap();
    let send = |delay| publisher.message().delay(delay).send("x");
    send(LONGEST).unwrap();
    let refused = send(LONGEST + Duration::from_millis(1));
    assert!(
        matches!(&refused, Err(Error::Invalid { field, limit, .. }) if field == "delay" && limit.contains("315360000 s")),
        "{refused:?}"
    );
    // A message without a delay is confirmed after the delayed one, and arrives alone.
    publisher.send("at once").unwrap();
    let consumer = connection.consumer(&queue).build().unwrap();
    let message = next(&consumer);
    assert_eq!(message.decode::<String>().unwrap(), "at once");
    message.ack().unwrap();
    assert!(consumer.fetch().unwrap().is_none());
    drop(consumer);
    let highest = ".delay.v1.4194304s";
    assert_eq!(ready_without_waiting_queue(&connection, &queue.name, highest), 0);
}

pub fn user_ids_are_not_checked() {
    let (connection, queue) = (activemq(), queue());
    let publisher = connection.publisher().queue(&queue).build().unwrap();
    let foreign = publisher.message();
    foreign.properties(|properties| properties.with_user_id("somebody-else")).send("x").unwrap();
    let message = next(&connection.consumer(&queue).build().unwrap());
    assert_eq!(message.properties().user_id(), Some("somebody-else"));
    message.ack().unwrap();
}

pub fn consumers_of_other_connections_keep_a_queue() {
    let (connection, other, queue) = (activemq(), activemq(), queue());
    let consumer = connection.consumer(&queue).build().unwrap();
    let messages = consumer.messages().unwrap();
    let error = other.delete_queue(&queue.name, DeleteIf::ALWAYS).unwrap_err();
    assert!(matches!(&error, Error::PreconditionFailed { .. }), "{error:?}");
    drop(messages);
    consumer.close().unwrap();
    eventually("the deletion", || other.delete_queue(&queue.name, DeleteIf::ALWAYS).is_ok());
}

pub fn headers_have_no_limit_of_a_frame() {
    let (connection, queue) = (activemq(), queue());
    let publisher = connection.publisher().queue(&queue).build().unwrap();
    let large = "x".repeat(1 << 18);
    publisher.message().header("large", &*large).send("x").unwrap();
    let message = next(&connection.consumer(&queue).build().unwrap());
    assert_eq!(message.header("large").and_then(carrot::message::Value::as_str), Some(&*large));
    message.ack().unwrap();
}

/// The publisher has to ask the broker for a newer table, and `try_publish` does not wait.
pub fn try_publish_to_no_queue_times_out() {
    let (connection, queue) = (activemq(), queue());
    let exchange = Exchange::fanout(unique("exchange"));
    let publisher = connection.publisher().exchange(&exchange).build().unwrap();
    publisher.send("dropped").unwrap();
    // The answer may come before the call looks for it.
    let is_late = |result| matches!(result, Err(Error::Timeout { after: Duration::ZERO, .. }));
    let result = || publisher.try_publish("x").map(drop);
    eventually("the call is late", || is_late(result()));
    let consumer = connection.consumer(&queue).exchange(&exchange).build().unwrap();
    eventually("the table is known", || publisher.try_publish("y").is_ok());
    eventually("it arrives", || ready(&connection, &queue.name) == 1);
    next(&consumer).ack().unwrap();
}
