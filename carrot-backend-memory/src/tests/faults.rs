use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_core::backend::{
    Acknowledgement, ChannelOptions, ConsumeOptions, Content, Declare, Extent, Outcome,
    Publication, Rejection,
};
use carrot_core::{Error, Properties, Queue};

use crate::broker::fault_plan::Operation;
use crate::driver::connector::MemoryConnector;
use crate::tests::{BrokerFixture, SOON, arrived, open, send};

const MOMENT: Duration = Duration::from_millis(10);

fn message(body: &str) -> Content {
    Content::new("", "q", body)
}

#[test]
fn lost_connection_requeues_and_the_next_open_reconnects() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.queue(&Queue::new("mine").exclusive());
    fixture.send("", "q", "m");
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    let delivery = subscription.next(SOON).unwrap().unwrap();
    fixture.broker.faults().drop_connections();
    assert!(matches!(subscription.next(SOON), Err(Error::Disconnected { .. })));
    assert!(matches!(
        fixture.channel.ack(delivery.tag, Extent::One),
        Err(Error::Stale { source: Some(_) })
    ));
    assert!(matches!(send(&*fixture.channel, message("x")), Err(Error::Disconnected { .. })));
    assert!(fixture.broker.queue("mine").is_none());
    assert!(fixture.open().get("q", Acknowledgement::Manual, SOON).unwrap().unwrap().redelivered);
}

#[test]
fn connections_are_dropped_at_the_nth_operation() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.broker.faults().drop_connections_at(Operation::Any, 3);
    assert_eq!(fixture.send("", "q", "1"), Outcome::Accepted);
    assert_eq!(fixture.send("", "q", "2"), Outcome::Accepted);
    assert!(matches!(send(&*fixture.channel, message("3")), Err(Error::Disconnected { .. })));
    assert_eq!(fixture.ready("q"), ["1", "2"]);
    assert_eq!(fixture.broker.faults().outstanding(), 0);
}

#[test]
fn connection_dropped_at_confirm_has_accepted_the_message() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.broker.faults().drop_connections_at(Operation::Confirm, 1);
    assert!(matches!(send(&*fixture.channel, message("m")), Err(Error::Disconnected { .. })));
    assert_eq!(fixture.ready("q"), ["m"]);
}

#[test]
fn connection_dropped_by_name_leaves_others() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let faults = fixture.broker.faults();
    assert!(matches!(faults.drop_connections_named("missing"), Err(Error::NotFound { .. })));
    faults.drop_connections_named("").unwrap();
    assert!(fixture.channel.get("q", Acknowledgement::Manual, SOON).is_err());
}

#[test]
fn refused_connects_fail_as_often_as_planned() {
    let fixture = BrokerFixture::new();
    fixture.broker.faults().refuse_connects(2);
    fixture.open();
    let connector = fixture.broker.connector();
    for _ in 0..2 {
        let refused = connector.open(&ChannelOptions::publish(), SOON).unwrap_err();
        assert!(matches!(refused, Error::Connect { .. }) && refused.is_retryable());
    }
    connector.open(&ChannelOptions::publish(), SOON).unwrap();
}

#[test]
fn nacked_publications_fail_as_often_as_planned() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.broker.faults().nack_publishes(2);
    let outcomes: Vec<Outcome> = (0..3).map(|_| fixture.send("", "q", "m")).collect();
    assert_eq!(outcomes, [Outcome::Refused, Outcome::Refused, Outcome::Accepted]);
    assert_eq!(fixture.ready("q").len(), 1);
}

#[test]
fn lost_confirm_times_out_and_the_message_arrives() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.broker.faults().lose_confirms(1);
    let content = Arc::new(message("m"));
    let tag = fixture.channel.publish(&Publication::new(&content), SOON).unwrap();
    assert!(matches!(fixture.channel.confirm(tag, MOMENT), Err(Error::Timeout { .. })));
    assert_eq!(fixture.send("", "q", "next"), Outcome::Accepted);
    assert_eq!(fixture.ready("q"), ["m", "next"]);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| fixture.channel.confirm(tag, SOON));
        fixture.channel.close(SOON).unwrap();
        assert!(matches!(waiting.join().unwrap(), Err(Error::Closed { .. })));
    });
}

#[test]
fn operation_with_planned_error_fails_with_it() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let faults = fixture.broker.faults();
    let refusal = || Error::AccessRefused { reason: "as ordered".into() };
    let odd = || Error::Backend { reason: "as ordered".into(), source: None };

    faults.fail_next(Operation::Declare, odd());
    assert!(matches!(
        fixture.channel.declare(Declare::Queue(&Queue::new("other")), SOON),
        Err(Error::Backend { .. })
    ));
    assert!(fixture.broker.queue("other").is_none());
    fixture.queue(&Queue::new("other"));

    faults.fail_next(Operation::Publish, refusal());
    assert!(matches!(send(&*fixture.channel, message("m")), Err(Error::AccessRefused { .. })));
    assert!(matches!(
        fixture.channel.get("q", Acknowledgement::Manual, SOON),
        Err(Error::AccessRefused { .. })
    ));

    let channel = fixture.open();
    faults.fail_next(Operation::Ack, refusal());
    fixture.broker.put("q", message("m")).unwrap();
    let delivery = channel.get("q", Acknowledgement::Manual, SOON).unwrap().unwrap();
    channel.ack(delivery.tag, Extent::One).unwrap();
    assert!(matches!(
        channel.get("q", Acknowledgement::Manual, SOON),
        Err(Error::AccessRefused { .. })
    ));
    assert!(matches!(channel.ack(delivery.tag, Extent::One), Err(Error::Stale { .. })));
}

#[test]
fn delay_by_the_clock_ends_at_the_call_deadline() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let faults = fixture.broker.faults();
    faults.delay(Operation::Get, Duration::from_secs(3600), 1);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| fixture.channel.get("q", Acknowledgement::Manual, SOON));
        while faults.outstanding() > 0 {
            thread::yield_now();
        }
        while !waiting.is_finished() {
            fixture.clock.advance(Duration::from_secs(3600));
            thread::yield_now();
        }
        assert_eq!(waiting.join().unwrap().unwrap(), None);
    });

    let mut options = MemoryConnector::new(&fixture.broker);
    options.set_call_timeout(MOMENT);
    let impatient = open(&options);
    faults.delay(Operation::Get, Duration::from_secs(3600), 1);
    assert!(matches!(
        impatient.get("q", Acknowledgement::Manual, SOON),
        Err(Error::Timeout { .. })
    ));
    assert!(matches!(
        impatient.get("q", Acknowledgement::Manual, SOON),
        Err(Error::Timeout { .. })
    ));

    let subscription = fixture.consume("q", &ConsumeOptions::default());
    faults.delay(Operation::Next, Duration::from_secs(3600), 1);
    fixture.send("", "q", "m");
    assert_eq!(subscription.next(MOMENT).unwrap(), None);
    assert_eq!(arrived(&*subscription), ["m"]);
}

#[test]
fn unreadable_message_has_no_properties_until_the_faults_are_cleared() {
    let dead_letters = Queue::new("q").dead_letter_exchange("").dead_letter_routing_key("dead");
    let fixture = BrokerFixture::with_queue(&dead_letters);
    fixture.queue(&Queue::new("dead"));
    let faults = fixture.broker.faults();
    faults.make_unreadable("too deep", |content| content.body == b"bad");
    assert_eq!(faults.outstanding(), 0);
    let properties = Properties::new().with_message_id("id").with_header("tenant", "acme");
    for body in ["good", "bad"] {
        let content = message(body).with_properties(properties.clone());
        send(&*fixture.channel, content).unwrap();
    }
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    let good = subscription.next(SOON).unwrap().unwrap();
    assert_eq!((good.unreadable.as_deref(), &good.content.properties), (None, &properties));
    let bad = subscription.next(SOON).unwrap().unwrap();
    assert_eq!(bad.unreadable.as_deref(), Some("too deep"));
    assert_eq!(*bad.content, message("bad"));
    assert!(!bad.redelivered);
    fixture.channel.reject(bad.tag, Rejection::Requeue, Extent::One).unwrap();
    let again = subscription.next(SOON).unwrap().unwrap();
    assert!(again.redelivered && again.unreadable.is_some());
    fixture.channel.reject(again.tag, Rejection::Discard, Extent::One).unwrap();

    let get = || fixture.channel.get("dead", Acknowledgement::Manual, SOON).unwrap().unwrap();
    let dead = get();
    assert!(dead.unreadable.is_some());
    fixture.channel.reject(dead.tag, Rejection::Requeue, Extent::One).unwrap();
    faults.clear();
    let dead = get();
    assert_eq!(dead.unreadable, None);
    assert_eq!(dead.content.properties.message_id(), Some("id"));
    assert_eq!(dead.content.properties.header("tenant"), Some(&"acme".into()));
}

#[test]
fn cleared_faults_do_not_strike() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let faults = fixture.broker.faults();
    faults
        .nack_publishes(5)
        .drop_connections_at(Operation::Any, 1)
        .block_publishers("never")
        .drop_connections_at(Operation::Any, 0);
    assert_eq!(faults.outstanding(), 2);
    faults.clear();
    assert_eq!(fixture.send("", "q", "m"), Outcome::Accepted);
}

#[test]
fn recording_keeps_publications_to_its_exchange() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let recording = fixture.broker.record("amq.fanout");
    fixture.send("amq.fanout", "", "unrouted");
    fixture.send("", "q", "elsewhere");
    let bodies: Vec<Vec<u8>> =
        recording.take().iter().map(|content| content.body.to_vec()).collect();
    assert_eq!(bodies, [b"unrouted"]);
    assert!(recording.messages().is_empty());
}
