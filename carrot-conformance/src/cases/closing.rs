//! What is left after a close.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::support::*;

pub(crate) fn closing_a_channel_twice_does_nothing(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    stage.channel.shut();
    stage.channel.shut();
}

pub(crate) fn every_verb_of_a_closed_channel_says_closed(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let unanswered = PublishTag(1);
    channel.shut();
    let content = Arc::new(Content::new("", &*queue, "x"));
    assert_error!(channel.find_queue(&queue), Error::Closed { .. });
    assert_error!(channel.purge(&queue), Error::Closed { .. });
    assert_error!(
        channel.publish(&Publication { content: &content, mandatory: false }, DEADLINE),
        Error::Closed { .. }
    );
    assert_error!(channel.confirm(unanswered, DEADLINE), Error::Closed { .. });
    assert_error!(channel.get(&queue, Acknowledgement::Manual), Error::Closed { .. });
    assert_error!(channel.consume(&queue, &ConsumeOptions::default()), Error::Closed { .. });
}

pub(crate) fn a_delivery_of_a_closed_channel_is_stale(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let channel = stage.open();
    let delivery = channel.take(&queue);
    channel.shut();
    assert_error!(channel.ack(delivery.tag, Extent::One), Error::Stale { .. });
    assert_error!(
        channel.reject(delivery.tag, Rejection::Requeue, Extent::One),
        Error::Stale { .. }
    );
    stage.channel.drain(&queue, ["x"]);
}

pub(crate) fn closing_a_channel_wakes_its_waiting_consumers(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let subscription = channel.subscribe(&queue);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| subscription.next(Duration::from_secs(60)));
        channel.shut();
        assert_error!(waiter.join().expect("the waiting thread"), Error::Closed { .. });
    });
    assert_error!(subscription.next(Duration::ZERO), Error::Closed { .. });
}

pub(crate) fn closing_one_channel_leaves_the_others_alone(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    stage.open().shut();
    stage.channel.put(&queue, ["x"]);
    subscription.expect("x");
}

pub(crate) fn a_closed_connector_opens_no_channel(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let connector = stage.connect();
    connector.close(DEADLINE).expect("close");
    assert_error!(connector.open(&ChannelOptions::publish(), DEADLINE), Error::Closed { .. });
}

pub(crate) fn closing_a_connector_twice_does_nothing(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let connector = stage.connect();
    let _channel = open(&*connector);
    connector.close(DEADLINE).expect("close");
    connector.close(DEADLINE).expect("close again");
}

pub(crate) fn closing_a_connector_ends_its_channels_and_subscriptions(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let connector = stage.connect();
    let channel = open(&*connector);
    let subscription = channel.subscribe(&queue);
    connector.close(DEADLINE).expect("close");
    assert_error!(channel.find_queue(&queue), Error::Closed { .. });
    assert_error!(subscription.next(DEADLINE), Error::Closed { .. });
    channel.shut();
}

pub(crate) fn closing_a_connector_leaves_the_others_alone(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let connector = stage.connect();
    open(&*connector).put(&queue, ["x"]);
    connector.close(DEADLINE).expect("close");
    stage.channel.drain(&queue, ["x"]);
}
