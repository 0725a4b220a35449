//! Queues with a length limit.

use crate::support::*;

fn expect_refused(fixture: &CaseFixture<'_>, queue: &str, body: &str) {
    let tag = fixture.channel.publish_content(Content::new("", queue, body));
    assert_eq!(fixture.channel.outcome(tag), Outcome::Refused);
}

pub(crate) fn a_full_queue_drops_its_oldest_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_length(2));
    fixture.channel.enqueue(&queue, ["a", "b", "c", "d"]);
    fixture.channel.expect_messages(&queue, ["c", "d"]);
}

pub(crate) fn unsettled_messages_do_not_fill_a_queue(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_length(2));
    fixture.channel.enqueue(&queue, ["a", "b"]);
    fixture.channel.get_delivery(&queue);
    fixture.channel.get_delivery(&queue);
    fixture.channel.enqueue(&queue, ["c", "d"]);
    fixture.channel.expect_messages(&queue, ["c", "d"]);
}

pub(crate) fn a_requeue_into_a_full_queue_drops_from_the_head(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_length(2));
    fixture.channel.enqueue(&queue, ["a"]);
    let held = fixture.channel.get_delivery(&queue);
    fixture.channel.enqueue(&queue, ["b", "c"]);
    fixture.channel.requeue(&held);
    fixture.channel.enqueue(&queue, ["d"]);
    fixture.channel.expect_messages(&queue, ["c", "d"]);
}

pub(crate) fn a_queue_limited_in_bytes_counts_bodies(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_length_bytes(10));
    fixture.channel.enqueue(&queue, ["12345", "67890"]);
    assert_eq!(fixture.channel.ready_count(&queue), 2);
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.expect_messages(&queue, ["67890", "x"]);
}

pub(crate) fn headers_and_properties_are_not_counted_in_bytes(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_length_bytes(10));
    fixture.channel.enqueue_with(
        &queue,
        "12345",
        Properties::new().with_header("long", "x".repeat(100).as_str()),
    );
    fixture.channel.enqueue_with(
        &queue,
        "67890",
        Properties::new().with_message_id("a long identifier"),
    );
    fixture.channel.expect_messages(&queue, ["12345", "67890"]);
}

pub(crate) fn a_message_larger_than_the_limit_is_not_kept(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_length_bytes(10));
    fixture.channel.enqueue(&queue, ["small", "much larger than the limit"]);
    fixture.channel.expect_empty(&queue);
}

pub(crate) fn the_tighter_of_two_limits_applies(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_length(2).max_length_bytes(6));
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    assert_eq!(fixture.channel.ready_count(&queue), 2);
    fixture.channel.enqueue(&queue, ["123456"]);
    fixture.channel.expect_messages(&queue, ["123456"]);
}

pub(crate) fn a_queue_of_length_zero_keeps_nothing(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_length(0));
    fixture.channel.enqueue(&queue, ["no consumer waits"]);
    fixture.channel.expect_empty(&queue);
    let subscription = fixture.channel.subscribe(&queue);
    fixture.channel.enqueue(&queue, ["a consumer waits"]);
    subscription.expect("a consumer waits");
}

pub(crate) fn a_full_queue_that_rejects_refuses_new_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_length(2).overflow(Overflow::RejectPublish));
    fixture.channel.enqueue(&queue, ["a", "b"]);
    expect_refused(&fixture, &queue, "c");
    fixture.channel.expect_messages(&queue, ["a", "b"]);
}

pub(crate) fn a_queue_that_rejects_accepts_again_below_its_limit(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_length(1).overflow(Overflow::RejectPublish));
    fixture.channel.enqueue(&queue, ["a"]);
    expect_refused(&fixture, &queue, "b");
    fixture.channel.get_delivery(&queue);
    fixture.channel.enqueue(&queue, ["c"]);
    fixture.channel.expect_messages(&queue, ["c"]);
}

pub(crate) fn a_message_rejected_by_one_queue_reaches_the_others(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.fanout_exchange();
    let full = fixture.queue_with(|queue| queue.max_length(1).overflow(Overflow::RejectPublish));
    fixture.bind(&exchange, &full, "");
    let roomy = fixture.bound_queue(&exchange, "");
    fixture.channel.send(&exchange, "", "a");
    let tag = fixture.channel.publish_content(Content::new(&*exchange, "", "b"));
    assert_eq!(fixture.channel.outcome(tag), Outcome::Refused);
    fixture.channel.expect_messages(&full, ["a"]);
    fixture.channel.expect_messages(&roomy, ["a", "b"]);
}

pub(crate) fn refusals_and_acceptances_belong_to_the_right_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let roomy = fixture.queue();
    let full = fixture.queue_with(|queue| queue.max_length(0).overflow(Overflow::RejectPublish));
    let tags: Vec<PublishTag> = (0..30)
        .map(|number| {
            fixture.channel.publish_content(Content::new(
                "",
                if number % 3 == 0 { &*full } else { &*roomy },
                "x",
            ))
        })
        .collect();
    for (number, tag) in tags.into_iter().enumerate() {
        let expected = if number % 3 == 0 { Outcome::Refused } else { Outcome::Accepted };
        assert_eq!(fixture.channel.outcome(tag), expected, "message {number}");
    }
}

pub(crate) fn a_mandatory_message_that_its_queue_rejects_is_refused_and_not_returned(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.max_length(0).overflow(Overflow::RejectPublish));
    let tag = fixture.channel.publish_mandatory(Content::new("", &*queue, "x"));
    assert_eq!(fixture.channel.outcome(tag), Outcome::Refused);
}
