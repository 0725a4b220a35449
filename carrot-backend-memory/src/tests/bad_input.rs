use std::time::Duration;

use carrot_core::backend::{Acknowledgement, ConsumeOptions, Content, Declare, Delete, Outcome};
use carrot_core::{Binding, ConnectionOptions, Error, Properties, Queue};

use crate::broker::Broker;
use crate::broker::fault_plan::Operation;
use crate::clock::ManualClock;
use crate::tests::{BrokerFixture, SOON, open, returned, send};

fn large(bytes: usize) -> Properties {
    Properties::new().with_header("h", "x".repeat(bytes))
}

fn is_invalid<T>(result: Result<T, Error>, field: &str) -> bool {
    matches!(result, Err(Error::Invalid { field: found, .. }) if found == field)
}

#[test]
fn value_beyond_a_frame_is_refused_without_effect() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let channel = &fixture.channel;
    assert!(is_invalid(
        send(&**channel, Content::new("", "q", "m").with_properties(large(131_072))),
        "headers"
    ));
    let text = "x".repeat(131_072);
    let binding = Binding::queue("amq.headers", "q", "").argument("h", text.as_str());
    assert!(is_invalid(
        channel.declare(Declare::Queue(&Queue::new("r").argument("h", text.as_str())), SOON),
        "queue arguments"
    ));
    assert!(is_invalid(channel.declare(Declare::Binding(&binding), SOON), "binding arguments"));
    assert!(is_invalid(channel.delete(Delete::Binding(&binding), SOON), "binding arguments"));
    assert!(is_invalid(
        channel
            .consume("q", &ConsumeOptions::default().argument("h", text.as_str()), SOON)
            .map(drop),
        "consumer arguments"
    ));
    assert_eq!(fixture.send_with("", "q", &text, large(130_000)), Outcome::Accepted);
}

#[test]
fn frame_limit_can_be_lowered_and_not_raised() {
    for (frame_max, bytes, fits) in [
        (0, 130_000, true),
        (1, 4000, true),
        (4096, 4000, true),
        (4096, 4096, false),
        (1 << 20, 131_072, false),
    ] {
        let broker = Broker::new();
        let connector =
            broker.connector_with(&ConnectionOptions::memory().frame_max(frame_max)).unwrap();
        let sent = send(
            &*open(&*connector),
            Content::new("amq.fanout", "", "m").with_properties(large(bytes)),
        );
        assert_eq!(sent.is_ok(), fits, "{frame_max} {bytes}: {sent:?}");
    }
}

#[test]
fn clock_advanced_by_zero_or_a_century_handles_all_that_is_due() {
    let clock = ManualClock::new();
    let broker = Broker::with_clock(&clock);
    let channel = open(&*broker.connector());
    let longest = Duration::from_millis(315_360_000_000);
    for (name, queue) in
        [("a", Queue::new("a").message_ttl(longest)), ("b", Queue::new("b").expires(longest))]
    {
        channel.declare(Declare::Queue(&queue), SOON).unwrap();
        broker.put(name, Content::new("", name, "m")).unwrap();
    }
    clock.advance(Duration::ZERO);
    assert_eq!(broker.queue("a").unwrap().ready.len(), 1);
    clock.advance(Duration::from_secs(100 * 365 * 86_400));
    assert!(broker.queue("a").unwrap().is_idle());
    assert!(broker.queue("b").is_none());

    clock.advance(Duration::MAX);
    clock.advance(Duration::MAX);
    broker.put("a", Content::new("", "a", "at the end of time")).unwrap();
    channel.declare(Declare::Queue(&Queue::new("late").message_ttl(longest)), SOON).unwrap();
    broker.put("late", Content::new("", "late", "m")).unwrap();
    clock.advance(Duration::ZERO);
    assert!(channel.get("late", Acknowledgement::Automatic, SOON).is_ok());
}

#[test]
fn clock_advanced_with_a_self_dead_lettering_queue_ends() {
    let fixture = BrokerFixture::new();
    let minute = Duration::from_secs(60);
    fixture.queue(
        &Queue::new("a").message_ttl(minute).dead_letter_exchange("").dead_letter_routing_key("b"),
    );
    fixture.queue(
        &Queue::new("b").message_ttl(minute).dead_letter_exchange("").dead_letter_routing_key("a"),
    );
    fixture.send("", "a", "m");
    fixture.clock.advance(Duration::from_secs(100 * 365 * 86_400));
    fixture.broker.wait_until_idle(SOON).unwrap();
}

#[test]
fn fault_plan_without_matching_operations_has_no_effect() {
    let broker = Broker::new();
    let faults = broker.faults();
    faults.unblock_publishers().clear().drop_connections();
    assert!(matches!(faults.drop_connections_named("nobody"), Err(Error::NotFound { .. })));
    faults
        .nack_publishes(0)
        .refuse_connects(0)
        .lose_confirms(0)
        .delay(Operation::Any, SOON, 0)
        .drop_connections_at(Operation::Get, 0);
    assert_eq!(faults.outstanding(), 0);
    faults.drop_connections_at(Operation::Get, u32::MAX).nack_publishes(u32::MAX);
    assert_eq!(faults.outstanding(), 2);
    faults.clear();
    let channel = open(&*broker.connector());
    assert_eq!(send(&*channel, Content::new("", "nobody", "m")).unwrap(), returned());
}

#[test]
fn missing_entities_are_reported_as_missing() {
    let fixture = BrokerFixture::new();
    assert!(matches!(
        fixture.broker.put("missing", Content::default()),
        Err(Error::NotFound { .. })
    ));
    assert!(fixture.broker.queue("missing").is_none());
    assert!(fixture.broker.exchange("missing").is_none());
    assert!(fixture.broker.bindings("missing").is_empty());
    assert!(fixture.broker.record("missing").messages().is_empty());
}

#[test]
fn put_refuses_a_message_that_no_client_could_receive() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let put = |properties| {
        fixture.broker.put("q", Content::new("", "q", "m").with_properties(properties))
    };
    assert!(is_invalid(put(Properties::new().with_message_id("i".repeat(256))), "message-id"));
    assert!(is_invalid(put(large(131_072)), "headers"));
    assert!(fixture.broker.queue("q").unwrap().is_idle());
}
