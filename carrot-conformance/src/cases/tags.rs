//! Delivery tags: what a settlement covers, and what a wrong one does.

use std::thread;

use crate::support::*;

fn take_three(stage: &Stage<'_>, channel: &dyn Backend, queue: &str) -> [Delivery; 3] {
    stage.channel.put(queue, ["a", "b", "c"]);
    [channel.take(queue), channel.take(queue), channel.take(queue)]
}

pub(crate) fn delivery_tags_count_up_from_one(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let tags = take_three(&stage, &*stage.channel, &queue).map(|delivery| delivery.tag.0);
    assert_eq!(tags, [1, 2, 3]);
}

pub(crate) fn gets_and_consumers_of_a_channel_share_one_count_of_tags(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (left, right) = (stage.queue(), stage.queue());
    stage.channel.put(&left, ["a", "c"]);
    assert_eq!(stage.channel.take(&left).tag, DeliveryTag(1));
    let subscription = stage.channel.subscribe(&right);
    stage.channel.put(&right, ["b"]);
    assert_eq!(subscription.expect("b").tag, DeliveryTag(2));
    assert_eq!(stage.channel.take(&left).tag, DeliveryTag(3));
}

pub(crate) fn automatic_deliveries_take_tags_too(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    assert_eq!(stage.channel.take_as(&queue, Acknowledgement::Automatic).tag, DeliveryTag(1));
    assert_eq!(stage.channel.take(&queue).tag, DeliveryTag(2));
}

pub(crate) fn each_channel_counts_its_own_tags(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    assert_eq!(stage.channel.take(&queue).tag, DeliveryTag(1));
    assert_eq!(stage.open().take(&queue).tag, DeliveryTag(1));
}

pub(crate) fn a_redelivery_has_a_new_tag(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a"]);
    stage.channel.requeue(&stage.channel.take(&queue));
    assert_eq!(stage.channel.take(&queue).tag, DeliveryTag(2));
}

pub(crate) fn an_ack_up_to_a_tag_settles_all_before_it(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let [_, second, _] = take_three(&stage, &*channel, &queue);
    channel.ack(second.tag, Extent::UpTo).expect("ack");
    channel.shut();
    stage.channel.drain(&queue, ["c"]);
}

pub(crate) fn an_ack_of_one_settles_no_other(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let [_, second, _] = take_three(&stage, &*channel, &queue);
    channel.accept(&second);
    channel.shut();
    stage.channel.drain(&queue, ["a", "c"]);
}

pub(crate) fn deliveries_can_be_settled_in_any_order(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let [first, second, third] = take_three(&stage, &*stage.channel, &queue);
    for delivery in [third, first, second] {
        stage.channel.accept(&delivery);
    }
    stage.channel.round_trip(&queue);
    stage.channel.shut();
    stage.open().stays_empty(&queue);
}

pub(crate) fn an_ack_up_to_tag_zero_settles_everything(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    take_three(&stage, &*channel, &queue);
    channel.ack(DeliveryTag(0), Extent::UpTo).expect("ack");
    channel.shut();
    stage.channel.stays_empty(&queue);
}

pub(crate) fn an_ack_up_to_tag_zero_with_nothing_unsettled_is_no_error(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.ack(DeliveryTag(0), Extent::UpTo).expect("ack");
    stage.channel.round_trip(&queue);
}

pub(crate) fn a_requeue_up_to_a_tag_covers_all_before_it(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let [_, second, _] = take_three(&stage, &*stage.channel, &queue);
    stage.channel.reject(second.tag, Rejection::Requeue, Extent::UpTo).expect("requeue");
    stage.channel.drain(&queue, ["a", "b"]);
}

pub(crate) fn a_requeue_up_to_tag_zero_covers_everything(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    take_three(&stage, &*stage.channel, &queue);
    stage.channel.reject(DeliveryTag(0), Rejection::Requeue, Extent::UpTo).expect("requeue");
    stage.channel.drain(&queue, ["a", "b", "c"]);
}

pub(crate) fn a_discard_up_to_a_tag_covers_all_before_it(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let [_, second, _] = take_three(&stage, &*channel, &queue);
    channel.reject(second.tag, Rejection::Discard, Extent::UpTo).expect("discard");
    channel.shut();
    stage.channel.drain(&queue, ["c"]);
}

pub(crate) fn an_ack_up_to_a_tag_passes_over_what_is_settled(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let [_, second, third] = take_three(&stage, &*channel, &queue);
    channel.requeue(&second);
    channel.ack(third.tag, Extent::UpTo).expect("ack");
    channel.shut();
    stage.channel.drain(&queue, ["b"]);
}

pub(crate) fn an_ack_up_to_a_tag_covers_every_queue_of_the_channel(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (left, right) = (stage.queue(), stage.queue());
    stage.channel.put(&left, ["a"]);
    stage.channel.put(&right, ["b"]);
    let channel = stage.open();
    channel.take(&left);
    let last = channel.take(&right);
    channel.ack(last.tag, Extent::UpTo).expect("ack");
    channel.shut();
    stage.channel.stays_empty(&left);
    stage.channel.stays_empty(&right);
}

pub(crate) fn acknowledging_twice_closes_the_channel(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let [first, ..] = take_three(&stage, &*channel, &queue);
    channel.accept(&first);
    channel.accept(&first);
    assert!(matches!(channel.death(&queue), Error::PreconditionFailed { .. }));
}

pub(crate) fn a_wrong_ack_gives_back_what_else_was_unsettled(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let [first, ..] = take_three(&stage, &*channel, &queue);
    channel.accept(&first);
    channel.accept(&first);
    channel.death(&queue);
    stage.channel.drain(&queue, ["b", "c"]);
}

pub(crate) fn rejecting_what_is_acknowledged_closes_the_channel(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let [first, ..] = take_three(&stage, &*channel, &queue);
    channel.accept(&first);
    channel.discard(&first);
    assert!(matches!(channel.death(&queue), Error::PreconditionFailed { .. }));
}

pub(crate) fn an_unknown_tag_closes_the_channel(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    for extent in [Extent::One, Extent::UpTo] {
        let channel = stage.open();
        channel.ack(DeliveryTag(99), extent).expect("an ack does not wait");
        assert!(matches!(channel.death(&queue), Error::PreconditionFailed { .. }));
    }
}

pub(crate) fn an_unknown_tag_in_a_rejection_closes_the_channel(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    for rejection in [Rejection::Requeue, Rejection::Discard] {
        let channel = stage.open();
        channel.reject(DeliveryTag(99), rejection, Extent::One).expect("a reject does not wait");
        assert!(matches!(channel.death(&queue), Error::PreconditionFailed { .. }));
    }
}

pub(crate) fn tag_zero_alone_is_unknown(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    take_three(&stage, &*channel, &queue);
    channel.ack(DeliveryTag(0), Extent::One).expect("an ack does not wait");
    assert!(matches!(channel.death(&queue), Error::PreconditionFailed { .. }));
}

pub(crate) fn an_automatic_delivery_cannot_be_acknowledged(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let channel = stage.open();
    let delivery = channel.take_as(&queue, Acknowledgement::Automatic);
    channel.accept(&delivery);
    assert!(matches!(channel.death(&queue), Error::PreconditionFailed { .. }));
}

pub(crate) fn a_tag_of_another_channel_is_unknown(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let delivery = stage.channel.take(&queue);
    let channel = stage.open();
    channel.accept(&delivery);
    assert!(matches!(channel.death(&queue), Error::PreconditionFailed { .. }));
    stage.channel.accept(&delivery);
    stage.channel.round_trip(&queue);
}

pub(crate) fn a_delivery_can_be_settled_from_another_thread(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let subscription = channel.subscribe(&queue);
    stage.channel.put(&queue, ["x"]);
    let delivery = subscription.expect("x");
    thread::scope(|scope| {
        scope.spawn(|| channel.accept(&delivery)).join().expect("the settling thread")
    });
    channel.shut();
    stage.channel.stays_empty(&queue);
}

pub(crate) fn a_delivery_can_be_settled_after_its_consumer_was_cancelled(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let channel = stage.open();
    let subscription = channel.subscribe(&queue);
    let delivery = subscription.expect("x");
    subscription.cancel().expect("cancel");
    channel.accept(&delivery);
    channel.shut();
    stage.channel.stays_empty(&queue);
}

pub(crate) fn settling_a_delivery_of_a_deleted_queue_is_no_error(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (queue, other) = (stage.queue(), stage.queue());
    stage.channel.put(&queue, ["a", "b"]);
    let (first, second) = (stage.channel.take(&queue), stage.channel.take(&queue));
    stage.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    stage.channel.accept(&first);
    stage.channel.requeue(&second);
    stage.channel.round_trip(&other);
}

pub(crate) fn a_requeue_up_to_tag_zero_with_nothing_unsettled_is_no_error(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.reject(DeliveryTag(0), Rejection::Requeue, Extent::UpTo).expect("requeue");
    stage.channel.put(&queue, ["a"]);
    stage.channel.drain(&queue, ["a"]);
}

pub(crate) fn a_failed_delivery_is_requeued_like_any_other(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    let failed = stage.channel.take(&queue);
    stage.channel.reject(failed.tag, Rejection::RequeueFailed, Extent::One).expect("requeue");
    let again = stage.channel.take(&queue);
    assert!(again.redelivered && again.content.body == b"a", "{again:?}");
    stage.channel.ack(again.tag, Extent::One).expect("ack");
    stage.channel.drain(&queue, ["b"]);
}

pub(crate) fn failed_deliveries_up_to_a_tag_are_requeued_and_no_later_one(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let [_, second, third] = take_three(&stage, &*stage.channel, &queue);
    stage.channel.reject(second.tag, Rejection::RequeueFailed, Extent::UpTo).expect("requeue");
    stage.channel.drain(&queue, ["a", "b"]);
    stage.channel.ack(third.tag, Extent::One).expect("ack");
}
