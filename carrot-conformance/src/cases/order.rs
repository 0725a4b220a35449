//! Where requeued messages go, and what is left alone.

use crate::support::*;

pub(crate) fn a_requeued_message_returns_to_the_head(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c"]);
    stage.channel.requeue(&stage.channel.take(&queue));
    stage.channel.drain(&queue, ["a", "b", "c"]);
}

pub(crate) fn a_requeued_message_returns_to_its_old_place(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c", "d"]);
    let [_a, b, c] =
        [stage.channel.take(&queue), stage.channel.take(&queue), stage.channel.take(&queue)];
    stage.channel.requeue(&c);
    stage.channel.requeue(&b);
    stage.channel.drain(&queue, ["b", "c", "d"]);
}

pub(crate) fn messages_requeued_out_of_order_come_back_in_order(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c", "d"]);
    let [a, b, c] =
        [stage.channel.take(&queue), stage.channel.take(&queue), stage.channel.take(&queue)];
    for delivery in [&b, &a, &c] {
        stage.channel.requeue(delivery);
    }
    stage.channel.drain(&queue, ["a", "b", "c", "d"]);
}

pub(crate) fn messages_that_were_got_are_requeued_one_by_one_in_the_order_of_their_tags(
    harness: &dyn Harness,
) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    let [a, _b] = [stage.channel.take(&queue), stage.channel.take(&queue)];
    stage.channel.requeue(&a);
    stage.channel.take(&queue);
    let subscription = stage.channel.subscribe(&queue);
    stage.channel.reject(DeliveryTag(0), Rejection::Requeue, Extent::UpTo).expect("requeue");
    // The consumer takes each as it comes.
    subscription.expect("b");
    subscription.expect("a");
}

pub(crate) fn what_was_got_is_requeued_before_what_was_consumed(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c"]);
    let channel = stage.open();
    let consumed = channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1));
    consumed.expect("a");
    channel.take(&queue);
    channel.take(&queue);
    let other = stage.channel.subscribe(&queue);
    channel.reject(DeliveryTag(0), Rejection::Requeue, Extent::UpTo).expect("requeue");
    other.expect("b");
    other.expect("c");
}

pub(crate) fn a_requeued_message_comes_before_what_was_published_since(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["old"]);
    let old = stage.channel.take(&queue);
    stage.channel.put(&queue, ["new"]);
    stage.channel.requeue(&old);
    stage.channel.drain(&queue, ["old", "new"]);
}

pub(crate) fn only_what_was_delivered_is_marked_as_redelivered(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["delivered", "fresh"]);
    stage.channel.requeue(&stage.channel.take(&queue));
    assert!(stage.channel.take(&queue).redelivered);
    assert!(!stage.channel.take(&queue).redelivered);
}

pub(crate) fn a_closed_channel_gives_back_its_messages_in_order_and_redelivered(
    harness: &dyn Harness,
) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c", "d"]);
    let channel = stage.open();
    for _ in 0..3 {
        channel.take(&queue);
    }
    channel.shut();
    stage.channel.expect_ready(&queue, 4);
    for (wanted, redelivered) in [("a", true), ("b", true), ("c", true), ("d", false)] {
        let delivery = stage.channel.take(&queue);
        assert_eq!((body(&delivery).as_str(), delivery.redelivered), (wanted, redelivered));
    }
}

pub(crate) fn two_closed_channels_give_back_their_messages_in_order(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c", "d"]);
    let (left, right) = (stage.open(), stage.open());
    for channel in [&left, &right, &left, &right] {
        channel.take(&queue);
    }
    right.shut();
    left.shut();
    stage.channel.expect_ready(&queue, 4);
    stage.channel.drain(&queue, ["a", "b", "c", "d"]);
}

pub(crate) fn a_cancel_gives_nothing_back(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let subscription = stage.channel.subscribe(&queue);
    let held = subscription.expect("x");
    subscription.cancel().expect("cancel");
    stage.channel.stays_empty(&queue);
    stage.channel.requeue(&held);
    stage.channel.drain(&queue, ["x"]);
}

pub(crate) fn unsettled_messages_are_not_counted_as_ready(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c"]);
    let first = stage.channel.take(&queue);
    assert_eq!(stage.channel.ready(&queue), 2);
    stage.channel.requeue(&first);
    stage.channel.expect_ready(&queue, 3);
}

pub(crate) fn a_purge_leaves_unsettled_messages_which_a_requeue_brings_back(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["held", "b", "c"]);
    let held = stage.channel.take(&queue);
    assert_eq!(stage.channel.purge(&queue).expect("purge"), 2);
    stage.channel.requeue(&held);
    let back = stage.channel.take(&queue);
    assert_eq!((body(&back).as_str(), back.redelivered), ("held", true));
}

pub(crate) fn a_deletion_counts_ready_messages_only(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["held", "b", "c"]);
    stage.channel.take(&queue);
    assert_eq!(stage.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete"), 2);
}

pub(crate) fn a_thousand_messages_keep_their_order(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    let tags: Vec<PublishTag> = (0..1000)
        .map(|number| stage.channel.post(Content::new("", &*queue, number.to_string())))
        .collect();
    for number in 0..1000 {
        stage.channel.accept(&subscription.expect(&number.to_string()));
    }
    for tag in tags {
        assert_eq!(stage.channel.outcome(tag), Outcome::Accepted);
    }
}
