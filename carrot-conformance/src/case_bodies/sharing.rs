//! Several consumers of one queue.

use crate::support::*;

pub(crate) fn consumers_below_their_prefetch_receive_in_turn(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let first = fixture.channel.subscribe(&queue);
    let second = fixture.channel.subscribe(&queue);
    fixture.channel.enqueue(&queue, ["a"]);
    fixture.channel.enqueue(&queue, ["b"]);
    fixture.channel.enqueue(&queue, ["c"]);
    fixture.channel.enqueue(&queue, ["d"]);
    first.expect("a");
    second.expect("b");
    first.expect("c");
    second.expect("d");
}

pub(crate) fn consumers_on_different_connections_receive_in_turn(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let (left, right) = (fixture.open_on_new_connection(), fixture.open_on_new_connection());
    let first = left.subscribe(&queue);
    let second = right.subscribe(&queue);
    for body in ["a", "b", "c", "d"] {
        fixture.channel.enqueue(&queue, [body]);
    }
    first.expect("a");
    first.expect("c");
    second.expect("b");
    second.expect("d");
}

pub(crate) fn each_message_is_delivered_to_one_consumer(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let first = fixture.channel.subscribe(&queue);
    let second = fixture.channel.subscribe(&queue);
    fixture.channel.enqueue(&queue, ["a", "b"]);
    first.next_delivery();
    second.next_delivery();
    first.expect_nothing();
    second.expect_nothing();
}

pub(crate) fn a_consumer_at_its_prefetch_is_skipped(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let full = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(1));
    let roomy = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(0));
    for body in ["a", "b", "c", "d"] {
        fixture.channel.enqueue(&queue, [body]);
    }
    full.expect("a");
    roomy.expect_all(["b", "c", "d"]);
    full.expect_nothing();
}

pub(crate) fn a_consumer_that_was_skipped_is_served_after_later_ones(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    let full = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(1));
    let held = full.expect("a");
    assert_eq!(body(&fixture.channel.get_delivery(&queue)), "b");
    let later = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(0));
    fixture.channel.requeue(&held);
    later.expect("a");
}

pub(crate) fn messages_of_a_cancelled_consumer_are_delivered_to_the_others(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let leaving = fixture.channel.subscribe(&queue);
    let staying = fixture.channel.subscribe(&queue);
    leaving.cancel(DEADLINE).expect("cancel");
    fixture.channel.enqueue(&queue, ["a", "b"]);
    staying.expect("a");
    staying.expect("b");
}

pub(crate) fn messages_of_a_dropped_subscription_are_delivered_to_the_others(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a"]);
    let channel = fixture.open();
    let leaving = channel.subscribe(&queue);
    fixture.channel.expect_ready(&queue, 0);
    let staying = fixture.channel.subscribe(&queue);
    let [result] = woken(&*staying, || drop(leaving));
    let delivery = result.expect("next").expect("a delivery");
    assert_eq!(body(&delivery), "a");
}

pub(crate) fn messages_of_a_closed_channel_are_delivered_to_other_consumers(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let leaving = channel.subscribe(&queue);
    fixture.channel.enqueue(&queue, ["a"]);
    leaving.expect("a");
    let staying = fixture.channel.subscribe(&queue);
    staying.expect_nothing();
    channel.close_channel();
    assert!(staying.expect("a").redelivered);
}

pub(crate) fn gets_and_a_consumer_share_a_queue(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(1));
    fixture.channel.enqueue(&queue, ["consumed", "got"]);
    subscription.expect("consumed");
    assert_eq!(body(&fixture.channel.get_delivery(&queue)), "got");
}

pub(crate) fn an_exclusive_consumer_excludes_others(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let _only = fixture.channel.subscribe_as(&queue, &ConsumeOptions::default().exclusive());
    assert_error!(
        fixture.open().consume(&queue, &ConsumeOptions::default(), DEADLINE),
        Error::ResourceLocked { .. }
    );
    assert_error!(
        fixture.open_on_new_connection().consume(&queue, &ConsumeOptions::default(), DEADLINE),
        Error::ResourceLocked { .. }
    );
}

pub(crate) fn a_consumer_cannot_be_exclusive_beside_others(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let _shared = fixture.channel.subscribe(&queue);
    assert_error!(
        fixture.open().consume(&queue, &ConsumeOptions::default().exclusive(), DEADLINE),
        Error::ResourceLocked { .. }
    );
}

pub(crate) fn a_get_beside_an_exclusive_consumer_is_allowed(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let mut options = ConsumeOptions::with_prefetch(1);
    options.exclusive = true;
    let only = fixture.channel.subscribe_as(&queue, &options);
    fixture.channel.enqueue(&queue, ["consumed", "got"]);
    only.expect("consumed");
    assert_eq!(body(&fixture.open().get_delivery(&queue)), "got");
}

pub(crate) fn a_cancelled_exclusive_consumer_allows_others(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let only = fixture.channel.subscribe_as(&queue, &ConsumeOptions::default().exclusive());
    only.cancel(DEADLINE).expect("cancel");
    let next = fixture.channel.subscribe(&queue);
    fixture.channel.enqueue(&queue, ["x"]);
    next.expect("x");
}

pub(crate) fn of_single_active_consumers_only_the_first_receives(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::single_active_consumer);
    let active = fixture.channel.subscribe(&queue);
    let waiting = fixture.channel.subscribe(&queue);
    fixture.channel.enqueue(&queue, ["a", "b"]);
    fixture.channel.ack_one(&active.expect("a"));
    active.expect("b");
    waiting.expect_nothing();
}

pub(crate) fn a_single_active_consumer_receives_up_to_its_prefetch(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::single_active_consumer);
    let active = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(2));
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    active.expect_all(["a", "b"]);
    active.expect_nothing();
}

pub(crate) fn the_next_consumer_takes_over_from_a_single_active_one(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::single_active_consumer);
    let active = fixture.channel.subscribe(&queue);
    let waiting = fixture.channel.subscribe(&queue);
    active.cancel(DEADLINE).expect("cancel");
    fixture.channel.enqueue(&queue, ["a", "b"]);
    fixture.channel.ack_one(&waiting.expect("a"));
    waiting.expect("b");
}

pub(crate) fn a_single_active_consumer_at_its_prefetch_is_not_replaced(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::single_active_consumer);
    let active = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(1));
    let waiting = fixture.channel.subscribe(&queue);
    fixture.channel.enqueue(&queue, ["a", "b"]);
    active.expect("a");
    waiting.expect_nothing();
    active.expect_nothing();
}

pub(crate) fn an_exclusive_consumer_of_a_single_active_queue_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::single_active_consumer);
    assert_error!(
        fixture.open().consume(&queue, &ConsumeOptions::default().exclusive(), DEADLINE),
        Error::ResourceLocked { .. }
    );
}

pub(crate) fn a_consumer_of_higher_priority_is_served_first(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let low = fixture.channel.subscribe(&queue);
    let high =
        fixture.channel.subscribe_as(&queue, &ConsumeOptions::default().argument("x-priority", 10));
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    high.expect_all(["a", "b", "c"]);
    low.expect_nothing();
}

pub(crate) fn a_consumer_of_lower_priority_is_served_when_the_higher_is_full(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let high = fixture
        .channel
        .subscribe_as(&queue, &ConsumeOptions::with_prefetch(1).argument("x-priority", 10));
    let low =
        fixture.channel.subscribe_as(&queue, &ConsumeOptions::default().argument("x-priority", -1));
    fixture.channel.enqueue(&queue, ["a", "b"]);
    high.expect("a");
    low.expect("b");
}

pub(crate) fn a_consumer_priority_that_is_not_an_integer_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let options = ConsumeOptions::default().argument("x-priority", "high");
    assert_error!(
        fixture.open().consume(&queue, &options, DEADLINE),
        Error::PreconditionFailed { .. }
    );
}
