//! What a channel says after the broker has refused something on it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::support::*;

fn spoilt(stage: &Stage<'_>) -> Arc<dyn Backend> {
    let channel = stage.open();
    assert_error!(channel.find_queue(&stage.queue_name()), Error::NotFound { .. });
    channel
}

pub(crate) fn every_verb_of_a_dead_channel_gives_its_first_error(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = spoilt(&stage);
    let content = Arc::new(Content::new("", &*queue, "x"));
    for _ in 0..2 {
        assert_error!(channel.find_queue(&queue), Error::NotFound { .. });
        assert_error!(channel.purge(&queue), Error::NotFound { .. });
        assert_error!(
            channel.publish(&Publication { content: &content, mandatory: false }, DEADLINE),
            Error::NotFound { .. }
        );
        assert_error!(channel.confirm(PublishTag(1), DEADLINE), Error::NotFound { .. });
        assert_error!(channel.get(&queue, Acknowledgement::Manual), Error::NotFound { .. });
        assert_error!(channel.consume(&queue, &ConsumeOptions::default()), Error::NotFound { .. });
    }
}

pub(crate) fn a_dead_channel_can_be_closed(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let channel = spoilt(&stage);
    channel.shut();
    channel.shut();
}

pub(crate) fn a_channel_says_whether_it_has_ended(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let channel = stage.open();
    channel.check().expect("an open channel");
    assert_error!(channel.find_queue(&stage.queue_name()), Error::NotFound { .. });
    assert_error!(channel.check(), Error::NotFound { .. });
    let closed = stage.open();
    closed.shut();
    assert_error!(closed.check(), Error::Closed { .. });
}

pub(crate) fn a_delivery_of_a_dead_channel_is_stale_with_the_first_error_as_cause(
    harness: &dyn Harness,
) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let channel = stage.open();
    let delivery = channel.take(&queue);
    assert_error!(channel.find_queue(&stage.queue_name()), Error::NotFound { .. });
    for settled in [
        channel.ack(delivery.tag, Extent::One),
        channel.reject(delivery.tag, Rejection::Discard, Extent::One),
    ] {
        match settled {
            Err(Error::Stale { source: Some(cause) }) => {
                assert!(matches!(*cause, Error::NotFound { .. }), "the cause is {cause:?}")
            }
            other => panic!("settling on a dead channel gave {other:?}"),
        }
    }
}

pub(crate) fn a_dead_channel_gives_back_what_it_held(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    let channel = stage.open();
    channel.take(&queue);
    channel.take(&queue);
    assert_error!(channel.find_queue(&stage.queue_name()), Error::NotFound { .. });
    stage.channel.drain(&queue, ["a", "b"]);
}

pub(crate) fn a_refused_operation_leaves_other_channels_alone(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    spoilt(&stage);
    stage.channel.put(&queue, ["x"]);
    subscription.expect("x");
}

pub(crate) fn a_dead_channel_tells_its_waiting_consumers(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let subscription = channel.subscribe(&queue);
    thread::scope(|scope| {
        let waiters: Vec<_> =
            (0..3).map(|_| scope.spawn(|| subscription.next(Duration::from_secs(60)))).collect();
        assert_error!(channel.find_queue(&stage.queue_name()), Error::NotFound { .. });
        for waiter in waiters {
            assert_error!(waiter.join().expect("the waiting thread"), Error::NotFound { .. });
        }
    });
    assert_error!(subscription.next(Duration::ZERO), Error::NotFound { .. });
    assert_error!(subscription.cancel(), Error::NotFound { .. });
}

pub(crate) fn what_had_arrived_on_a_dead_channel_is_not_handed_out(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    let channel = stage.open();
    let subscription = channel.subscribe(&queue);
    stage.channel.expect_ready(&queue, 0);
    assert_error!(channel.find_queue(&stage.queue_name()), Error::NotFound { .. });
    assert_error!(subscription.next(DEADLINE), Error::NotFound { .. });
    stage.channel.drain(&queue, ["a", "b"]);
}

pub(crate) fn a_deleted_queue_cancels_its_consumers(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (queue, other) = (stage.queue(), stage.queue());
    let channel = stage.open();
    let subscription = channel.subscribe(&queue);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| subscription.next(Duration::from_secs(60)));
        stage.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
        assert_error!(waiter.join().expect("the waiting thread"), Error::Cancelled { .. });
    });
    channel.round_trip(&other);
}

pub(crate) fn what_arrived_before_its_queue_was_deleted_is_handed_out(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    let subscription = stage.channel.subscribe(&queue);
    stage.channel.expect_ready(&queue, 0);
    stage.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    subscription.expect("a");
    subscription.expect("b");
    assert_error!(subscription.next(DEADLINE), Error::Cancelled { .. });
}

pub(crate) fn an_answer_that_was_known_is_told_after_the_channel_has_died(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let tag = channel.post(Content::new("", &*queue, "x"));
    let next = channel.post(Content::new("", &*queue, "y"));
    assert_eq!(channel.outcome(next), Outcome::Accepted);
    channel.round_trip(&queue);
    assert_error!(channel.find_queue(&stage.queue_name()), Error::NotFound { .. });
    assert_eq!(channel.outcome(tag), Outcome::Accepted);
}
