#![allow(clippy::unwrap_used, reason = "tests")]

use carrot::Connection;
use carrot::memory::Broker;
use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: MoveArguments,
}

#[test]
fn unreadable_message_is_not_copied() {
    let broker = Broker::new();
    broker.faults().make_unreadable("it is a map", |content| content.body == b"bad");
    let connection = Connection::new(broker.connector());
    for queue in ["jobs", "others"] {
        connection.declare_queue(queue).unwrap();
    }
    let publisher = connection.publisher().queue("jobs").build().unwrap();
    for body in ["bad", "good"] {
        publisher.message().send_bytes(body).unwrap();
    }
    let Line { arguments } = Line::parse_from(["move", "jobs", "--to", "others"]);
    let moved = MoveResult::default();
    let work = Moving {
        arguments,
        connection,
        user: None,
        timeout: Duration::from_secs(10),
        interrupt: Interrupt::default(),
        progress: ProgressBar::hidden(),
        moved: moved.clone(),
    };
    work.run().unwrap();
    assert_eq!(moved.moved(), 1);
    assert!(moved.numbers().check().is_err());
    assert_eq!(broker.queue("jobs").unwrap().ready.len(), 1);
    assert_eq!(broker.queue("others").unwrap().ready[0].body, *b"good");
}
