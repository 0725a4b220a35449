//! Quorum queues: failed deliveries, priorities and delays.

use carrot_core::DelayedRetry;

use crate::support::*;

/// The pause of a failed message, in milliseconds.
const PAUSE: u64 = 400;

/// A quorum queue that dead-letters to another queue after this number of failed deliveries.
fn limited(fixture: &CaseFixture<'_>, limit: u32) -> [String; 2] {
    let dead = fixture.queue();
    let queue = fixture.queue_with(|queue| {
        queue
            .quorum()
            .delivery_limit(limit)
            .dead_letter_exchange("")
            .dead_letter_routing_key(&*dead)
    });
    [queue, dead]
}

fn fail(channel: &dyn Backend, delivery: &Delivery) {
    channel.reject(delivery.tag, Rejection::RequeueFailed, Extent::One).expect("reject");
}

fn count(delivery: &Delivery) -> Option<i64> {
    delivery.content.properties.header("x-delivery-count").and_then(Value::as_i64)
}

pub(crate) fn a_failed_delivery_beyond_the_limit_is_dead_lettered(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let [queue, dead] = limited(&fixture, 2);
    fixture.channel.enqueue(&queue, ["poison"]);
    for _ in 0..3 {
        fixture.channel.expect_ready(&dead, 0);
        fail(&*fixture.channel, &fixture.channel.get_delivery(&queue));
    }
    fixture.channel.expect_ready(&dead, 1);
    let delivery = fixture.channel.get_delivery(&dead);
    let reason = delivery.content.properties.header("x-first-death-reason");
    assert_eq!(reason.and_then(Value::as_str), Some("delivery_limit"));
}

pub(crate) fn a_redelivery_of_a_quorum_queue_has_the_number_of_failed_deliveries(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::quorum);
    fixture.channel.enqueue(&queue, ["x"]);
    fail(&*fixture.channel, &fixture.channel.get_delivery(&queue));
    for failed in 1..=3 {
        let delivery = fixture.channel.get_delivery(&queue);
        assert_eq!((count(&delivery), delivery.redelivered), (Some(failed), true));
        fail(&*fixture.channel, &delivery);
    }
}

pub(crate) fn a_lost_connection_counts_as_a_failed_delivery(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let [queue, dead] = limited(&fixture, 1);
    fixture.channel.enqueue(&queue, ["poison"]);
    let breakable = harness.breakable().expect("a harness with this feature has a breakable");
    for _ in 0..2 {
        let lost = open(&*breakable.connector);
        lost.get_delivery(&queue);
        (breakable.cut)();
    }
    fixture.channel.expect_ready(&dead, 1);
}

pub(crate) fn a_returned_message_of_a_quorum_queue_counts_as_failed_or_not(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let [queue, dead] = limited(&fixture, 1);
    fixture.channel.enqueue(&queue, ["x"]);
    for _ in 0..2 {
        fixture.channel.requeue(&fixture.channel.get_delivery(&queue));
    }
    let is_dead = ReleaseAnswer::ReturnsCountAsFailures.is_expected(harness);
    fixture.channel.expect_ready(&dead, u32::from(is_dead));
    fixture.channel.expect_ready(&queue, u32::from(!is_dead));
}

pub(crate) fn a_quorum_queue_has_a_default_delivery_limit_of_twenty_or_none(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::quorum);
    fixture.channel.enqueue(&queue, ["x"]);
    for _ in 0..21 {
        fail(&*fixture.channel, &fixture.channel.get_delivery(&queue));
    }
    let is_limited = ReleaseAnswer::DeliveriesAreLimitedByDefault.is_expected(harness);
    fixture.channel.expect_ready(&queue, u32::from(!is_limited));
}

pub(crate) fn a_quorum_queue_delivers_higher_priorities_first_or_not(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::quorum);
    for (body, priority) in [("low", 1), ("high", 9)] {
        let properties = Properties::new().with_priority(priority);
        fixture.channel.enqueue_with(&queue, body, properties);
    }
    match ReleaseAnswer::QuorumQueuesHavePriorities.is_expected(harness) {
        true => fixture.channel.expect_messages(&queue, ["high", "low"]),
        false => fixture.channel.expect_messages(&queue, ["low", "high"]),
    }
}

pub(crate) fn a_failed_message_is_delayed_by_its_queue_or_not(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| {
        let pause = milliseconds(PAUSE);
        queue.quorum().delayed_retry(DelayedRetry::Failed, pause, pause)
    });
    fixture.channel.enqueue(&queue, ["x"]);
    fail(&*fixture.channel, &fixture.channel.get_delivery(&queue));
    if ReleaseAnswer::FailedMessagesAreDelayed.is_expected(harness) {
        fixture.channel.expect_empty(&queue);
        fixture.pass_ms(PAUSE / 2);
        fixture.channel.expect_empty(&queue);
        fixture.pass_ms(PAUSE);
    }
    fixture.channel.expect_ready(&queue, 1);
    assert_eq!(count(&fixture.channel.get_delivery(&queue)), Some(1));
}

pub(crate) fn a_returned_message_is_not_delayed_as_a_failed_one(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| {
        let pause = milliseconds(60_000);
        queue.quorum().delayed_retry(DelayedRetry::Failed, pause, pause)
    });
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.requeue(&fixture.channel.get_delivery(&queue));
    fixture.channel.expect_ready(&queue, 1);
}

pub(crate) fn a_quorum_queue_has_no_exclusive_consumers(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::quorum);
    let mut options = ConsumeOptions::default();
    options.exclusive = true;
    let _first = fixture.channel.subscribe_as(&queue, &options);
    let _second = fixture.channel.subscribe(&queue);
    fixture.channel.expect_consumers(&queue, 2);
}

pub(crate) fn a_quorum_queue_counts_only_the_active_of_single_active_consumers(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.quorum().single_active_consumer());
    let _active = fixture.channel.subscribe(&queue);
    let _waiting = fixture.channel.subscribe(&queue);
    fixture.channel.expect_consumers(&queue, 1);
}

pub(crate) fn a_cancelled_consumer_of_a_quorum_queue_counts_until_it_holds_nothing(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::quorum);
    let subscription = fixture.channel.subscribe(&queue);
    fixture.channel.enqueue(&queue, ["held"]);
    let held = subscription.expect("held");
    subscription.cancel(DEADLINE).expect("cancel");
    fixture.channel.round_trip(&queue);
    fixture.channel.expect_consumers(&queue, 1);
    fixture.channel.ack_one(&held);
    fixture.channel.expect_consumers(&queue, 0);
}

pub(crate) fn a_quorum_queue_without_a_name_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert_error!(
        fixture.open().declare_queue(&Queue::new("").quorum()),
        Error::PreconditionFailed { .. }
    );
}

pub(crate) fn a_failed_message_of_a_full_quorum_queue_returns_to_its_consumer(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.quorum().max_length(0));
    let subscription = fixture.channel.subscribe(&queue);
    fixture.channel.enqueue(&queue, ["x"]);
    fail(&*fixture.channel, &subscription.expect("x"));
    subscription.expect("x");
}

pub(crate) fn the_single_active_consumer_of_a_quorum_queue_yields_to_priority_or_not(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.quorum().single_active_consumer());
    let first = fixture.channel.subscribe(&queue);
    let mut options = ConsumeOptions::default();
    options.arguments.insert("x-priority", 5);
    let preferred = fixture.channel.subscribe_as(&queue, &options);
    fixture.channel.enqueue(&queue, ["x"]);
    match ReleaseAnswer::ActiveConsumersYieldToPriority.is_expected(harness) {
        true => preferred.expect("x"),
        false => first.expect("x"),
    };
}

pub(crate) fn a_message_expires_at_the_head_of_its_priority_or_of_its_queue(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::quorum);
    fixture.channel.enqueue_with(&queue, "first", Properties::new().with_priority(9));
    let brief = Properties::new().with_priority(1).with_expiration("100");
    fixture.channel.enqueue_with(&queue, "brief", brief);
    fixture.pass_ms(300);
    let expires = ReleaseAnswer::EachPriorityExpires.is_expected(harness);
    fixture.channel.expect_ready(&queue, if expires { 1 } else { 2 });
}
