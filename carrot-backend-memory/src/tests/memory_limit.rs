use std::thread;
use std::time::{Duration, Instant};

use carrot_core::backend::{Content, Outcome, Publication, Role};
use carrot_core::{Binding, Queue};

use super::{BrokerFixture, SOON, post};
use crate::broker::Broker;
use crate::session::{MemoryLimit, SessionSettings};

const LIMIT: u64 = 10_000;

fn large(queue: &str) -> Content {
    Content::new("", queue, "x".repeat(6000))
}

/// A broker with a queue whose messages exceed a limit, at which nothing looks yet.
fn exceeded() -> (BrokerFixture, MemoryLimit) {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let limit = MemoryLimit::new(LIMIT, [&fixture.broker]);
    for _ in 0..2 {
        fixture.broker.put("q", large("q")).unwrap();
    }
    assert!(limit.held_bytes() > LIMIT);
    (fixture, limit)
}

/// Ends a limit, also after a failed assertion, so that the thread that runs the limit ends.
struct EndAtDrop<'l>(&'l MemoryLimit);

impl Drop for EndAtDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn reason(fixture: &BrokerFixture) -> Option<String> {
    fixture.connector.status(Role::Publish).blocked
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "did not happen: {what}");
        thread::yield_now();
    }
}

#[test]
fn publishers_are_blocked_above_the_limit_and_unblocked_below() {
    let (fixture, limit) = exceeded();
    let tag = post(&*fixture.channel, Content::new("", "q", "more"));
    assert_eq!(reason(&fixture).as_deref(), Some("low on memory"));
    assert_eq!(fixture.ready("q").len(), 2);
    thread::scope(|scope| {
        let _end = EndAtDrop(&limit);
        scope.spawn(|| limit.run());
        drop(fixture.get("q"));
        assert_eq!(reason(&fixture).as_deref(), Some("low on memory"), "it is not acknowledged");
        fixture.drain("q");
        assert_eq!(fixture.channel.confirm(tag, SOON).unwrap(), Outcome::Accepted);
        until("the connection is unblocked", || reason(&fixture).is_none());
        for _ in 0..2 {
            fixture.broker.put("q", large("q")).unwrap();
        }
        post(&*fixture.channel, Content::new("", "q", "more"));
        assert_eq!(reason(&fixture).as_deref(), Some("low on memory"));
        fixture.purge("q");
        until("the connection is unblocked again", || reason(&fixture).is_none());
    });
}

#[test]
fn message_in_many_queues_counts_once() {
    let fixture = BrokerFixture::new();
    for name in ["a", "b", "c"] {
        fixture.queue(&Queue::new(name));
        fixture.bind(&Binding::queue("amq.fanout", name, ""));
    }
    let limit = MemoryLimit::new(LIMIT, [&fixture.broker]);
    fixture.send("amq.fanout", "", &"x".repeat(6000));
    let size = limit.held_bytes();
    assert!((6000..8000).contains(&size), "{size}");
    fixture.drain("a");
    fixture.purge("b");
    assert_eq!(limit.held_bytes(), size);
    fixture.drain("c");
    assert_eq!(limit.held_bytes(), 0);
}

#[test]
fn dead_letter_counts_until_its_last_queue_has_dropped_it() {
    let fixture = BrokerFixture::new();
    fixture.queue(&Queue::new("dead"));
    let first = Queue::new("first").message_ttl(Duration::from_secs(1));
    fixture.queue(&first.dead_letter_exchange("").dead_letter_routing_key("dead"));
    let limit = MemoryLimit::new(LIMIT, [&fixture.broker]);
    fixture.broker.put("first", large("first")).unwrap();
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.ready("dead").len(), 1);
    assert!((6000..8000).contains(&limit.held_bytes()), "{}", limit.held_bytes());
    fixture.drain("dead");
    assert_eq!(limit.held_bytes(), 0);
}

#[test]
fn messages_of_all_brokers_count_together() {
    let (one, other) = (BrokerFixture::with_queue(&Queue::new("q")), Broker::new());
    let limit = MemoryLimit::new(LIMIT, [&one.broker, &other, &other]);
    let fixture = BrokerFixture { broker: other.clone(), connector: other.connector(), ..one };
    let channel = fixture.stranger();
    channel.declare(carrot_core::backend::Declare::Queue(&Queue::new("q")), SOON).unwrap();
    for _ in 0..2 {
        fixture.broker.put("q", large("q")).unwrap();
    }
    // The publication is on the first broker.
    post(&*fixture.channel, Content::new("", "q", "more"));
    let session = other.open_session(&SessionSettings::new("guest"), |_| ());
    assert!(session.note_publication(), "both brokers are blocked");
    drop(limit);
    assert!(!session.note_publication());
}

#[test]
fn injected_alarm_remains_when_the_memory_suffices() {
    let (fixture, limit) = exceeded();
    fixture.broker.faults().block_publishers("low on disk");
    post(&*fixture.channel, Content::new("", "q", "more"));
    assert_eq!(reason(&fixture).as_deref(), Some("low on disk"));
    fixture.broker.faults().unblock_publishers();
    assert_eq!(reason(&fixture).as_deref(), Some("low on memory"));
    fixture.broker.faults().block_publishers("low on disk");
    drop(limit);
    assert_eq!(reason(&fixture).as_deref(), Some("low on disk"));
    fixture.broker.faults().clear();
    assert_eq!(reason(&fixture), None);
    assert_eq!(fixture.ready("q").len(), 3);
}

#[test]
fn dropped_limit_unblocks_publishers() {
    let (fixture, limit) = exceeded();
    let tag = post(&*fixture.channel, Content::new("", "q", "more"));
    drop(limit);
    assert_eq!(fixture.channel.confirm(tag, SOON).unwrap(), Outcome::Accepted);
    let content = std::sync::Arc::new(large("q"));
    fixture.channel.publish(&Publication::new(&content), SOON).unwrap();
    assert_eq!((reason(&fixture), fixture.ready("q").len()), (None, 4));
}

#[test]
fn session_that_publishes_while_blocked_waits_until_it_is_closed() {
    let (fixture, _limit) = exceeded();
    let session = fixture.broker.open_session(&SessionSettings::new("guest"), |_| ());
    assert!(!session.is_blocked());
    assert!(session.note_publication());
    assert!(session.is_blocked());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| session.wait_until_read());
        session.close();
        waiting.join().unwrap();
    });
}
