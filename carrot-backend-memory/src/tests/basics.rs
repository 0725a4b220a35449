use std::time::Duration;

use carrot_core::backend::{Acknowledgement, ChannelOptions, ConsumeOptions, Content, Extent};
use carrot_core::{Error, Queue};

use crate::broker::Broker;
use crate::tests::{BrokerFixture, SOON, body, open, returned, send};

#[test]
fn acknowledged_message_is_gone() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.send("", "q", "hello");
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    let delivery = subscription.next(SOON).unwrap().unwrap();
    assert_eq!((body(&delivery).as_str(), delivery.redelivered), ("hello", false));
    assert_eq!(fixture.broker.queue("q").unwrap().unacked.len(), 1);
    fixture.channel.ack(delivery.tag, Extent::One).unwrap();
    fixture.broker.wait_until_idle(SOON).unwrap();
}

#[test]
fn subscription_without_messages_times_out() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    assert_eq!(subscription.next(Duration::from_millis(20)).unwrap(), None);
    assert_eq!(subscription.next(Duration::ZERO).unwrap(), None);
}

#[test]
fn mandatory_message_unroutable_is_returned() {
    let fixture = BrokerFixture::new();
    assert_eq!(fixture.send("", "nowhere", "x"), returned());
    assert_eq!(fixture.send("amq.direct", "nowhere", "x"), returned());
}

#[test]
fn publication_to_missing_exchange_closes_the_channel() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
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
fn operations_after_close_fail_as_closed() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
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
fn named_broker_without_handles_ends() {
    let name = "a_named_broker_lives_as_long_as_somebody_holds_it";
    let connector = Broker::named(name).connector();
    let channel = open(&*connector);
    channel.declare(carrot_core::backend::Declare::Queue(&Queue::new("q")), SOON).unwrap();
    assert!(Broker::named(name).queue("q").is_some());
    drop((connector, channel));
    assert!(Broker::named(name).queue("q").is_none());
}

#[test]
fn confirm_on_channel_without_confirms_is_invalid() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let channel = fixture.connector.open(&ChannelOptions::consume(), SOON).unwrap();
    assert!(matches!(send(&*channel, Content::new("", "q", "x")), Err(Error::Invalid { .. })));
    assert_eq!(fixture.ready("q"), ["x"]);
}

#[test]
fn confirm_of_unknown_tag_times_out() {
    let fixture = BrokerFixture::new();
    let lost =
        fixture.channel.confirm(carrot_core::backend::PublishTag(7), Duration::from_millis(10));
    assert!(matches!(lost, Err(Error::Timeout { .. })));
}

#[test]
fn open_connections_are_listed_with_their_channels() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.send("", "q", "held");
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    let held = subscription.next(SOON).unwrap().unwrap();
    let [connection] = &fixture.broker.connections()[..] else { panic!("one connection") };
    assert_eq!((&*connection.name, &*connection.user), ("", "guest"));
    let unacked: usize = connection.channels.iter().map(|channel| channel.unacked).sum();
    assert_eq!(unacked, 1);
    let holder = fixture.broker.queue("q").unwrap().unacked[0].channel;
    assert!(connection.channels.iter().any(|channel| channel.channel == holder));
    fixture.channel.ack(held.tag, Extent::One).unwrap();
    assert!(fixture.broker.connections()[0].channels.iter().all(|channel| channel.unacked == 0));
    fixture.broker.faults().drop_connections();
    assert!(fixture.broker.connections().is_empty());
}
