//! Brokers that answer no question about the numbers of messages and consumers.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use carrot_core::backend::Declare;
use carrot_core::{Error, Queue};

use crate::scripted::{CONSUMER_INFO, ScriptedMessage, advisory};
use crate::support::{FakeBroker, MESSAGE_PULL, PRODUCER_INFO, SOON, STATISTICS, exception};

const PLAIN_MESSAGE: u8 = 23;

/// The time that a slow broker takes for each answer.
const DELAY: Duration = Duration::from_millis(1200);

/// A broker with the queue `q`, whose statistics plug-in is `answer`. It gets the number of each
/// pull of counts, from 0.
fn counting(mut answer: impl FnMut(&mut TcpStream, usize) -> bool + Send + 'static) -> FakeBroker {
    let mut pulls = 0;
    FakeBroker::counting(move |socket, client| {
        if client.kind == PRODUCER_INFO {
            let _ = socket.write_all(&advisory("q"));
        }
        if client.kind != MESSAGE_PULL || client.consumer() != STATISTICS {
            return true;
        }
        pulls += 1;
        answer(socket, pulls - 1)
    })
}

/// Returns the octets of a map with two long integers.
fn counts(ready: i64, consumers: i64) -> Vec<u8> {
    let long = |name: &str, number: i64| {
        let length = u16::try_from(name.len()).unwrap().to_be_bytes();
        [&length[..], name.as_bytes(), &[6], &number.to_be_bytes()].concat()
    };
    [vec![0, 0, 0, 2], long("size", ready), long("consumerCount", consumers)].concat()
}

fn dispatch_counts(socket: &mut TcpStream, ready: i64, consumers: i64) {
    let content = counts(ready, consumers);
    let message = ScriptedMessage { content: Some(&content), ..ScriptedMessage::default() };
    let _ = socket.write_all(&message.dispatch(STATISTICS.0, STATISTICS.1));
}

#[test]
fn counts_are_not_waited_for_beyond_the_deadline() {
    let broker = counting(|_, _| true);
    let channel = broker.open().unwrap();
    let started = Instant::now();
    let timeout = Duration::from_millis(50);
    let error = channel.declare(Declare::Queue(&Queue::existing("q")), timeout).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_millis(800), "{:?}", started.elapsed());
}

#[test]
fn counts_of_a_slow_broker_are_waited_for() {
    let broker = counting(|socket, pull| {
        // The first pull shows whether the plug-in is there, and each further one counts.
        thread::sleep(DELAY);
        dispatch_counts(socket, i64::try_from(pull).unwrap() + 4, 2);
        true
    });
    let channel = broker.open().unwrap();
    for ready in [5, 6] {
        let found = channel.declare(Declare::Queue(&Queue::existing("q")), SOON).unwrap();
        assert_eq!((found.message_count, found.consumer_count), (ready, 2));
    }
}

#[test]
fn missing_plug_in_is_not_waited_for() {
    let broker = FakeBroker::answering(|socket, client| {
        if client.kind == PRODUCER_INFO {
            let _ = socket.write_all(&advisory("q"));
        }
        true
    });
    let channel = broker.open().unwrap();
    let started = Instant::now();
    let found = channel.declare(Declare::Queue(&Queue::existing("q")), SOON).unwrap();
    assert_eq!((found.message_count, found.consumer_count), (0, 0));
    assert!(started.elapsed() < Duration::from_millis(800), "{:?}", started.elapsed());
}

#[test]
fn lost_connection_is_no_count() {
    let broker = counting(|socket, pull| {
        if pull == 0 {
            dispatch_counts(socket, 1, 1);
        }
        pull == 0
    });
    let channel = broker.open().unwrap();
    let error = channel.declare(Declare::Queue(&Queue::existing("q")), SOON).unwrap_err();
    assert!(error.is_disconnected(), "{error:?}");
}

#[test]
fn refused_question_about_counts_is_asked_once() {
    let (asked, questions) = mpsc::channel();
    // The first question of a connection is that about the scheduler.
    let mut is_about_counts = false;
    let broker = FakeBroker::answering(move |socket, client| {
        match client.kind {
            // The consumer of the answers, in the session of the connection.
            CONSUMER_INFO if client.consumer() == (-1, -1) => {
                let answer = ScriptedMessage::default().dispatch(-1, -1);
                let _ = socket.write_all(&answer);
                is_about_counts = true;
            }
            PRODUCER_INFO => drop(socket.write_all(&advisory("q"))),
            PLAIN_MESSAGE if client.needs_answer && is_about_counts => {
                asked.send(()).unwrap();
                let class = "java.lang.SecurityException";
                let _ = socket.write_all(&exception(client.id, class, "may not write"));
            }
            _ => {}
        }
        true
    });
    let channel = broker.open().unwrap();
    let started = Instant::now();
    for _ in 0..5 {
        let found = channel.declare(Declare::Queue(&Queue::existing("q")), SOON).unwrap();
        assert_eq!((found.message_count, found.consumer_count), (0, 0));
    }
    assert!(started.elapsed() < SOON / 5, "{:?}", started.elapsed());
    channel.check().unwrap();
    assert_eq!(questions.try_iter().count(), 1);
}
