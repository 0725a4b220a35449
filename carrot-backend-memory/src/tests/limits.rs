use std::time::Duration;

use carrot_core::backend::{Acknowledgement, ConsumeOptions, Content, Extent, Outcome, Rejection};
use carrot_core::{Binding, Error, Overflow, Properties, Queue};

use crate::tests::{BrokerFixture, SOON, arrived, open, send};

const MILLISECOND: Duration = Duration::from_millis(1);

fn expiring(milliseconds: &str) -> Properties {
    Properties::new().with_expiration(milliseconds)
}

#[test]
fn shorter_of_queue_ttl_and_expiration_applies() {
    let fixture =
        BrokerFixture::with_queue(&Queue::new("q").message_ttl(Duration::from_millis(100)));
    fixture.send_with("", "q", "short", expiring("50"));
    fixture.send_with("", "q", "long", expiring("500"));
    fixture.clock.advance(49 * MILLISECOND);
    assert_eq!(fixture.ready("q"), ["short", "long"]);
    fixture.clock.advance(MILLISECOND);
    assert_eq!(fixture.ready("q"), ["long"]);
    fixture.clock.advance(50 * MILLISECOND);
    fixture.broker.wait_until_idle(SOON).unwrap();
}

#[test]
fn expired_message_behind_the_head_stays() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.send("", "q", "stays");
    fixture.send_with("", "q", "expired", expiring("10"));
    fixture.clock.advance(20 * MILLISECOND);
    assert_eq!(fixture.ready("q"), ["stays", "expired"]);
    fixture.get("q");
    assert_eq!(fixture.drain("q"), Vec::<String>::new());
}

#[test]
fn ttl_of_zero_without_waiting_consumer_drops() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q").message_ttl(Duration::ZERO));
    assert_eq!(fixture.send("", "q", "lost"), Outcome::Accepted);
    assert_eq!(fixture.drain("q"), Vec::<String>::new());
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    fixture.send("", "q", "m");
    assert_eq!(arrived(&*subscription), ["m"]);
}

#[test]
fn requeued_message_keeps_its_expiry() {
    let fixture =
        BrokerFixture::with_queue(&Queue::new("q").message_ttl(Duration::from_millis(100)));
    fixture.send("", "q", "m");
    let held = fixture.get("q");
    fixture.clock.advance(200 * MILLISECOND);
    fixture.channel.reject(held.tag, Rejection::Requeue, Extent::One).unwrap();
    assert_eq!(fixture.channel.get("q", Acknowledgement::Manual, SOON).unwrap(), None);
}

#[test]
fn expiration_that_is_no_whole_number_is_refused() {
    for (expiration, valid) in [
        ("0", true),
        ("007", true),
        ("+5", true),
        ("-0", true),
        ("315360000000", true),
        ("", false),
        ("abc", false),
        ("-1", false),
        ("1.5", false),
        (" 5", false),
        ("315360000001", false),
        ("99999999999999999999999", false),
    ] {
        let fixture = BrokerFixture::with_queue(&Queue::new("q"));
        let sent = send(
            &*fixture.channel,
            Content::new("", "q", "m").with_properties(expiring(expiration)),
        );
        assert_eq!(matches!(sent, Ok(Outcome::Accepted)), valid, "{expiration:?}: {sent:?}");
        assert_eq!(
            matches!(sent, Err(Error::PreconditionFailed { .. })),
            !valid,
            "{expiration:?}: {sent:?}"
        );
    }
}

#[test]
fn queue_beyond_its_length_drops_its_head() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q").max_length(2));
    for body in ["a", "b"] {
        fixture.send("", "q", body);
    }
    let held = fixture.get("q");
    assert_eq!(fixture.send("", "q", "c"), Outcome::Accepted);
    assert_eq!(fixture.ready("q"), ["b", "c"]);
    fixture.channel.reject(held.tag, Rejection::Requeue, Extent::One).unwrap();
    assert_eq!(fixture.drain("q"), ["b", "c"]);
}

#[test]
fn length_of_zero_without_waiting_consumer_drops() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q").max_length(0));
    fixture.send("", "q", "lost");
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    fixture.send("", "q", "m");
    assert_eq!(arrived(&*subscription), ["m"]);
}

#[test]
fn length_in_bytes_counts_bodies_only() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q").max_length_bytes(10));
    for body in ["aaaaa", "bbbbb", "c"] {
        fixture.send_with(
            "",
            "q",
            body,
            Properties::new().with_message_id("a long identifier that does not count"),
        );
    }
    assert_eq!(fixture.drain("q"), ["bbbbb", "c"]);
}

#[test]
fn full_queue_with_reject_publish_refuses() {
    let fixture = BrokerFixture::with_queue(
        &Queue::new("full").max_length(1).overflow(Overflow::RejectPublish),
    );
    fixture.queue(&Queue::new("open"));
    for queue in ["full", "open"] {
        fixture.bind(&Binding::queue("amq.fanout", queue, ""));
    }
    assert_eq!(fixture.send("amq.fanout", "", "a"), Outcome::Accepted);
    assert_eq!(fixture.send("amq.fanout", "", "b"), Outcome::Refused);
    assert_eq!(fixture.drain("full"), ["a"]);
    assert_eq!(fixture.drain("open"), ["a", "b"]);
    assert_eq!(fixture.send("", "full", "c"), Outcome::Accepted);
}

#[test]
fn full_priority_queue_drops_the_highest_priority() {
    let fixture =
        BrokerFixture::with_queue(&Queue::new("q").argument("x-max-priority", 5).max_length(2));
    for (body, priority) in [("0", 1), ("1", 9), ("2", 3), ("3", 0)] {
        fixture.send_with("", "q", body, Properties::new().with_priority(priority));
    }
    assert_eq!(fixture.drain("q"), ["0", "3"]);
}

#[test]
fn user_id_of_another_user_is_refused() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    assert_eq!(
        fixture.send_with("", "q", "m", Properties::new().with_user_id("guest")),
        Outcome::Accepted
    );
    let sent = send(
        &*fixture.channel,
        Content::new("", "q", "m").with_properties(Properties::new().with_user_id("other")),
    );
    assert!(matches!(sent, Err(Error::PreconditionFailed { .. })));
}

#[test]
fn real_clock_expires_messages_without_a_call() {
    let broker = crate::Broker::new();
    let channel = open(&*broker.connector());
    let queue = Queue::new("q")
        .message_ttl(Duration::from_millis(5))
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    channel.declare(carrot_core::backend::Declare::Queue(&queue), SOON).unwrap();
    channel.declare(carrot_core::backend::Declare::Queue(&Queue::new("dead")), SOON).unwrap();
    let subscription = channel.consume("dead", &ConsumeOptions::default(), SOON).unwrap();
    for round in 0..3 {
        send(&*channel, Content::new("", "q", "m")).unwrap();
        assert!(subscription.next(SOON).unwrap().is_some(), "{round}");
    }
}

#[test]
fn manual_clock_advanced_a_century_returns_at_once() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q").expires(Duration::from_secs(3600)));
    fixture.clock.advance(Duration::ZERO);
    assert!(fixture.broker.queue("q").is_some());
    fixture.clock.advance(Duration::from_secs(100 * 365 * 86_400));
    assert!(fixture.broker.queue("q").is_none());
    fixture.clock.advance(Duration::MAX);
    fixture.queue(&Queue::new("q").message_ttl(Duration::from_secs(1)));
    fixture.send("", "q", "m");
}
