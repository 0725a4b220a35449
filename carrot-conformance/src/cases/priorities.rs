//! Queues that serve important messages first.

use crate::support::*;

fn priority(priority: u8) -> Properties {
    Properties::new().with_priority(priority)
}

pub(crate) fn a_message_of_higher_priority_comes_first(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_priority(10));
    stage.channel.put_with(&queue, "low", priority(1));
    stage.channel.put_with(&queue, "high", priority(9));
    stage.channel.put_with(&queue, "middle", priority(5));
    stage.channel.drain(&queue, ["high", "middle", "low"]);
}

pub(crate) fn messages_of_one_priority_keep_their_order(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_priority(10));
    for (body, level) in [("a", 1), ("A", 2), ("b", 1), ("B", 2)] {
        stage.channel.put_with(&queue, body, priority(level));
    }
    stage.channel.drain(&queue, ["A", "B", "a", "b"]);
}

pub(crate) fn a_message_without_priority_has_the_lowest(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_priority(10));
    stage.channel.put(&queue, ["none"]);
    stage.channel.put_with(&queue, "zero", priority(0));
    stage.channel.put_with(&queue, "one", priority(1));
    stage.channel.drain(&queue, ["one", "none", "zero"]);
}

pub(crate) fn a_priority_beyond_the_highest_counts_as_the_highest(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_priority(5));
    stage.channel.put_with(&queue, "five", priority(5));
    stage.channel.put_with(&queue, "two hundred", priority(200));
    stage.channel.put_with(&queue, "four", priority(4));
    let delivery = stage.channel.take(&queue);
    assert_eq!(body(&delivery), "five");
    let delivery = stage.channel.take(&queue);
    assert_eq!(
        (body(&delivery).as_str(), delivery.content.properties.priority()),
        ("two hundred", Some(200))
    );
    stage.channel.drain(&queue, ["four"]);
}

pub(crate) fn a_plain_queue_ignores_priorities(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put_with(&queue, "low", priority(1));
    stage.channel.put_with(&queue, "high", priority(9));
    stage.channel.drain(&queue, ["low", "high"]);
}

pub(crate) fn a_requeued_message_keeps_its_place_within_its_priority(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_priority(10));
    for (body, level) in [("a", 1), ("b", 1), ("A", 2), ("B", 2)] {
        stage.channel.put_with(&queue, body, priority(level));
    }
    let first = stage.channel.take(&queue);
    stage.channel.requeue(&first);
    stage.channel.drain(&queue, ["A", "B", "a", "b"]);
}

pub(crate) fn a_full_priority_queue_drops_from_its_head_the_most_important(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_priority(10).max_length(2));
    stage.channel.put_with(&queue, "high", priority(9));
    stage.channel.put_with(&queue, "low", priority(1));
    stage.channel.put_with(&queue, "middle", priority(5));
    stage.channel.drain(&queue, ["middle", "low"]);
}
