use std::time::Duration;

use carrot_core::backend::{Acknowledgement, ChannelOptions, ConsumeOptions, Content, Extent};
use carrot_core::{Error, Queue};

use super::{Fixture, SOON, body, returned, send};
use crate::Broker;

#[test]
fn a_message_goes_from_publisher_to_consumer_and_is_gone_when_acknowledged() {
    let fixture = Fixture::with_queue(&Queue::new("q"));
    fixture.send("", "q", "hello");
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    let delivery = subscription.next(SOON).unwrap().unwrap();
    assert_eq!((body(&delivery).as_str(), delivery.redelivered), ("hello", false));
    assert_eq!(fixture.broker.queue("q").unwrap().unacked.len(), 1);
    fixture.channel.ack(delivery.tag, Extent::One).unwrap();
    fixture.broker.settled(SOON).unwrap();
}

#[test]
fn a_subscription_waits_no_longer_than_told() {
    let fixture = Fixture::with_queue(&Queue::new("q"));
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    assert_eq!(subscription.next(Duration::from_millis(20)).unwrap(), None);
    assert_eq!(subscription.next(Duration::ZERO).unwrap(), None);
}

#[test]
fn an_unroutable_mandatory_message_comes_back() {
    let fixture = Fixture::new();
    assert_eq!(fixture.send("", "nowhere", "x"), returned());
    assert_eq!(fixture.send("amq.direct", "nowhere", "x"), returned());
}

#[test]
fn a_missing_exchange_is_told_by_confirm_and_closes_the_channel_for_ever() {
    let fixture = Fixture::with_queue(&Queue::new("q"));
    let lost = send(&*fixture.channel, Content::new("missing", "q", "x")).unwrap_err();
    assert!(matches!(lost, Error::NotFound { .. }), "{lost:?}");
    assert!(matches!(
        fixture.channel.get("q", Acknowledgement::Manual, SOON),
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        fixture.channel.ack(carrot_core::backend::DeliveryTag(1), Extent::One),
        Err(Error::Stale { source: Some(_) })
    ));
    fixture.channel.close(SOON).unwrap();
    assert!(matches!(
        fixture.channel.get("q", Acknowledgement::Manual, SOON),
        Err(Error::NotFound { .. })
    ));
}

#[test]
fn after_close_everything_says_closed() {
    let fixture = Fixture::with_queue(&Queue::new("q"));
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    fixture.connector.close(SOON).unwrap();
    assert!(matches!(subscription.next(SOON), Err(Error::Closed { .. })));
    assert!(matches!(
        fixture.channel.get("q", Acknowledgement::Manual, SOON),
        Err(Error::Closed { .. })
    ));
    assert!(matches!(
        fixture.connector.open(&ChannelOptions::consume(), SOON),
        Err(Error::Closed { .. })
    ));
    fixture.connector.close(SOON).unwrap();
}

#[test]
fn a_named_broker_lives_as_long_as_somebody_holds_it() {
    let name = "a_named_broker_lives_as_long_as_somebody_holds_it";
    let connector = Broker::named(name).connector();
    let channel = super::open(&*connector);
    channel.declare(carrot_core::backend::Declare::Queue(&Queue::new("q")), SOON).unwrap();
    assert!(Broker::named(name).queue("q").is_some());
    drop((connector, channel));
    assert!(Broker::named(name).queue("q").is_none());
}

#[test]
fn confirming_on_a_channel_without_confirms_is_invalid() {
    let fixture = Fixture::with_queue(&Queue::new("q"));
    let channel = fixture.connector.open(&ChannelOptions::consume(), SOON).unwrap();
    assert!(matches!(send(&*channel, Content::new("", "q", "x")), Err(Error::Invalid { .. })));
    assert_eq!(fixture.ready("q"), ["x"]);
}

#[test]
fn an_unknown_confirm_runs_into_its_deadline() {
    let fixture = Fixture::new();
    let lost =
        fixture.channel.confirm(carrot_core::backend::PublishTag(7), Duration::from_millis(10));
    assert!(matches!(lost, Err(Error::Timeout { .. })));
}
