//! Closed channels and connectors.

use std::sync::Arc;
use std::time::Duration;

use crate::support::*;

pub(crate) fn closing_a_channel_twice_does_nothing(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    fixture.channel.close_channel();
    fixture.channel.close_channel();
}

pub(crate) fn every_verb_of_a_closed_channel_says_closed(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let unanswered = PublishTag(1);
    channel.close_channel();
    let content = Arc::new(Content::new("", &*queue, "x"));
    assert_error!(channel.find_queue(&queue), Error::Closed { .. });
    assert_error!(channel.purge(&queue), Error::Closed { .. });
    assert_error!(channel.publish(&Publication::new(&content), DEADLINE), Error::Closed { .. });
    assert_error!(channel.confirm(unanswered, DEADLINE), Error::Closed { .. });
    assert_error!(channel.get(&queue, Acknowledgement::Manual, DEADLINE), Error::Closed { .. });
    assert_error!(
        channel.consume(&queue, &ConsumeOptions::default(), DEADLINE),
        Error::Closed { .. }
    );
}

pub(crate) fn a_delivery_of_a_closed_channel_is_stale(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let channel = fixture.open();
    let delivery = channel.get_delivery(&queue);
    channel.close_channel();
    assert_error!(channel.ack(delivery.tag, Extent::One), Error::Stale { .. });
    assert_error!(
        channel.reject(delivery.tag, Rejection::Requeue, Extent::One),
        Error::Stale { .. }
    );
    fixture.channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn closing_a_channel_wakes_its_waiting_consumers(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let subscription = channel.subscribe(&queue);
    let [result] = woken(&*subscription, || channel.close_channel());
    assert_error!(result, Error::Closed { .. });
    assert_error!(subscription.next(Duration::ZERO), Error::Closed { .. });
}

pub(crate) fn a_confirm_received_before_a_close_is_returned(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let tag = channel.publish_content(Content::new("", &*queue, "x"));
    let next = channel.publish_content(Content::new("", &*queue, "y"));
    assert_eq!(channel.outcome(next), Outcome::Accepted);
    channel.round_trip(&queue);
    channel.close_channel();
    assert_eq!(channel.outcome(tag), Outcome::Accepted);
    assert_error!(channel.confirm(PublishTag(3), DEADLINE), Error::Closed { .. });
}

pub(crate) fn closing_one_channel_does_not_affect_others(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    fixture.open().close_channel();
    fixture.channel.enqueue(&queue, ["x"]);
    subscription.expect("x");
}

pub(crate) fn a_closed_connector_opens_no_channel(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let connector = fixture.connect();
    connector.close(DEADLINE).expect("close");
    assert_error!(connector.open(&ChannelOptions::publish(), DEADLINE), Error::Closed { .. });
}

pub(crate) fn closing_a_connector_twice_does_nothing(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let connector = fixture.connect();
    let _channel = open(&*connector);
    connector.close(DEADLINE).expect("close");
    connector.close(DEADLINE).expect("close again");
}

pub(crate) fn closing_a_connector_ends_its_channels_and_subscriptions(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let connector = fixture.connect();
    let channel = open(&*connector);
    let subscription = channel.subscribe(&queue);
    connector.close(DEADLINE).expect("close");
    assert_error!(channel.find_queue(&queue), Error::Closed { .. });
    assert_error!(subscription.next(DEADLINE), Error::Closed { .. });
    channel.close_channel();
}

pub(crate) fn closing_a_connector_does_not_affect_others(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let connector = fixture.connect();
    open(&*connector).enqueue(&queue, ["x"]);
    connector.close(DEADLINE).expect("close");
    fixture.channel.expect_messages(&queue, ["x"]);
}
