//! Delivery tags: the extent of a settlement, and invalid settlements.

use std::thread;

use crate::support::*;

fn take_three(fixture: &CaseFixture<'_>, channel: &dyn Backend, queue: &str) -> [Delivery; 3] {
    fixture.channel.enqueue(queue, ["a", "b", "c"]);
    [channel.get_delivery(queue), channel.get_delivery(queue), channel.get_delivery(queue)]
}

pub(crate) fn delivery_tags_count_up_from_one(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let tags = take_three(&fixture, &*fixture.channel, &queue).map(|delivery| delivery.tag.0);
    assert_eq!(tags, [1, 2, 3]);
}

pub(crate) fn gets_and_consumers_of_a_channel_share_one_sequence_of_tags(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (left, right) = (fixture.queue(), fixture.queue());
    fixture.channel.enqueue(&left, ["a", "c"]);
    assert_eq!(fixture.channel.get_delivery(&left).tag, DeliveryTag(1));
    let subscription = fixture.channel.subscribe(&right);
    fixture.channel.enqueue(&right, ["b"]);
    assert_eq!(subscription.expect("b").tag, DeliveryTag(2));
    assert_eq!(fixture.channel.get_delivery(&left).tag, DeliveryTag(3));
}

pub(crate) fn automatic_deliveries_take_tags_too(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    assert_eq!(
        fixture.channel.get_delivery_as(&queue, Acknowledgement::Automatic).tag,
        DeliveryTag(1)
    );
    assert_eq!(fixture.channel.get_delivery(&queue).tag, DeliveryTag(2));
}

pub(crate) fn each_channel_counts_its_own_tags(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    assert_eq!(fixture.channel.get_delivery(&queue).tag, DeliveryTag(1));
    assert_eq!(fixture.open().get_delivery(&queue).tag, DeliveryTag(1));
}

pub(crate) fn a_redelivery_has_a_new_tag(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a"]);
    fixture.channel.requeue(&fixture.channel.get_delivery(&queue));
    assert_eq!(fixture.channel.get_delivery(&queue).tag, DeliveryTag(2));
}

pub(crate) fn an_ack_up_to_a_tag_settles_all_before_it(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let [_, second, _] = take_three(&fixture, &*channel, &queue);
    channel.ack(second.tag, Extent::UpTo).expect("ack");
    channel.close_channel();
    fixture.channel.expect_messages(&queue, ["c"]);
}

pub(crate) fn an_ack_of_one_settles_no_other(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let [_, second, _] = take_three(&fixture, &*channel, &queue);
    channel.ack_one(&second);
    channel.close_channel();
    fixture.channel.expect_messages(&queue, ["a", "c"]);
}

pub(crate) fn an_ack_of_several_settles_no_other(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    fixture.channel.enqueue(&queue, ["a", "b", "c", "d", "e", "f"]);
    let tags: Vec<_> = (0..6).map(|_| channel.get_delivery(&queue).tag).collect();
    channel.ack_all(&[tags[0], tags[1]]).expect("ack of the first");
    channel.ack_all(&[tags[5], tags[3]]).expect("ack beyond a hole");
    channel.ack_all(&[]).expect("ack of none");
    channel.close_channel();
    fixture.channel.expect_messages(&queue, ["c", "e"]);
}

pub(crate) fn an_ack_of_several_with_an_unknown_tag_closes_the_channel(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let [first, ..] = take_three(&fixture, &*channel, &queue);
    let _ = channel.ack_all(&[first.tag, DeliveryTag(99)]);
    assert!(matches!(channel.channel_error(&queue), Error::PreconditionFailed { .. }));
}

pub(crate) fn deliveries_can_be_settled_in_any_order(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let [first, second, third] = take_three(&fixture, &*fixture.channel, &queue);
    for delivery in [third, first, second] {
        fixture.channel.ack_one(&delivery);
    }
    fixture.channel.round_trip(&queue);
    fixture.channel.close_channel();
    fixture.open().expect_stays_empty(&queue);
}

pub(crate) fn an_ack_up_to_tag_zero_settles_everything(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    take_three(&fixture, &*channel, &queue);
    channel.ack(DeliveryTag(0), Extent::UpTo).expect("ack");
    channel.close_channel();
    fixture.channel.expect_stays_empty(&queue);
}

pub(crate) fn an_ack_up_to_tag_zero_without_unsettled_messages_succeeds(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.ack(DeliveryTag(0), Extent::UpTo).expect("ack");
    fixture.channel.round_trip(&queue);
}

pub(crate) fn a_requeue_up_to_a_tag_covers_all_before_it(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let [_, second, _] = take_three(&fixture, &*fixture.channel, &queue);
    fixture.channel.reject(second.tag, Rejection::Requeue, Extent::UpTo).expect("requeue");
    fixture.channel.expect_messages(&queue, ["a", "b"]);
}

pub(crate) fn a_requeue_up_to_tag_zero_covers_everything(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    take_three(&fixture, &*fixture.channel, &queue);
    fixture.channel.reject(DeliveryTag(0), Rejection::Requeue, Extent::UpTo).expect("requeue");
    fixture.channel.expect_messages(&queue, ["a", "b", "c"]);
}

pub(crate) fn a_discard_up_to_a_tag_covers_all_before_it(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let [_, second, _] = take_three(&fixture, &*channel, &queue);
    channel.reject(second.tag, Rejection::Discard, Extent::UpTo).expect("discard");
    channel.close_channel();
    fixture.channel.expect_messages(&queue, ["c"]);
}

pub(crate) fn an_ack_up_to_a_tag_skips_settled_deliveries(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let [_, second, third] = take_three(&fixture, &*channel, &queue);
    channel.requeue(&second);
    channel.ack(third.tag, Extent::UpTo).expect("ack");
    channel.close_channel();
    fixture.channel.expect_messages(&queue, ["b"]);
}

pub(crate) fn an_ack_up_to_a_tag_covers_every_queue_of_the_channel(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (left, right) = (fixture.queue(), fixture.queue());
    fixture.channel.enqueue(&left, ["a"]);
    fixture.channel.enqueue(&right, ["b"]);
    let channel = fixture.open();
    channel.get_delivery(&left);
    let last = channel.get_delivery(&right);
    channel.ack(last.tag, Extent::UpTo).expect("ack");
    channel.close_channel();
    fixture.channel.expect_stays_empty(&left);
    fixture.channel.expect_stays_empty(&right);
}

pub(crate) fn acknowledging_twice_closes_the_channel(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let [first, ..] = take_three(&fixture, &*channel, &queue);
    channel.ack_one(&first);
    channel.ack_one(&first);
    assert!(matches!(channel.channel_error(&queue), Error::PreconditionFailed { .. }));
}

pub(crate) fn a_wrong_ack_requeues_the_other_unsettled_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let [first, ..] = take_three(&fixture, &*channel, &queue);
    channel.ack_one(&first);
    channel.ack_one(&first);
    channel.channel_error(&queue);
    fixture.channel.expect_messages(&queue, ["b", "c"]);
}

pub(crate) fn rejecting_an_acknowledged_delivery_closes_the_channel(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let [first, ..] = take_three(&fixture, &*channel, &queue);
    channel.ack_one(&first);
    channel.discard(&first);
    assert!(matches!(channel.channel_error(&queue), Error::PreconditionFailed { .. }));
}

pub(crate) fn an_unknown_tag_closes_the_channel(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    for extent in [Extent::One, Extent::UpTo] {
        let channel = fixture.open();
        channel.ack(DeliveryTag(99), extent).expect("an ack does not wait");
        assert!(matches!(channel.channel_error(&queue), Error::PreconditionFailed { .. }));
    }
}

pub(crate) fn an_unknown_tag_in_a_rejection_closes_the_channel(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    for rejection in [Rejection::Requeue, Rejection::Discard] {
        let channel = fixture.open();
        channel.reject(DeliveryTag(99), rejection, Extent::One).expect("a reject does not wait");
        assert!(matches!(channel.channel_error(&queue), Error::PreconditionFailed { .. }));
    }
}

pub(crate) fn an_ack_of_tag_zero_alone_closes_the_channel(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    take_three(&fixture, &*channel, &queue);
    channel.ack(DeliveryTag(0), Extent::One).expect("an ack does not wait");
    assert!(matches!(channel.channel_error(&queue), Error::PreconditionFailed { .. }));
}

pub(crate) fn an_automatic_delivery_cannot_be_acknowledged(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let channel = fixture.open();
    let delivery = channel.get_delivery_as(&queue, Acknowledgement::Automatic);
    channel.ack_one(&delivery);
    assert!(matches!(channel.channel_error(&queue), Error::PreconditionFailed { .. }));
}

pub(crate) fn a_tag_of_another_channel_is_unknown(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let delivery = fixture.channel.get_delivery(&queue);
    let channel = fixture.open();
    channel.ack_one(&delivery);
    assert!(matches!(channel.channel_error(&queue), Error::PreconditionFailed { .. }));
    fixture.channel.ack_one(&delivery);
    fixture.channel.round_trip(&queue);
}

pub(crate) fn a_delivery_can_be_settled_from_another_thread(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let subscription = channel.subscribe(&queue);
    fixture.channel.enqueue(&queue, ["x"]);
    let delivery = subscription.expect("x");
    thread::scope(|scope| {
        scope.spawn(|| channel.ack_one(&delivery)).join().expect("the settling thread")
    });
    channel.close_channel();
    fixture.channel.expect_stays_empty(&queue);
}

pub(crate) fn a_delivery_can_be_settled_after_its_consumer_was_cancelled(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let channel = fixture.open();
    let subscription = channel.subscribe(&queue);
    let delivery = subscription.expect("x");
    subscription.cancel(DEADLINE).expect("cancel");
    channel.ack_one(&delivery);
    channel.close_channel();
    fixture.channel.expect_stays_empty(&queue);
}

pub(crate) fn settling_a_delivery_of_a_deleted_queue_succeeds(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (queue, other) = (fixture.queue(), fixture.queue());
    fixture.channel.enqueue(&queue, ["a", "b"]);
    let (first, second) =
        (fixture.channel.get_delivery(&queue), fixture.channel.get_delivery(&queue));
    fixture.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    fixture.channel.ack_one(&first);
    fixture.channel.requeue(&second);
    fixture.channel.round_trip(&other);
}

pub(crate) fn a_requeue_up_to_tag_zero_without_unsettled_messages_succeeds(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.reject(DeliveryTag(0), Rejection::Requeue, Extent::UpTo).expect("requeue");
    fixture.channel.enqueue(&queue, ["a"]);
    fixture.channel.expect_messages(&queue, ["a"]);
}

pub(crate) fn a_requeue_of_a_failed_delivery_redelivers_it(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    let failed = fixture.channel.get_delivery(&queue);
    fixture.channel.reject(failed.tag, Rejection::RequeueFailed, Extent::One).expect("requeue");
    let again = fixture.channel.get_delivery(&queue);
    assert!(again.redelivered && again.content.body == b"a", "{again:?}");
    fixture.channel.ack(again.tag, Extent::One).expect("ack");
    fixture.channel.expect_messages(&queue, ["b"]);
}

pub(crate) fn failed_deliveries_up_to_a_tag_are_requeued_and_no_later_one(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let [_, second, third] = take_three(&fixture, &*fixture.channel, &queue);
    fixture.channel.reject(second.tag, Rejection::RequeueFailed, Extent::UpTo).expect("requeue");
    fixture.channel.expect_messages(&queue, ["a", "b"]);
    fixture.channel.ack(third.tag, Extent::One).expect("ack");
}

/// Takes the first of two messages on `channel`. The second has arrived, and was not received.
fn receive_one_of_two(
    fixture: &CaseFixture<'_>,
    channel: &dyn Backend,
    queue: &str,
) -> Box<dyn Subscription> {
    fixture.channel.enqueue(queue, ["received", "arrived"]);
    let subscription = channel.subscribe(queue);
    fixture.channel.expect_ready(queue, 0);
    subscription.expect("received");
    subscription
}

pub(crate) fn an_ack_up_to_tag_zero_leaves_deliveries_not_received(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let _subscription = receive_one_of_two(&fixture, &*channel, &queue);
    channel.ack(DeliveryTag(0), Extent::UpTo).expect("ack");
    channel.close_channel();
    fixture.channel.expect_messages(&queue, ["arrived"]);
}

pub(crate) fn an_ack_up_to_a_tag_leaves_earlier_deliveries_not_received(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (queue, other) = (fixture.queue(), fixture.queue());
    let channel = fixture.open();
    let _subscription = receive_one_of_two(&fixture, &*channel, &queue);
    fixture.channel.enqueue(&other, ["later"]);
    let later = channel.get_delivery(&other);
    channel.ack(later.tag, Extent::UpTo).expect("ack");
    channel.close_channel();
    fixture.channel.expect_messages(&queue, ["arrived"]);
    fixture.channel.expect_stays_empty(&other);
}

pub(crate) fn a_discard_up_to_tag_zero_leaves_deliveries_not_received(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let _subscription = receive_one_of_two(&fixture, &*channel, &queue);
    channel.reject(DeliveryTag(0), Rejection::Discard, Extent::UpTo).expect("discard");
    channel.close_channel();
    fixture.channel.expect_messages(&queue, ["arrived"]);
}
