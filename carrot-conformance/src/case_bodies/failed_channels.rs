//! Channels that failed because the broker refused an operation.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::support::*;

fn failed_channel(fixture: &CaseFixture<'_>) -> Arc<dyn Backend> {
    let channel = fixture.open();
    assert_error!(channel.find_queue(&fixture.queue_name()), Error::NotFound { .. });
    channel
}

pub(crate) fn every_verb_of_a_failed_channel_returns_its_first_error(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = failed_channel(&fixture);
    let content = Arc::new(Content::new("", &*queue, "x"));
    for _ in 0..2 {
        assert_error!(channel.find_queue(&queue), Error::NotFound { .. });
        assert_error!(channel.purge(&queue), Error::NotFound { .. });
        assert_error!(
            channel.publish(&Publication::new(&content), DEADLINE),
            Error::NotFound { .. }
        );
        assert_error!(channel.confirm(PublishTag(1), DEADLINE), Error::NotFound { .. });
        assert_error!(
            channel.get(&queue, Acknowledgement::Manual, DEADLINE),
            Error::NotFound { .. }
        );
        assert_error!(
            channel.consume(&queue, &ConsumeOptions::default(), DEADLINE),
            Error::NotFound { .. }
        );
    }
}

pub(crate) fn a_failed_channel_can_be_closed(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let channel = failed_channel(&fixture);
    channel.close_channel();
    channel.close_channel();
}

pub(crate) fn check_fails_with_the_error_that_ended_the_channel(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let channel = fixture.open();
    channel.check().expect("an open channel");
    assert_error!(channel.find_queue(&fixture.queue_name()), Error::NotFound { .. });
    assert_error!(channel.check(), Error::NotFound { .. });
    let closed = fixture.open();
    closed.close_channel();
    assert_error!(closed.check(), Error::Closed { .. });
}

pub(crate) fn a_delivery_of_a_failed_channel_is_stale_with_the_first_error_as_cause(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let channel = fixture.open();
    let delivery = channel.get_delivery(&queue);
    assert_error!(channel.find_queue(&fixture.queue_name()), Error::NotFound { .. });
    for settled in [
        channel.ack(delivery.tag, Extent::One),
        channel.reject(delivery.tag, Rejection::Discard, Extent::One),
    ] {
        match settled {
            Err(Error::Stale { source: Some(cause) }) => {
                assert!(matches!(*cause, Error::NotFound { .. }), "the cause is {cause:?}")
            }
            other => panic!("settling on a failed channel returned {other:?}"),
        }
    }
}

pub(crate) fn a_failed_channel_requeues_its_unsettled_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    let channel = fixture.open();
    channel.get_delivery(&queue);
    channel.get_delivery(&queue);
    assert_error!(channel.find_queue(&fixture.queue_name()), Error::NotFound { .. });
    fixture.channel.expect_messages(&queue, ["a", "b"]);
}

pub(crate) fn a_refused_operation_does_not_affect_other_channels(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    failed_channel(&fixture);
    fixture.channel.enqueue(&queue, ["x"]);
    subscription.expect("x");
}

pub(crate) fn a_failed_channel_wakes_its_waiting_consumers_with_the_error(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let subscription = channel.subscribe(&queue);
    thread::scope(|scope| {
        let waiters: Vec<_> =
            (0..3).map(|_| scope.spawn(|| subscription.next(Duration::from_secs(60)))).collect();
        assert_error!(channel.find_queue(&fixture.queue_name()), Error::NotFound { .. });
        for waiter in waiters {
            assert_error!(waiter.join().expect("the waiting thread"), Error::NotFound { .. });
        }
    });
    assert_error!(subscription.next(Duration::ZERO), Error::NotFound { .. });
    assert_error!(subscription.cancel(DEADLINE), Error::NotFound { .. });
}

pub(crate) fn deliveries_of_a_failed_channel_are_not_returned(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    let channel = fixture.open();
    let subscription = channel.subscribe(&queue);
    fixture.channel.expect_ready(&queue, 0);
    assert_error!(channel.find_queue(&fixture.queue_name()), Error::NotFound { .. });
    assert_error!(subscription.next(DEADLINE), Error::NotFound { .. });
    fixture.channel.expect_messages(&queue, ["a", "b"]);
}

pub(crate) fn a_deleted_queue_cancels_its_consumers(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (queue, other) = (fixture.queue(), fixture.queue());
    let channel = fixture.open();
    let subscription = channel.subscribe(&queue);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| subscription.next(Duration::from_secs(60)));
        fixture.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
        assert_error!(waiter.join().expect("the waiting thread"), Error::Cancelled { .. });
    });
    channel.round_trip(&other);
}

pub(crate) fn deliveries_before_a_queue_deletion_are_returned(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    let subscription = fixture.channel.subscribe(&queue);
    fixture.channel.expect_ready(&queue, 0);
    fixture.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    subscription.expect("a");
    subscription.expect("b");
    assert_error!(subscription.next(DEADLINE), Error::Cancelled { .. });
}

pub(crate) fn a_confirm_received_before_a_channel_failure_is_returned(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let tag = channel.publish_content(Content::new("", &*queue, "x"));
    let next = channel.publish_content(Content::new("", &*queue, "y"));
    assert_eq!(channel.outcome(next), Outcome::Accepted);
    channel.round_trip(&queue);
    assert_error!(channel.find_queue(&fixture.queue_name()), Error::NotFound { .. });
    assert_eq!(channel.outcome(tag), Outcome::Accepted);
}
