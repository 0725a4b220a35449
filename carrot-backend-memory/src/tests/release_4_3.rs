//! The differences of RabbitMQ 4.3 from 3.10, as observed on a node, that no conformance case
//! shows.

use std::time::Duration;

use crate::broker::Broker;
use crate::tests::{BrokerFixture, SOON, body};
use carrot_core::backend::{Acknowledgement, ConsumeOptions, Declare, Delivery, Extent, Rejection};
use carrot_core::{
    ConnectionOptions, DelayedRetry, Error, Headers, Properties, Queue, RabbitMqRelease, Value,
};

fn quorum() -> Queue {
    Queue::new("q").quorum()
}

fn settle(fixture: &BrokerFixture, delivery: &Delivery, rejection: Rejection) {
    fixture.channel.reject(delivery.tag, rejection, Extent::One).unwrap();
}

/// Returns the numbers of acquisitions and of failed deliveries that a delivery shows.
fn counts(delivery: &Delivery) -> [Option<i64>; 2] {
    ["x-acquired-count", "x-delivery-count"]
        .map(|name| delivery.content.properties.header(name).and_then(Value::as_i64))
}

#[test]
fn only_a_failed_delivery_counts() {
    let fixture = BrokerFixture::with_queue(&quorum());
    fixture.send("", "q", "m");
    for (rejection, shown) in [
        (Rejection::Requeue, [None, None]),
        (Rejection::RequeueFailed, [Some(1), None]),
        (Rejection::Requeue, [Some(2), Some(1)]),
        (Rejection::RequeueFailed, [Some(3), Some(1)]),
        (Rejection::Requeue, [Some(4), Some(2)]),
    ] {
        let delivery = fixture.get("q");
        assert_eq!(counts(&delivery), shown, "{rejection:?}");
        settle(&fixture, &delivery, rejection);
    }
}

#[test]
fn the_delivery_limit_defaults_to_twenty_and_a_negative_one_is_none() {
    for (limit, deliveries) in [
        (None, Some(21)),
        (Some(Value::from("a")), Some(21)),
        (Some(2.into()), Some(3)),
        (Some(0.into()), Some(1)),
        (Some((-1).into()), None),
    ] {
        let queue = match &limit {
            Some(limit) => quorum().argument("x-delivery-limit", limit.clone()),
            None => quorum(),
        };
        let fixture = BrokerFixture::with_queue(&queue);
        fixture.send("", "q", "m");
        for _ in 0..30 {
            settle(&fixture, &fixture.get("q"), Rejection::Requeue);
        }
        let mut failed = 0;
        while failed < 30
            && let Some(delivery) = fixture.channel.get("q", Acknowledgement::Manual, SOON).unwrap()
        {
            failed += 1;
            settle(&fixture, &delivery, Rejection::RequeueFailed);
        }
        assert_eq!(failed, deliveries.unwrap_or(30), "{limit:?}");
    }
}

#[test]
fn returned_messages_go_to_the_front_before_all_priorities() {
    let fixture = BrokerFixture::with_queue(&quorum());
    for (body, priority) in
        [("a", Some(1)), ("b", None), ("c", Some(4)), ("d", Some(31)), ("e", Some(255))]
    {
        let properties = match priority {
            Some(priority) => Properties::new().with_priority(priority),
            None => Properties::new(),
        };
        fixture.send_with("", "q", body, properties);
    }
    assert_eq!(fixture.ready("q"), ["d", "e", "b", "c", "a"]);
    let deliveries: Vec<Delivery> = (0..5).map(|_| fixture.get("q")).collect();
    for index in [4, 0, 2] {
        settle(&fixture, &deliveries[index], Rejection::Requeue);
    }
    assert_eq!(fixture.drain("q"), ["a", "d", "b"]);
}

#[test]
fn failures_are_counted_on_in_the_next_queue() {
    let fixture = BrokerFixture::new();
    fixture.queue(&quorum().argument("x-delivery-limit", 3));
    fixture.queue(&Queue::new("first").dead_letter_exchange("").dead_letter_routing_key("q"));
    fixture.send("", "first", "m");
    for _ in 0..4 {
        settle(&fixture, &fixture.get("first"), Rejection::Requeue);
    }
    for _ in 0..2 {
        settle(&fixture, &fixture.get("first"), Rejection::RequeueFailed);
    }
    settle(&fixture, &fixture.get("first"), Rejection::Discard);
    let letter = fixture.get("q");
    assert_eq!((letter.redelivered, counts(&letter)), (true, [Some(2), Some(2)]));
    settle(&fixture, &letter, Rejection::RequeueFailed);
    settle(&fixture, &fixture.get("q"), Rejection::RequeueFailed);
    assert!(fixture.broker.queue("q").unwrap().is_idle());
}

#[test]
fn discards_are_no_failures() {
    let fixture = BrokerFixture::new();
    fixture.queue(&Queue::new("dead"));
    fixture.queue(&Queue::new("q").dead_letter_exchange("").dead_letter_routing_key("dead"));
    ["a", "b"].iter().for_each(|body| drop(fixture.send("", "q", body)));
    for _ in 0..2 {
        settle(&fixture, &fixture.get("q"), Rejection::Discard);
        assert!(!fixture.get("dead").redelivered);
    }
}

#[test]
fn an_earlier_failure_is_not_shown_to_a_waiting_consumer_of_a_classic_queue() {
    for (dead, shown) in [(Queue::new("dead"), false), (Queue::new("dead").quorum(), true)] {
        let fixture = BrokerFixture::with_queue(&dead);
        fixture.queue(&Queue::new("q").dead_letter_exchange("").dead_letter_routing_key("dead"));
        let waiting = fixture.consume("dead", &ConsumeOptions::default());
        fixture.send("", "q", "m");
        settle(&fixture, &fixture.get("q"), Rejection::RequeueFailed);
        settle(&fixture, &fixture.get("q"), Rejection::Discard);
        assert_eq!(waiting.next(SOON).unwrap().unwrap().redelivered, shown, "{dead:?}");
    }
}

#[test]
fn properties_are_normalised() {
    for (release, expiration, names) in [
        (RabbitMqRelease::V3_10, "+007000", ["b", "a"]),
        (RabbitMqRelease::V4_3, "7000", ["a", "b"]),
    ] {
        let fixture = BrokerFixture::imitating(release);
        fixture.queue(&Queue::new("q"));
        let headers = Headers::from([("b", 1), ("a", 2)]);
        let properties = Properties::new().with_expiration("+007000").with_headers(headers);
        fixture.send_with("", "q", "m", properties);
        let properties = fixture.get("q").content.properties.clone();
        let shown: Vec<_> = properties.headers().unwrap().iter().map(|(name, _)| &**name).collect();
        assert_eq!((properties.expiration(), &shown[..]), (Some(expiration), &names[..]));
    }
}

#[test]
fn a_highest_priority_of_zero_is_one() {
    for (release, expected) in
        [(RabbitMqRelease::V3_10, ["a", "b"]), (RabbitMqRelease::V4_3, ["b", "a"])]
    {
        let fixture = BrokerFixture::imitating(release);
        fixture.queue(&Queue::new("q").argument("x-max-priority", 0));
        fixture.send("", "q", "a");
        fixture.send_with("", "q", "b", Properties::new().with_priority(5));
        assert_eq!(fixture.drain("q"), expected, "{release}");
    }
}

#[test]
fn arguments_that_4_3_reads_otherwise() {
    const PRECONDITION: &str = "PRECONDITION_FAILED";
    const INTERNAL: &str = "541";
    let rows: [(&str, &str, Value, [&str; 2]); 11] = [
        ("q", "x-queue-version", 1.into(), ["", PRECONDITION]),
        ("q", "x-queue-mode", "other".into(), [PRECONDITION, ""]),
        ("q", "x-queue-type", "".into(), [PRECONDITION, ""]),
        ("", "x-queue-type", "other".into(), [INTERNAL, PRECONDITION]),
        ("", "x-queue-type", false.into(), [INTERNAL, PRECONDITION]),
        ("", "x-queue-type", Value::Void, [INTERNAL, PRECONDITION]),
        ("", "x-queue-type", 5.into(), [INTERNAL, INTERNAL]),
        ("q", "x-queue-master-locator", "random".into(), ["", INTERNAL]),
        ("q", "x-queue-leader-locator", "random".into(), [PRECONDITION, ""]),
        ("q", "x-consumer-timeout", 5.into(), ["", PRECONDITION]),
        ("q", "x-delayed-retry-type", "all".into(), ["", PRECONDITION]),
    ];
    for (name, argument, value, expected) in rows {
        for (release, expected) in RabbitMqRelease::ALL.iter().zip(expected) {
            let fixture = BrokerFixture::imitating(*release);
            let queue = Queue::new(name).argument(argument, value.clone());
            let declared = fixture.channel.declare(Declare::Queue(&queue), SOON);
            let words = declared.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(
                words.contains(expected) && expected.is_empty() == words.is_empty(),
                "{release}, {argument} {value:?}: {words:?}"
            );
        }
    }
}

#[test]
fn get_beside_a_single_active_consumer_of_a_quorum_queue_is_refused() {
    for release in RabbitMqRelease::ALL {
        let fixture = BrokerFixture::imitating(*release);
        fixture.queue(&quorum().argument("x-single-active-consumer", true));
        let got = fixture.channel.get("q", Acknowledgement::Manual, SOON);
        assert!(matches!(got, Err(Error::ResourceLocked { .. })), "{release}: {got:?}");
    }
}

#[test]
fn a_fetched_message_of_a_quorum_queue_counts_as_a_consumer() {
    for (queue, counted) in [(quorum(), 2), (Queue::new("q"), 0)] {
        let fixture = BrokerFixture::with_queue(&queue);
        let consumers = || fixture.queue(&queue).consumer_count;
        ["a", "b", "c"].iter().for_each(|body| drop(fixture.send("", "q", body)));
        let first = fixture.get("q");
        let other = fixture.stranger();
        other.get("q", Acknowledgement::Manual, SOON).unwrap().unwrap();
        other.get("q", Acknowledgement::Automatic, SOON).unwrap().unwrap();
        assert_eq!(consumers(), counted);
        fixture.channel.ack(first.tag, Extent::One).unwrap();
        assert_eq!(consumers(), counted / 2);
        other.close(SOON).unwrap();
        assert_eq!(consumers(), 0);
    }
}

#[test]
fn a_lost_connection_counts_and_a_closed_channel_does_not() {
    let fixture = BrokerFixture::with_queue(&quorum());
    fixture.send("", "q", "m");
    let closed = fixture.stranger();
    closed.get("q", Acknowledgement::Manual, SOON).unwrap().unwrap();
    closed.close(SOON).unwrap();
    let options = ConnectionOptions::memory().name("lost");
    let lost = crate::tests::open(&*fixture.broker.connector_with(&options).unwrap());
    let delivery = lost.get("q", Acknowledgement::Manual, SOON).unwrap().unwrap();
    assert_eq!(counts(&delivery), [Some(1), None]);
    fixture.broker.faults().drop_connections_named("lost").unwrap();
    assert_eq!(counts(&fixture.get("q")), [Some(2), Some(1)]);
}

/// A queue with pauses of one, two and at most three seconds.
fn delaying(delayed: DelayedRetry) -> Queue {
    quorum().delayed_retry(delayed, Duration::from_secs(1), Duration::from_secs(3))
}

/// Returns the numbers of ready and of delayed messages.
fn held(fixture: &BrokerFixture) -> [usize; 2] {
    let queue = fixture.broker.queue("q").unwrap();
    [queue.ready.len(), queue.delayed.len()]
}

#[test]
fn failed_messages_are_delayed_longer_each_time() {
    let fixture = BrokerFixture::with_queue(&delaying(DelayedRetry::Failed));
    fixture.send("", "q", "m");
    for pause in [1, 2, 3, 3] {
        settle(&fixture, &fixture.get("q"), Rejection::RequeueFailed);
        fixture.clock.advance(Duration::from_secs(pause) - Duration::from_millis(1));
        assert_eq!(held(&fixture), [0, 1], "{pause} s");
        fixture.clock.advance(Duration::from_millis(1));
        assert_eq!(held(&fixture), [1, 0], "{pause} s");
    }
    settle(&fixture, &fixture.get("q"), Rejection::Requeue);
    assert_eq!(held(&fixture), [1, 0]);
}

#[test]
fn each_kind_of_return_is_delayed_as_asked() {
    for (delayed, [failed, returned]) in [
        (DelayedRetry::All, [true, true]),
        (DelayedRetry::Failed, [true, false]),
        (DelayedRetry::Returned, [false, true]),
    ] {
        for (rejection, is_delayed) in
            [(Rejection::RequeueFailed, failed), (Rejection::Requeue, returned)]
        {
            let fixture = BrokerFixture::with_queue(&delaying(delayed));
            fixture.send("", "q", "m");
            settle(&fixture, &fixture.get("q"), rejection);
            let expected = if is_delayed { [0, 1] } else { [1, 0] };
            assert_eq!(held(&fixture), expected, "{delayed:?} {rejection:?}");
        }
    }
}

#[test]
fn delayed_messages_count_towards_the_length_and_are_purged() {
    let fixture = BrokerFixture::with_queue(&delaying(DelayedRetry::All).max_length(2));
    ["a", "b"].iter().for_each(|body| drop(fixture.send("", "q", body)));
    settle(&fixture, &fixture.get("q"), Rejection::Requeue);
    assert_eq!(held(&fixture), [1, 1]);
    fixture.send("", "q", "c");
    assert_eq!((held(&fixture), &*body(&fixture.get("q"))), ([1, 1], "c"));
    assert!(!fixture.broker.queue("q").unwrap().is_idle());
    assert_eq!(fixture.purge("q"), 1);
    assert_eq!(held(&fixture), [0, 0]);
}

#[test]
fn senseless_delays_are_none() {
    for (name, value) in [
        ("x-delayed-retry-type", "bogus".into()),
        ("x-delayed-retry-type", 5.into()),
        ("x-delayed-retry-min", 0.into()),
        ("x-delayed-retry-min", (-1).into()),
        ("x-delayed-retry-min", "x".into()),
    ] {
        let queue = delaying(DelayedRetry::All).argument(name, Value::clone(&value));
        let fixture = BrokerFixture::with_queue(&queue);
        fixture.send("", "q", "m");
        settle(&fixture, &fixture.get("q"), Rejection::Requeue);
        assert_eq!(held(&fixture), [1, 0], "{name} {value:?}");
    }
}

#[test]
fn quorum_by_default_applies_to_durable_shared_queues_only() {
    let kind = |queue: &Queue| {
        let fixture = BrokerFixture::built(Broker::builder().quorum_by_default());
        fixture.queue(queue);
        let arguments = fixture.broker.queue("q").unwrap().definition.arguments;
        arguments.get("x-queue-type").and_then(Value::as_str).map(String::from)
    };
    let queue = Queue::new("q");
    assert_eq!(kind(&queue).as_deref(), Some("quorum"));
    assert_eq!(kind(&queue.clone().classic()).as_deref(), Some("classic"));
    for classic in [queue.clone().transient(), queue.clone().auto_delete(), queue.exclusive()] {
        assert_eq!(kind(&classic), None, "{classic:?}");
    }
}
