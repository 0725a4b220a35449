//! Quorum queues, as observed on a node of RabbitMQ 3.10. Those of 4.3 have a file of their own.

use carrot_core::backend::{
    Acknowledgement, ConsumeOptions, Content, Declare, Delete, DeleteIf, Delivery, Extent, Outcome,
    Rejection, Role,
};
use carrot_core::{ConnectionOptions, Error, Properties, Queue, RabbitMqRelease, Value};

use crate::tests::{BrokerFixture, SOON, body, open};

fn queue() -> Queue {
    Queue::new("q").quorum()
}

fn with_queue(queue: &Queue) -> BrokerFixture {
    let fixture = BrokerFixture::imitating(RabbitMqRelease::V3_10);
    fixture.queue(queue);
    fixture
}

fn limited(limit: impl Into<Value>) -> Queue {
    queue()
        .argument("x-delivery-limit", limit)
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead")
}

fn fixture(queue: &Queue, bodies: &[&str]) -> BrokerFixture {
    let fixture = with_queue(queue);
    fixture.queue(&Queue::new("dead"));
    bodies.iter().for_each(|body| assert_eq!(fixture.send("", "q", body), Outcome::Accepted));
    fixture
}

fn requeue(fixture: &BrokerFixture, delivery: &Delivery, extent: Extent) {
    fixture.channel.reject(delivery.tag, Rejection::Requeue, extent).unwrap();
}

fn count(delivery: &Delivery) -> Option<&Value> {
    delivery.content.properties.header("x-delivery-count")
}

#[test]
fn quorum_queue_not_durable_or_not_shared_is_refused() {
    for refused in [queue().transient(), queue().exclusive(), queue().auto_delete()] {
        let fixture = BrokerFixture::imitating(RabbitMqRelease::V3_10);
        let result = fixture.channel.declare(Declare::Queue(&refused), SOON);
        assert!(matches!(result, Err(Error::PreconditionFailed { .. })), "{refused:?}");
    }
    with_queue(&queue());
}

#[test]
fn quorum_queue_with_foreign_arguments_is_refused() {
    type QuorumRow = (&'static str, Value, bool);
    let rows: [QuorumRow; 21] = [
        ("x-max-priority", 5.into(), false),
        ("x-queue-mode", "lazy".into(), false),
        ("x-queue-version", 2.into(), false),
        ("x-queue-master-locator", "random".into(), false),
        ("x-max-age", "1D".into(), false),
        ("x-initial-cluster-size", 3.into(), false),
        ("x-stream-max-segment-size-bytes", 100.into(), false),
        ("x-delivery-limit", (-1).into(), true),
        ("x-delivery-limit", "a".into(), true),
        ("x-max-in-memory-length", 3.into(), true),
        ("x-max-in-memory-length", (-3).into(), false),
        ("x-max-in-memory-bytes", "x".into(), false),
        ("x-quorum-initial-group-size", 3.into(), true),
        ("x-quorum-initial-group-size", 0.into(), false),
        ("x-queue-leader-locator", "balanced".into(), true),
        ("x-queue-leader-locator", "bogus".into(), false),
        ("x-queue-leader-locator", 3.into(), false),
        ("x-dead-letter-strategy", "at-least-once".into(), true),
        ("x-dead-letter-strategy", "bogus".into(), false),
        ("x-single-active-consumer", true.into(), true),
        ("x-unknown", 1.into(), true),
    ];
    for (name, value, taken) in rows {
        let fixture = BrokerFixture::imitating(RabbitMqRelease::V3_10);
        let result =
            fixture.channel.declare(Declare::Queue(&queue().argument(name, value.clone())), SOON);
        match result {
            Ok(_) => assert!(taken, "{name} {value:?} was taken"),
            Err(error) => assert!(
                !taken && matches!(error, Error::PreconditionFailed { .. }),
                "{name} {value:?}: {error}"
            ),
        }
    }
}

#[test]
fn quorum_queue_declared_again_compares_its_own_arguments() {
    for other in [Queue::new("q"), limited(4), queue()] {
        let fixture = fixture(&limited(3), &[]);
        fixture.queue(&limited(3_i64));
        assert!(
            matches!(
                fixture.channel.declare(Declare::Queue(&other), SOON),
                Err(Error::PreconditionFailed { .. })
            ),
            "{other:?}"
        );
    }
}

#[test]
fn stream_declaration_is_refused() {
    let stream = Queue::new("q").argument("x-queue-type", "stream");
    let error = BrokerFixture::imitating(RabbitMqRelease::V3_10)
        .channel
        .declare(Declare::Queue(&stream), SOON)
        .unwrap_err();
    assert!(
        matches!(&error, Error::PreconditionFailed { reason } if reason.contains("not modelled by the memory broker")),
        "{error}"
    );
}

#[test]
fn delivery_count_is_shown_by_get_always_and_by_consume_after_return() {
    let fixture = with_queue(&queue());
    let own = Properties::new().with_header("x-delivery-count", 7).with_header("k", "v");
    fixture.send_with("", "q", "m", own);
    let first = fixture.get("q");
    assert_eq!((first.redelivered, count(&first)), (false, Some(&Value::I64(0))));
    assert_eq!(first.content.properties.header("k"), Some(&Value::from("v")));
    fixture.channel.ack(first.tag, Extent::One).unwrap();

    fixture.send("", "q", "n");
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    for returns in 0..3 {
        let delivery = subscription.next(SOON).unwrap().unwrap();
        let expected = (returns > 0).then_some(Value::I64(returns));
        assert_eq!((delivery.redelivered, count(&delivery)), (returns > 0, expected.as_ref()));
        requeue(&fixture, &delivery, Extent::One);
    }
}

#[test]
fn message_beyond_delivery_limit_is_dead_lettered() {
    for (limit, deliveries) in [(0, 1), (2, 3), (-1, 1)] {
        let fixture = fixture(&limited(limit), &["m"]);
        for _ in 0..deliveries {
            requeue(&fixture, &fixture.get("q"), Extent::One);
        }
        assert!(fixture.ready("q").is_empty(), "limit {limit}");
        let dead = fixture.get("dead");
        let properties = &dead.content.properties;
        assert_eq!(properties.header("x-first-death-reason"), Some(&Value::from("delivery_limit")));
        assert_eq!(count(&dead), None);
    }
}

#[test]
fn delivery_limit_counts_lost_channels_and_drops_without_exchange() {
    let fixture = fixture(&queue().argument("x-delivery-limit", 1), &["m"]);
    for redelivered in [false, true] {
        let channel = fixture.stranger();
        assert_eq!(
            channel.get("q", Acknowledgement::Manual, SOON).unwrap().unwrap().redelivered,
            redelivered
        );
        channel.close(SOON).unwrap();
    }
    assert!(fixture.broker.queue("q").unwrap().is_idle());
}

#[test]
fn delivery_limit_that_is_no_number_is_ignored() {
    let fixture = fixture(&limited("a"), &["m"]);
    for _ in 0..5 {
        requeue(&fixture, &fixture.get("q"), Extent::One);
    }
    assert_eq!(fixture.ready("q"), ["m"]);
}

#[test]
fn requeued_message_without_delivery_limit_goes_to_the_end() {
    let fixture = fixture(&queue(), &["1", "2", "3", "4"]);
    let first = fixture.get("q");
    fixture.get("q");
    let third = fixture.get("q");
    requeue(&fixture, &first, Extent::One);
    assert_eq!(fixture.ready("q"), ["4", "1"]);
    requeue(&fixture, &third, Extent::UpTo);
    assert_eq!(fixture.drain("q"), ["4", "1", "2", "3"]);
}

#[test]
fn requeued_messages_with_delivery_limit_go_to_the_front() {
    let fixture = fixture(&limited(5), &["1", "2", "3", "4"]);
    let deliveries = [fixture.get("q"), fixture.get("q"), fixture.get("q")];
    for index in [1, 0, 2] {
        requeue(&fixture, &deliveries[index], Extent::One);
    }
    assert_eq!(fixture.drain("q"), ["2", "1", "3", "4"]);
}

#[test]
fn messages_of_lost_channels_go_to_the_front_in_order_of_loss() {
    let fixture = fixture(&queue(), &["1", "2", "3", "4", "5"]);
    let connectors = ["one", "two"].map(|name| {
        fixture.broker.connector_with(&ConnectionOptions::memory().name(name)).unwrap()
    });
    let channels = [open(&*connectors[0]), open(&*connectors[1])];
    for channel in &channels {
        for _ in 0..2 {
            channel.get("q", Acknowledgement::Manual, SOON).unwrap().unwrap();
        }
    }
    for name in ["two", "one"] {
        fixture.broker.faults().drop_connections_named(name).unwrap();
    }
    assert_eq!(fixture.drain("q"), ["3", "4", "1", "2", "5"]);
}

#[test]
fn quorum_queue_ignores_message_priorities() {
    let fixture = with_queue(&queue());
    for priority in [1, 9] {
        fixture.send_with(
            "",
            "q",
            &priority.to_string(),
            Properties::new().with_priority(priority),
        );
    }
    assert_eq!(fixture.drain("q"), ["1", "9"]);
}

#[test]
fn quorum_queue_with_reject_publish_dlx_drops_its_head() {
    let queue = queue().max_length(2).overflow(carrot_core::Overflow::RejectPublishDeadLetter);
    let fixture = fixture(
        &queue.dead_letter_exchange("").dead_letter_routing_key("dead"),
        &["1", "2", "3", "4"],
    );
    assert_eq!(fixture.drain("q"), ["3", "4"]);
    assert_eq!(fixture.drain("dead"), ["1", "2"]);
}

#[test]
fn quorum_queue_deleted_on_condition_closes_the_connection() {
    for condition in [DeleteIf::UNUSED, DeleteIf::EMPTY] {
        let fixture = with_queue(&queue());
        let result = fixture.channel.delete(Delete::Queue { name: "q", condition }, SOON);
        assert!(
            matches!(result, Err(Error::HardError { code: 540, .. })),
            "{condition:?}: {result:?}"
        );
        assert!(!fixture.connector.status(Role::Publish).connected);
    }
    let fixture = fixture(&queue(), &["m"]);
    let deleted = fixture
        .channel
        .delete(Delete::Queue { name: "q", condition: DeleteIf::ALWAYS }, SOON)
        .unwrap();
    assert_eq!(deleted.message_count, 1);
}

#[test]
fn quorum_queue_expired_message_is_dead_lettered() {
    let ttl = std::time::Duration::from_secs(60);
    let fixture = fixture(
        &queue().message_ttl(ttl).dead_letter_exchange("").dead_letter_routing_key("dead"),
        &["m"],
    );
    fixture.clock.advance(ttl);
    assert_eq!(fixture.drain("dead"), ["m"]);
    let content =
        Content::new("", "q", "n").with_properties(Properties::new().with_expiration("1000"));
    fixture.broker.put("q", content).unwrap();
    fixture.clock.advance(ttl);
    assert_eq!(body(&fixture.get("dead")), "n");
}
