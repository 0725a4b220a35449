//! The order of messages, and the position of requeued messages.

use crate::support::*;

pub(crate) fn a_requeued_message_returns_to_the_head(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    fixture.channel.requeue(&fixture.channel.get_delivery(&queue));
    fixture.channel.expect_messages(&queue, ["a", "b", "c"]);
}

pub(crate) fn a_requeued_message_returns_to_its_old_place(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c", "d"]);
    let [_a, b, c] = [
        fixture.channel.get_delivery(&queue),
        fixture.channel.get_delivery(&queue),
        fixture.channel.get_delivery(&queue),
    ];
    fixture.channel.requeue(&c);
    fixture.channel.requeue(&b);
    fixture.channel.expect_messages(&queue, ["b", "c", "d"]);
}

pub(crate) fn messages_requeued_out_of_order_are_redelivered_in_order(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c", "d"]);
    let [a, b, c] = [
        fixture.channel.get_delivery(&queue),
        fixture.channel.get_delivery(&queue),
        fixture.channel.get_delivery(&queue),
    ];
    for delivery in [&b, &a, &c] {
        fixture.channel.requeue(delivery);
    }
    fixture.channel.expect_messages(&queue, ["a", "b", "c", "d"]);
}

pub(crate) fn messages_of_gets_are_requeued_individually_in_the_order_of_their_tags(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    let [a, _b] = [fixture.channel.get_delivery(&queue), fixture.channel.get_delivery(&queue)];
    fixture.channel.requeue(&a);
    fixture.channel.get_delivery(&queue);
    let subscription = fixture.channel.subscribe(&queue);
    fixture.channel.reject(DeliveryTag(0), Rejection::Requeue, Extent::UpTo).expect("requeue");
    // The consumer receives each message as soon as the broker has requeued it.
    subscription.expect("b");
    subscription.expect("a");
}

pub(crate) fn messages_of_gets_are_requeued_before_messages_of_consumers(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    let channel = fixture.open();
    let consumed = channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(1));
    consumed.expect("a");
    channel.get_delivery(&queue);
    channel.get_delivery(&queue);
    let other = fixture.channel.subscribe(&queue);
    channel.reject(DeliveryTag(0), Rejection::Requeue, Extent::UpTo).expect("requeue");
    other.expect("b");
    other.expect("c");
}

pub(crate) fn a_requeued_message_is_delivered_before_later_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["old"]);
    let old = fixture.channel.get_delivery(&queue);
    fixture.channel.enqueue(&queue, ["new"]);
    fixture.channel.requeue(&old);
    fixture.channel.expect_messages(&queue, ["old", "new"]);
}

pub(crate) fn only_delivered_messages_are_marked_as_redelivered(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["delivered", "fresh"]);
    fixture.channel.requeue(&fixture.channel.get_delivery(&queue));
    assert!(fixture.channel.get_delivery(&queue).redelivered);
    assert!(!fixture.channel.get_delivery(&queue).redelivered);
}

pub(crate) fn a_closed_channel_requeues_its_messages_in_order_and_marked_as_redelivered(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c", "d"]);
    let channel = fixture.open();
    for _ in 0..3 {
        channel.get_delivery(&queue);
    }
    channel.close_channel();
    fixture.channel.expect_ready(&queue, 4);
    for (expected, redelivered) in [("a", true), ("b", true), ("c", true), ("d", false)] {
        let delivery = fixture.channel.get_delivery(&queue);
        assert_eq!((body(&delivery).as_str(), delivery.redelivered), (expected, redelivered));
    }
}

pub(crate) fn two_closed_channels_requeue_their_messages_in_order(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c", "d"]);
    let (left, right) = (fixture.open(), fixture.open());
    for channel in [&left, &right, &left, &right] {
        channel.get_delivery(&queue);
    }
    right.close_channel();
    left.close_channel();
    fixture.channel.expect_ready(&queue, 4);
    fixture.channel.expect_messages(&queue, ["a", "b", "c", "d"]);
}

pub(crate) fn a_cancel_requeues_no_message(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let subscription = fixture.channel.subscribe(&queue);
    let held = subscription.expect("x");
    subscription.cancel(DEADLINE).expect("cancel");
    fixture.channel.expect_stays_empty(&queue);
    fixture.channel.requeue(&held);
    fixture.channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn unsettled_messages_are_not_counted_as_ready(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    let first = fixture.channel.get_delivery(&queue);
    assert_eq!(fixture.channel.ready_count(&queue), 2);
    fixture.channel.requeue(&first);
    fixture.channel.expect_ready(&queue, 3);
}

pub(crate) fn a_purge_keeps_unsettled_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["held", "b", "c"]);
    let held = fixture.channel.get_delivery(&queue);
    assert_eq!(fixture.channel.purge(&queue).expect("purge"), 2);
    fixture.channel.requeue(&held);
    let back = fixture.channel.get_delivery(&queue);
    assert_eq!((body(&back).as_str(), back.redelivered), ("held", true));
}

pub(crate) fn a_deletion_returns_the_number_of_ready_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["held", "b", "c"]);
    fixture.channel.get_delivery(&queue);
    assert_eq!(fixture.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete"), 2);
}

pub(crate) fn a_thousand_messages_keep_their_order(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    let tags: Vec<PublishTag> = (0..1000)
        .map(|number| {
            fixture.channel.publish_content(Content::new("", &*queue, number.to_string()))
        })
        .collect();
    for number in 0..1000 {
        fixture.channel.ack_one(&subscription.expect(&number.to_string()));
    }
    for tag in tags {
        assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted);
    }
}
