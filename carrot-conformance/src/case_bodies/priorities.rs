//! Queues with message priorities.

use crate::support::*;

fn priority(priority: u8) -> Properties {
    Properties::new().with_priority(priority)
}

pub(crate) fn a_message_of_higher_priority_is_delivered_first(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_priority(10));
    fixture.channel.enqueue_with(&queue, "low", priority(1));
    fixture.channel.enqueue_with(&queue, "high", priority(9));
    fixture.channel.enqueue_with(&queue, "middle", priority(5));
    fixture.channel.expect_messages(&queue, ["high", "middle", "low"]);
}

pub(crate) fn messages_of_one_priority_keep_their_order(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_priority(10));
    for (body, level) in [("a", 1), ("A", 2), ("b", 1), ("B", 2)] {
        fixture.channel.enqueue_with(&queue, body, priority(level));
    }
    fixture.channel.expect_messages(&queue, ["A", "B", "a", "b"]);
}

pub(crate) fn a_message_without_priority_has_the_lowest_priority(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_priority(10));
    fixture.channel.enqueue(&queue, ["none"]);
    fixture.channel.enqueue_with(&queue, "zero", priority(0));
    fixture.channel.enqueue_with(&queue, "one", priority(1));
    fixture.channel.expect_messages(&queue, ["one", "none", "zero"]);
}

pub(crate) fn a_priority_above_the_maximum_is_treated_as_the_maximum(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_priority(5));
    fixture.channel.enqueue_with(&queue, "five", priority(5));
    fixture.channel.enqueue_with(&queue, "two hundred", priority(200));
    fixture.channel.enqueue_with(&queue, "four", priority(4));
    let delivery = fixture.channel.get_delivery(&queue);
    assert_eq!(body(&delivery), "five");
    let delivery = fixture.channel.get_delivery(&queue);
    assert_eq!(
        (body(&delivery).as_str(), delivery.content.properties.priority()),
        ("two hundred", Some(200))
    );
    fixture.channel.expect_messages(&queue, ["four"]);
}

pub(crate) fn a_plain_queue_ignores_priorities(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue_with(&queue, "low", priority(1));
    fixture.channel.enqueue_with(&queue, "high", priority(9));
    fixture.channel.expect_messages(&queue, ["low", "high"]);
}

pub(crate) fn a_requeued_message_keeps_its_position_within_its_priority(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_priority(10));
    for (body, level) in [("a", 1), ("b", 1), ("A", 2), ("B", 2)] {
        fixture.channel.enqueue_with(&queue, body, priority(level));
    }
    let first = fixture.channel.get_delivery(&queue);
    fixture.channel.requeue(&first);
    fixture.channel.expect_messages(&queue, ["A", "B", "a", "b"]);
}

pub(crate) fn a_full_priority_queue_drops_the_message_of_highest_priority(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_priority(10).max_length(2));
    fixture.channel.enqueue_with(&queue, "high", priority(9));
    fixture.channel.enqueue_with(&queue, "low", priority(1));
    fixture.channel.enqueue_with(&queue, "middle", priority(5));
    fixture.channel.expect_messages(&queue, ["middle", "low"]);
}
