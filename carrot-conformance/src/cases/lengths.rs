//! Queues that hold only so much.

use crate::support::*;

fn refused(stage: &Stage<'_>, queue: &str, body: &str) {
    let tag = stage.channel.post(Content::new("", queue, body));
    assert_eq!(stage.channel.outcome(tag), Outcome::Refused);
}

pub(crate) fn a_full_queue_drops_its_oldest_messages(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length(2));
    stage.channel.put(&queue, ["a", "b", "c", "d"]);
    stage.channel.drain(&queue, ["c", "d"]);
}

pub(crate) fn unsettled_messages_do_not_fill_a_queue(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length(2));
    stage.channel.put(&queue, ["a", "b"]);
    stage.channel.take(&queue);
    stage.channel.take(&queue);
    stage.channel.put(&queue, ["c", "d"]);
    stage.channel.drain(&queue, ["c", "d"]);
}

pub(crate) fn a_requeue_into_a_full_queue_drops_from_the_head(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length(2));
    stage.channel.put(&queue, ["a"]);
    let held = stage.channel.take(&queue);
    stage.channel.put(&queue, ["b", "c"]);
    stage.channel.requeue(&held);
    stage.channel.put(&queue, ["d"]);
    stage.channel.drain(&queue, ["c", "d"]);
}

pub(crate) fn a_queue_limited_in_bytes_counts_bodies(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length_bytes(10));
    stage.channel.put(&queue, ["12345", "67890"]);
    assert_eq!(stage.channel.ready(&queue), 2);
    stage.channel.put(&queue, ["x"]);
    stage.channel.drain(&queue, ["67890", "x"]);
}

pub(crate) fn headers_and_properties_are_not_counted_in_bytes(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length_bytes(10));
    stage.channel.put_with(
        &queue,
        "12345",
        Properties::new().with_header("long", "x".repeat(100).as_str()),
    );
    stage.channel.put_with(&queue, "67890", Properties::new().with_message_id("a long identifier"));
    stage.channel.drain(&queue, ["12345", "67890"]);
}

pub(crate) fn a_message_larger_than_the_limit_is_not_kept(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length_bytes(10));
    stage.channel.put(&queue, ["small", "much larger than the limit"]);
    stage.channel.empty(&queue);
}

pub(crate) fn the_tighter_of_two_limits_counts(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length(2).max_length_bytes(6));
    stage.channel.put(&queue, ["a", "b", "c"]);
    assert_eq!(stage.channel.ready(&queue), 2);
    stage.channel.put(&queue, ["123456"]);
    stage.channel.drain(&queue, ["123456"]);
}

pub(crate) fn a_queue_of_length_zero_keeps_nothing(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length(0));
    stage.channel.put(&queue, ["nobody waits"]);
    stage.channel.empty(&queue);
    let subscription = stage.channel.subscribe(&queue);
    stage.channel.put(&queue, ["somebody waits"]);
    subscription.expect("somebody waits");
}

pub(crate) fn a_full_queue_that_rejects_refuses_new_messages(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length(2).overflow(Overflow::RejectPublish));
    stage.channel.put(&queue, ["a", "b"]);
    refused(&stage, &queue, "c");
    stage.channel.drain(&queue, ["a", "b"]);
}

pub(crate) fn a_queue_that_rejects_accepts_again_once_there_is_room(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length(1).overflow(Overflow::RejectPublish));
    stage.channel.put(&queue, ["a"]);
    refused(&stage, &queue, "b");
    stage.channel.take(&queue);
    stage.channel.put(&queue, ["c"]);
    stage.channel.drain(&queue, ["c"]);
}

pub(crate) fn a_message_that_one_queue_rejects_still_reaches_the_others(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.fanout();
    let full = stage.queue_with(|queue| queue.max_length(1).overflow(Overflow::RejectPublish));
    stage.bind(&exchange, &full, "");
    let roomy = stage.bound(&exchange, "");
    stage.channel.send(&exchange, "", "a");
    let tag = stage.channel.post(Content::new(&*exchange, "", "b"));
    assert_eq!(stage.channel.outcome(tag), Outcome::Refused);
    stage.channel.drain(&full, ["a"]);
    stage.channel.drain(&roomy, ["a", "b"]);
}

pub(crate) fn refusals_and_acceptances_are_told_of_the_right_messages(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let roomy = stage.queue();
    let full = stage.queue_with(|queue| queue.max_length(0).overflow(Overflow::RejectPublish));
    let tags: Vec<PublishTag> = (0..30)
        .map(|number| {
            stage.channel.post(Content::new(
                "",
                if number % 3 == 0 { &*full } else { &*roomy },
                "x",
            ))
        })
        .collect();
    for (number, tag) in tags.into_iter().enumerate() {
        let wanted = if number % 3 == 0 { Outcome::Refused } else { Outcome::Accepted };
        assert_eq!(stage.channel.outcome(tag), wanted, "message {number}");
    }
}

pub(crate) fn a_mandatory_message_that_its_queue_rejects_is_refused_and_not_returned(
    harness: &dyn Harness,
) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length(0).overflow(Overflow::RejectPublish));
    let tag = stage.channel.post_mandatory(Content::new("", &*queue, "x"));
    assert_eq!(stage.channel.outcome(tag), Outcome::Refused);
}
