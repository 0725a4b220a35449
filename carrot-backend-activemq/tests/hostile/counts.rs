//! Brokers that answer no question about the numbers of messages and consumers.

use std::io::Write;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use carrot_core::Queue;
use carrot_core::backend::Declare;

use crate::scripted::{CONSUMER_INFO, ScriptedMessage, advisory};
use crate::support::{FakeBroker, PRODUCER_INFO, SOON, exception};

const PLAIN_MESSAGE: u8 = 23;

#[test]
fn counts_are_not_waited_for_beyond_the_deadline() {
    // The broker answers no question about counts, and a client waits for a second.
    let broker = FakeBroker::answering(|socket, client| {
        if client.kind == PRODUCER_INFO {
            let _ = socket.write_all(&advisory("q"));
        }
        true
    });
    let channel = broker.open().unwrap();
    let started = Instant::now();
    let timeout = Duration::from_millis(50);
    let found = channel.declare(Declare::Queue(&Queue::existing("q")), timeout).unwrap();
    assert_eq!((found.message_count, found.consumer_count), (0, 0));
    assert!(started.elapsed() < Duration::from_millis(800), "{:?}", started.elapsed());
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
