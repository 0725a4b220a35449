//! Channels that failed because the broker refused an operation.

use std::sync::Arc;
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
    let results: [_; 3] = woken(&*subscription, || {
        assert_error!(channel.find_queue(&fixture.queue_name()), Error::NotFound { .. });
    });
    for result in results {
        assert_error!(result, Error::NotFound { .. });
    }
    assert_error!(subscription.next(Duration::ZERO), Error::NotFound { .. });
    assert_error!(subscription.cancel(DEADLINE), Error::NotFound { .. });
}

/// Runs an operation that the broker refuses. The second argument is a name that no entity has.
type RefusedOperation = fn(&dyn Backend, &str);

/// The operations that a broker refuses, by name. Each closes its channel.
const REFUSED: [(&str, RefusedOperation); 6] = [
    ("declare", |channel, missing| {
        assert_error!(channel.find_queue(missing), Error::NotFound { .. });
    }),
    ("purge", |channel, missing| {
        assert_error!(channel.purge(missing), Error::NotFound { .. });
    }),
    ("get", |channel, missing| {
        let got = channel.get(missing, Acknowledgement::Manual, DEADLINE);
        assert_error!(got, Error::NotFound { .. });
    }),
    ("consume", |channel, missing| {
        let consumer = channel.consume(missing, &ConsumeOptions::default(), DEADLINE);
        assert_error!(consumer, Error::NotFound { .. });
    }),
    ("publish", |channel, missing| {
        assert!(matches!(
            channel.publish_error(Content::new(missing, "", "x")),
            Error::NotFound { .. }
        ));
    }),
    ("ack", |channel, _| channel.ack(DeliveryTag(99), Extent::One).expect("an ack does not wait")),
];

pub(crate) fn each_refused_operation_wakes_the_waiting_consumers_of_its_channel(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    for (operation, refuse) in REFUSED {
        let channel = fixture.open();
        let subscription = channel.subscribe(&queue);
        let missing = unique("missing");
        let [result] = woken(&*subscription, || refuse(&*channel, &missing));
        assert!(
            matches!(result, Err(Error::NotFound { .. } | Error::PreconditionFailed { .. })),
            "next returned {result:?} after a refused {operation}"
        );
    }
}

pub(crate) fn messages_of_each_failed_channel_are_delivered_to_other_consumers(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    for (operation, refuse) in REFUSED {
        let queue = fixture.queue();
        fixture.channel.enqueue(&queue, ["received", "arrived"]);
        let channel = fixture.open();
        let failing = channel.subscribe(&queue);
        fixture.channel.expect_ready(&queue, 0);
        failing.expect("received");
        let other = fixture.channel.subscribe(&queue);
        let missing = unique("missing");
        let [result] = woken(&*other, || refuse(&*channel, &missing));
        let delivery = result.expect("next");
        assert!(delivery.is_some(), "no delivery after a refused {operation}");
        assert!(delivery.is_some_and(|delivery| body(&delivery) == "received"));
        other.expect("arrived");
    }
}

pub(crate) fn a_publication_to_a_missing_exchange_is_not_found(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let error = channel.publish_error(Content::new(unique("missing"), "key", "x"));
    assert!(matches!(error, Error::NotFound { .. }), "the confirm returned {error:?}");
    assert!(matches!(channel.channel_error(&queue), Error::NotFound { .. }));
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
    let [result] = woken(&*subscription, || {
        fixture.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    });
    assert_error!(result, Error::Cancelled { .. });
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
