//! Consumers of streams.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use carrot::topology::DeleteIf;
use carrot::{
    Connection, Error, Message, Queue, Settlement,
    consume::{Messages, Retry, StreamOffset},
    message::{Timestamp, Value},
};

use crate::breakable::Breakable;
use crate::support::{A_MOMENT, SOON, eventually, rabbitmq, ready, unique};

/// A stream with the numbers from 0 as messages, which is deleted when dropped.
struct Stream {
    queue: Queue,
    connection: Connection,
}

impl Stream {
    fn of(count: u32) -> Stream {
        let connection = rabbitmq();
        let queue = Queue::new(unique("stream")).stream();
        connection.declare_queue(&queue).unwrap();
        let stream = Stream { queue, connection };
        stream.append(0..count);
        stream
    }

    fn append(&self, numbers: std::ops::Range<u32>) {
        let publisher = self.connection.publisher().routing_key(&*self.queue.name).build().unwrap();
        publisher.send_all(numbers).unwrap();
    }

    fn read_from(&self, offset: StreamOffset) -> Messages {
        let consumer = self.connection.consumer(&self.queue).stream_offset(offset).build().unwrap();
        consumer.messages().unwrap().timeout(SOON)
    }

    /// The numbers that a new consumer receives until it has received `last`.
    fn numbers_from(&self, offset: StreamOffset, last: u32) -> Vec<u32> {
        let mut numbers = Vec::new();
        for message in self.read_from(offset) {
            let message = message.unwrap();
            numbers.push(message.decode().unwrap());
            message.ack().unwrap();
            if numbers.last() == Some(&last) {
                break;
            }
        }
        numbers
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.connection.delete_queue(&self.queue.name, DeleteIf::default());
    }
}

fn take(messages: &mut Messages) -> (u32, Message) {
    let message = messages.next().expect("a message soon").unwrap();
    (message.decode().unwrap(), message)
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn stream_is_read_from_each_offset() {
    let stream = Stream::of(100);
    let all: Vec<u32> = (0..100).collect();
    for _ in 0..2 {
        assert_eq!(stream.numbers_from(StreamOffset::First, 99), all);
    }
    assert_eq!(stream.numbers_from(StreamOffset::Number(90), 99), all[90..]);
    assert_eq!(stream.numbers_from(StreamOffset::Interval(Duration::from_secs(3600)), 99), all);
    assert_eq!(stream.numbers_from(StreamOffset::Timestamp(Timestamp(0)), 99), all);
    assert!(stream.numbers_from(StreamOffset::Last, 99).ends_with(&[99]));
    let mut next = stream.read_from(StreamOffset::Next);
    stream.append(100..101);
    let (number, message) = take(&mut next);
    assert_eq!((number, message.stream_offset()), (100, Some(100)));
    message.ack().unwrap();
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn messages_beyond_the_prefetch_arrive_after_each_settlement() {
    let stream = Stream::of(60);
    let consumer = stream.connection.consumer(&stream.queue).stream_offset(StreamOffset::First);
    let mut messages = consumer.prefetch(3).build().unwrap().messages().unwrap().timeout(SOON);
    for expected in 0..60 {
        let (number, message) = take(&mut messages);
        assert_eq!((number, message.stream_offset()), (expected, Some(expected.into())));
        match number % 3 {
            0 => message.ack().unwrap(),
            1 => message.reject().unwrap(),
            _ => drop(message),
        }
    }
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn stream_refuses_what_it_cannot_do_and_keeps_its_connection() {
    let stream = Stream::of(1);
    let consumer = stream
        .connection
        .consumer(&stream.queue)
        .stream_offset(StreamOffset::First)
        .build()
        .unwrap();
    for error in [consumer.fetch().unwrap_err(), consumer.purge().unwrap_err()] {
        assert!(matches!(&error, Error::Invalid { .. }), "{error}");
    }
    let mut messages = consumer.messages().unwrap().timeout(SOON);
    let error = take(&mut messages).1.requeue().unwrap_err();
    assert!(matches!(&error, Error::Invalid { field, .. } if field == "requeue"), "{error}");
    stream.append(1..2);
    let (number, message) = take(&mut messages);
    assert_eq!(number, 1);
    message.ack().unwrap();
    let definition = || stream.connection.consumer(&stream.queue);
    for refused in [
        definition().automatic_acknowledgement().build(),
        definition().requeue_failed().build(),
        definition().priority(1).build(),
        definition().max_held_bytes(1000).build(),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Config { .. } | Error::Invalid { .. }), "{error}");
    }
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn fetch_from_an_undescribed_stream_fails_with_the_words_of_the_broker() {
    let stream = Stream::of(1);
    let consumer =
        stream.connection.consumer(Queue::existing(&*stream.queue.name)).build().unwrap();
    let error = consumer.fetch().unwrap_err();
    assert!(matches!(&error, Error::HardError { code: 540, .. }), "{error}");
    assert!(error.to_string().contains("basic.get not supported by stream"), "{error}");
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn failed_message_of_a_stream_is_tried_again_here_and_parked() {
    let stream = Stream::of(3);
    let parking = format!("{}.failed", stream.queue.name);
    let retry = Retry::fixed(Duration::from_secs(1)).attempts(2);
    let consumer = stream.connection.consumer(&stream.queue).retry(retry);
    let consumer = consumer.stream_offset(StreamOffset::First).build().unwrap();
    let (sender, handled) = mpsc::channel();
    let workers = consumer.workers(2).spawn(move |number: u32, message: &Message| {
        sender.send((number, message.attempt())).unwrap();
        match number {
            0 => Err("no"),
            1 if message.attempt() == 1 => Ok(Settlement::Requeue),
            _ => Ok(Settlement::Ack),
        }
    });
    let workers = workers.unwrap();
    let mut attempts: Vec<_> = (0..5).map(|_| handled.recv_timeout(SOON).unwrap()).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1)]);
    eventually("message 0 is parked", || ready(&stream.connection, &parking) == 1);
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.acknowledged, report.parked, report.requeued), (2, 1, 0));
    let parked = stream.connection.consumer(Queue::existing(&*parking)).build().unwrap();
    let message = parked.fetch().unwrap().unwrap();
    assert_eq!(message.stream_offset(), Some(0));
    assert_eq!(message.header("carrot-error").and_then(Value::as_str), Some("no"));
    message.ack().unwrap();
    assert_eq!(stream.numbers_from(StreamOffset::First, 2), [0, 1, 2]);
    let fails = stream.connection.consumer(&stream.queue).stream_offset(StreamOffset::First);
    let fails = fails.build().unwrap();
    let (_, message) = take(&mut fails.messages().unwrap().timeout(SOON));
    message.fail("from an iterator").unwrap();
    eventually("message 0 is parked again", || ready(&stream.connection, &parking) == 1);
    stream.connection.delete_queue(&parking, DeleteIf::default()).unwrap();
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn reader_that_leaves_prefetched_messages_keeps_its_connection() {
    let stream = Stream::of(50);
    let losses = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&losses);
    stream.connection.on_disconnect(move |_, error| seen.lock().unwrap().push(error.to_string()));
    let consumer = stream.connection.consumer(&stream.queue).stream_offset(StreamOffset::First);
    let consumer = consumer.prefetch(5).build().unwrap();
    for _ in 0..5 {
        let mut messages = consumer.messages().unwrap().timeout(SOON);
        let (number, message) = take(&mut messages);
        assert_eq!(number, 0);
        message.ack().unwrap();
    }
    let stop = consumer.stop_handle();
    let mut messages = consumer.messages().unwrap().timeout(SOON);
    let _ = take(&mut messages);
    stop.stop().unwrap();
    assert!(messages.next().is_none());
    drop(messages);
    consumer.close().unwrap();
    stream.connection.declare_queue(&stream.queue).unwrap();
    assert_eq!(*losses.lock().unwrap(), [""; 0]);
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn run_continues_at_its_first_unsettled_message_after_a_loss() {
    let stream = Stream::of(10);
    let broker = Breakable::on_rabbitmq();
    let consumer = broker.connection.consumer(&stream.queue).stream_offset(StreamOffset::First);
    let consumer = consumer.prefetch(5).build().unwrap();
    let mut messages = consumer.messages().unwrap().timeout(SOON);
    let mut held = Vec::new();
    for expected in 0..6 {
        let (number, message) = take(&mut messages);
        assert_eq!(number, expected);
        if matches!(number, 2 | 4) { held.push(message) } else { message.ack().unwrap() }
    }
    broker.cut();
    stream.append(10..12);
    // 0, 1, 3 and 5 were settled before the loss.
    for expected in [2, 4, 6, 7, 8, 9, 10, 11] {
        let (number, message) = take(&mut messages);
        assert_eq!(number, expected);
        message.ack().unwrap();
        while let Some(stale) = held.pop() {
            assert!(matches!(stale.ack(), Err(Error::Stale { .. })));
        }
    }
    assert!(messages.timeout(A_MOMENT).next().is_none());
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn run_that_started_at_the_next_message_misses_none_of_an_outage() {
    let stream = Stream::of(10);
    let broker = Breakable::on_rabbitmq();
    let consumer = broker.connection.consumer(&stream.queue).build().unwrap();
    let mut messages = consumer.messages().unwrap().timeout(SOON);
    stream.append(10..11);
    let (number, message) = take(&mut messages);
    assert_eq!(number, 10);
    message.ack().unwrap();
    broker.take_away();
    stream.append(11..13);
    broker.bring_back();
    for expected in [11, 12] {
        let (number, message) = take(&mut messages);
        assert_eq!(number, expected);
        message.ack().unwrap();
    }
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn workers_of_a_stream_miss_no_message_over_many_losses() {
    const COUNT: u32 = 2000;
    let stream = Stream::of(COUNT / 2);
    let broker = Breakable::on_rabbitmq();
    let consumer = broker.connection.consumer(&stream.queue).stream_offset(StreamOffset::First);
    let consumer = consumer.prefetch(20).build().unwrap();
    let handled = Arc::new(Mutex::new(BTreeMap::<u32, u32>::new()));
    let seen = Arc::clone(&handled);
    let workers = consumer.workers(4).spawn(move |number: u32, _: &Message| {
        *seen.lock().unwrap().entry(number).or_default() += 1;
    });
    let workers = workers.unwrap();
    for cut in 1..=5 {
        eventually("some are handled", || handled.lock().unwrap().len() >= cut * 100);
        broker.cut();
    }
    stream.append(COUNT / 2..COUNT);
    eventually("all are handled", || handled.lock().unwrap().len() == COUNT as usize);
    workers.stop(SOON).unwrap();
    let duplicates = handled.lock().unwrap().values().filter(|count| **count > 1).count();
    assert!(duplicates <= 5 * 20, "{duplicates} messages were handled twice in five losses");
}
