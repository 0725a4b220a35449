//! Messages and queues that do not live for ever.

use crate::support::*;

fn expiring(expiration: &str) -> Properties {
    Properties::new().with_expiration(expiration)
}

pub(crate) fn a_queue_drops_messages_older_than_its_ttl(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.message_ttl(milliseconds(100)));
    stage.channel.put(&queue, ["a", "b"]);
    stage.pass_ms(200);
    stage.channel.expect_ready(&queue, 0);
    stage.channel.empty(&queue);
}

pub(crate) fn a_message_lives_within_its_ttl(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.message_ttl(milliseconds(60_000)));
    stage.channel.put(&queue, ["alive"]);
    stage.pass_ms(50);
    stage.channel.drain(&queue, ["alive"]);
}

pub(crate) fn a_message_is_dropped_after_its_own_expiration(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put_with(&queue, "short", expiring("100"));
    stage.channel.put(&queue, ["for ever"]);
    stage.pass_ms(200);
    stage.channel.drain(&queue, ["for ever"]);
}

pub(crate) fn a_shorter_expiration_wins_over_the_queues_ttl(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.message_ttl(milliseconds(60_000)));
    stage.channel.put_with(&queue, "short", expiring("100"));
    stage.pass_ms(200);
    stage.channel.expect_ready(&queue, 0);
}

pub(crate) fn a_shorter_queue_ttl_wins_over_the_expiration(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.message_ttl(milliseconds(100)));
    stage.channel.put_with(&queue, "long", expiring("60000"));
    stage.pass_ms(200);
    stage.channel.expect_ready(&queue, 0);
}

pub(crate) fn a_message_expires_only_at_the_head_of_its_queue(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put_with(&queue, "long", expiring("60000"));
    stage.channel.put_with(&queue, "short", expiring("100"));
    stage.pass_ms(200);
    assert_eq!(stage.channel.ready(&queue), 2);
    stage.channel.drain(&queue, ["long"]);
}

pub(crate) fn an_expiration_of_zero_drops_what_nobody_waits_for(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put_with(&queue, "too late", expiring("0"));
    stage.channel.empty(&queue);
}

pub(crate) fn an_expiration_of_zero_reaches_a_waiting_consumer(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    stage.channel.put_with(&queue, "in time", expiring("0"));
    subscription.expect("in time");
}

pub(crate) fn a_queue_ttl_of_zero_serves_waiting_consumers_only(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.message_ttl(milliseconds(0)));
    stage.channel.put(&queue, ["too early"]);
    let subscription = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1));
    stage.channel.put(&queue, ["in time", "no room"]);
    let held = subscription.expect("in time");
    stage.channel.accept(&held);
    subscription.quiet();
}

pub(crate) fn an_expiration_that_is_no_number_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    for expiration in ["soon", "", "-1", "1.5", "10ms", " 10"] {
        let error = stage.open().refused_publication(
            Content::new("", &*queue, "x").with_properties(expiring(expiration)),
        );
        assert!(
            matches!(error, Error::PreconditionFailed { .. }),
            "the confirm for {expiration:?} gave {error:?}"
        );
    }
    stage.channel.stays_empty(&queue);
}

pub(crate) fn an_unsettled_message_does_not_expire(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.message_ttl(milliseconds(100)));
    stage.channel.put(&queue, ["held"]);
    let channel = stage.open();
    let held = channel.take(&queue);
    stage.pass_ms(200);
    channel.accept(&held);
    channel.round_trip(&queue);
}

pub(crate) fn a_requeue_does_not_turn_back_the_clock(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.message_ttl(milliseconds(100)));
    stage.channel.put(&queue, ["x"]);
    let held = stage.channel.take(&queue);
    stage.pass_ms(200);
    stage.channel.requeue(&held);
    stage.channel.expect_ready(&queue, 0);
    stage.channel.stays_empty(&queue);
}

pub(crate) fn the_expiration_is_delivered_as_it_was_published(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.message_ttl(milliseconds(30_000)));
    stage.channel.put_with(&queue, "x", expiring("60000"));
    assert_eq!(stage.channel.take(&queue).content.properties.expiration(), Some("60000"));
}

pub(crate) fn messages_of_one_ttl_expire_one_after_the_other(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.message_ttl(milliseconds(1000)));
    stage.channel.put(&queue, ["early"]);
    stage.pass_ms(700);
    stage.channel.put(&queue, ["late"]);
    stage.pass_ms(500);
    stage.channel.drain(&queue, ["late"]);
}

pub(crate) fn an_unused_queue_expires(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.expires(milliseconds(150)));
    stage.channel.put(&queue, ["x"]);
    stage.pass_ms(300);
    eventually("the queue to expire", || {
        // A declaration is a use, and so starts the time again.
        stage.pass_ms(300);
        stage.open().find_queue(&queue).is_err()
    });
}

pub(crate) fn a_queue_with_a_consumer_does_not_expire(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.expires(milliseconds(150)));
    let subscription = stage.channel.subscribe(&queue);
    stage.pass_ms(400);
    stage.channel.put(&queue, ["x"]);
    subscription.expect("x");
}

pub(crate) fn a_queue_expires_some_time_after_its_last_consumer_left(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.expires(milliseconds(150)));
    stage.channel.subscribe(&queue).cancel().expect("cancel");
    stage.pass_ms(400);
    assert_error!(stage.open().find_queue(&queue), Error::NotFound { .. });
}

pub(crate) fn publishing_is_no_use_of_a_queue(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.expires(milliseconds(300)));
    for _ in 0..5 {
        stage.pass_ms(100);
        stage.channel.post(Content::new("", &*queue, "x"));
    }
    assert_error!(stage.open().find_queue(&queue), Error::NotFound { .. });
}

pub(crate) fn a_get_is_a_use_of_a_queue(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.expires(milliseconds(800)));
    for _ in 0..4 {
        stage.pass_ms(300);
        stage.channel.empty(&queue);
    }
}

pub(crate) fn half_an_hour_passes_in_no_time(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let minute = milliseconds(60_000);
    let queue = stage.queue_with(|queue| queue.message_ttl(30 * minute));
    stage.channel.put(&queue, ["x"]);
    stage.pass(29 * minute);
    assert_eq!(stage.channel.ready(&queue), 1);
    stage.pass(2 * minute);
    stage.channel.expect_ready(&queue, 0);
}
