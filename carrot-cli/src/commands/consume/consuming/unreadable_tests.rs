#![allow(clippy::unwrap_used, reason = "tests")]

use carrot::Connection;
use carrot::memory::Broker;
use clap::Parser;

use super::*;
use crate::broker_arguments::BrokerArguments;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    consume: ConsumeArguments,
    #[command(flatten)]
    _broker: BrokerArguments,
}

/// Passes an unreadable message and a readable one to the command. Returns what it has counted, the
/// messages that it has left in the queue, and whether it wanted the second message.
fn taken(arguments: &[&str]) -> (Arc<Consumed>, usize, bool) {
    let broker = Broker::new();
    broker.faults().make_unreadable("it is a map", |content| content.body == b"bad");
    let connection = Connection::new(broker.connector());
    let publisher = connection.publisher().queue("jobs").build().unwrap();
    for body in ["bad", "good"] {
        publisher.message().send_bytes(body).unwrap();
    }
    let consumer = connection.consumer("jobs").build().unwrap();
    let Line { consume, .. } = Line::parse_from([&["consume", "jobs"], arguments].concat());
    let consumed = Arc::new(Consumed::default());
    let mut work = Consuming {
        arguments: consume,
        json: false,
        interrupt: Interrupt::default(),
        consumed: Arc::clone(&consumed),
        held: Vec::new(),
    };
    let mut take = || work.take(consumer.fetch().unwrap().unwrap()).unwrap();
    let continues = take();
    if continues {
        assert!(take());
    }
    work.requeue_held().unwrap();
    drop((consumer, connection));
    let left = broker.queue("jobs").unwrap().ready.len();
    (consumed, left, continues)
}

#[test]
fn unreadable_message_ends_the_command_and_stays() {
    for arguments in [&[][..], &["--body"], &["--", "true"]] {
        let (consumed, left, continues) = taken(arguments);
        assert_eq!((consumed.handled(), consumed.failed()), (1, 1), "{arguments:?}");
        assert_eq!((left, continues), (2, false), "{arguments:?}");
    }
}

#[test]
fn unreadable_message_is_held_or_rejected_on_demand() {
    for (how, expected) in [("requeue", 1), ("reject", 0)] {
        for command in [&[][..], &["--", "true"]] {
            let (consumed, left, continues) = taken(&[&["--on-failure", how], command].concat());
            assert_eq!((consumed.handled(), consumed.failed()), (2, 1), "{how} {command:?}");
            assert_eq!((left, continues), (expected, true), "{how} {command:?}");
        }
    }
}

#[test]
fn unreadable_message_that_is_kept_anyway_is_no_failure() {
    let (consumed, left, continues) = taken(&["--requeue"]);
    assert_eq!((consumed.handled(), consumed.failed(), left, continues), (2, 0, 2, true));
}
