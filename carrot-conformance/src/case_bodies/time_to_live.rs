//! Messages and queues that expire.

use std::time::Duration;

use crate::support::*;

/// The time to live of messages and queues that a case uses before they expire. Long enough for a
/// loaded machine.
const TIME_TO_LIVE: Duration = milliseconds(1000);
/// The time until they have expired.
const EXPIRED_AFTER: Duration = milliseconds(1300);

fn expiring(expiration: &str) -> Properties {
    Properties::new().with_expiration(expiration)
}

pub(crate) fn a_queue_drops_messages_older_than_its_ttl(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.message_ttl(milliseconds(100)));
    fixture.channel.enqueue(&queue, ["a", "b"]);
    fixture.pass_ms(200);
    fixture.channel.expect_ready(&queue, 0);
    fixture.channel.expect_empty(&queue);
}

pub(crate) fn a_message_within_its_ttl_is_kept(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.message_ttl(milliseconds(60_000)));
    fixture.channel.enqueue(&queue, ["alive"]);
    fixture.pass_ms(50);
    fixture.channel.expect_messages(&queue, ["alive"]);
}

pub(crate) fn a_message_is_dropped_after_its_own_expiration(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue_with(&queue, "short", expiring("100"));
    fixture.channel.enqueue(&queue, ["without expiration"]);
    fixture.pass_ms(200);
    fixture.channel.expect_messages(&queue, ["without expiration"]);
}

pub(crate) fn an_expiration_shorter_than_the_queue_ttl_applies(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.message_ttl(milliseconds(60_000)));
    fixture.channel.enqueue_with(&queue, "short", expiring("100"));
    fixture.pass_ms(200);
    fixture.channel.expect_ready(&queue, 0);
}

pub(crate) fn a_queue_ttl_shorter_than_the_expiration_applies(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.message_ttl(milliseconds(100)));
    fixture.channel.enqueue_with(&queue, "long", expiring("60000"));
    fixture.pass_ms(200);
    fixture.channel.expect_ready(&queue, 0);
}

pub(crate) fn a_message_expires_only_at_the_head_of_its_queue(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue_with(&queue, "long", expiring("60000"));
    fixture.channel.enqueue_with(&queue, "short", expiring("100"));
    fixture.pass_ms(200);
    assert_eq!(fixture.channel.ready_count(&queue), 2);
    fixture.channel.expect_messages(&queue, ["long"]);
}

pub(crate) fn an_expiration_of_zero_drops_a_message_without_a_waiting_consumer(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue_with(&queue, "too late", expiring("0"));
    fixture.channel.expect_empty(&queue);
}

pub(crate) fn an_expiration_of_zero_reaches_a_waiting_consumer(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    fixture.channel.enqueue_with(&queue, "in time", expiring("0"));
    subscription.expect("in time");
}

pub(crate) fn a_queue_ttl_of_zero_serves_waiting_consumers_only(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.message_ttl(milliseconds(0)));
    fixture.channel.enqueue(&queue, ["too early"]);
    let subscription = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(1));
    fixture.channel.enqueue(&queue, ["in time", "no room"]);
    let held = subscription.expect("in time");
    fixture.channel.ack_one(&held);
    subscription.expect_nothing();
}

pub(crate) fn an_expiration_that_is_not_a_number_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    for expiration in ["soon", "", "-1", "1.5", "10ms", " 10"] {
        let error = fixture
            .open()
            .publish_error(Content::new("", &*queue, "x").with_properties(expiring(expiration)));
        assert!(
            matches!(error, Error::PreconditionFailed { .. }),
            "the confirm for {expiration:?} returned {error:?}"
        );
    }
    fixture.channel.expect_stays_empty(&queue);
}

pub(crate) fn an_unsettled_message_does_not_expire(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.message_ttl(TIME_TO_LIVE));
    fixture.channel.enqueue(&queue, ["held"]);
    let channel = fixture.open();
    let held = channel.get_delivery(&queue);
    fixture.pass(EXPIRED_AFTER);
    channel.ack_one(&held);
    channel.round_trip(&queue);
}

pub(crate) fn a_requeue_does_not_extend_the_ttl(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.message_ttl(TIME_TO_LIVE));
    fixture.channel.enqueue(&queue, ["x"]);
    let held = fixture.channel.get_delivery(&queue);
    fixture.pass(EXPIRED_AFTER);
    fixture.channel.requeue(&held);
    // At once: a message with a new time to live expires, too.
    fixture.channel.expect_empty(&queue);
    fixture.channel.expect_ready(&queue, 0);
}

pub(crate) fn the_expiration_is_delivered_as_it_was_published(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.message_ttl(milliseconds(30_000)));
    fixture.channel.enqueue_with(&queue, "x", expiring("60000"));
    assert_eq!(fixture.channel.get_delivery(&queue).content.properties.expiration(), Some("60000"));
}

pub(crate) fn messages_of_one_ttl_expire_one_after_the_other(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.message_ttl(milliseconds(1000)));
    fixture.channel.enqueue(&queue, ["early"]);
    fixture.pass_ms(700);
    fixture.channel.enqueue(&queue, ["late"]);
    fixture.pass_ms(500);
    fixture.channel.expect_messages(&queue, ["late"]);
}

pub(crate) fn an_unused_queue_expires(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.expires(TIME_TO_LIVE));
    fixture.channel.enqueue(&queue, ["x"]);
    eventually("the queue expires", || {
        // A declaration of the queue postpones its expiry.
        fixture.pass(EXPIRED_AFTER);
        fixture.open().find_queue(&queue).is_err()
    });
}

pub(crate) fn a_queue_with_a_consumer_does_not_expire(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.expires(TIME_TO_LIVE));
    let subscription = fixture.channel.subscribe(&queue);
    fixture.pass(EXPIRED_AFTER);
    fixture.channel.enqueue(&queue, ["x"]);
    subscription.expect("x");
}

pub(crate) fn a_queue_expires_after_the_cancel_of_its_last_consumer(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.expires(TIME_TO_LIVE));
    fixture.channel.subscribe(&queue).cancel(DEADLINE).expect("cancel");
    fixture.pass(EXPIRED_AFTER);
    assert_error!(fixture.open().find_queue(&queue), Error::NotFound { .. });
}

pub(crate) fn publishing_does_not_postpone_the_expiry_of_a_queue(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.expires(milliseconds(300)));
    for _ in 0..5 {
        fixture.pass_ms(100);
        fixture.channel.publish_content(Content::new("", &*queue, "x"));
    }
    assert_error!(fixture.open().find_queue(&queue), Error::NotFound { .. });
}

pub(crate) fn a_get_postpones_the_expiry_of_a_queue(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.expires(milliseconds(800)));
    for _ in 0..4 {
        fixture.pass_ms(300);
        fixture.channel.expect_empty(&queue);
    }
}

pub(crate) fn half_an_hour_on_a_manual_clock_passes_immediately(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let minute = milliseconds(60_000);
    let queue = fixture.queue_with(|queue| queue.message_ttl(30 * minute));
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.pass(29 * minute);
    assert_eq!(fixture.channel.ready_count(&queue), 1);
    fixture.pass(2 * minute);
    fixture.channel.expect_ready(&queue, 0);
}
