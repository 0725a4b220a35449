//! Several consumers of one queue.

use crate::support::*;

pub(crate) fn consumers_with_room_take_turns(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let first = stage.channel.subscribe(&queue);
    let second = stage.channel.subscribe(&queue);
    stage.channel.put(&queue, ["a"]);
    stage.channel.put(&queue, ["b"]);
    stage.channel.put(&queue, ["c"]);
    stage.channel.put(&queue, ["d"]);
    first.expect("a");
    second.expect("b");
    first.expect("c");
    second.expect("d");
}

pub(crate) fn consumers_on_different_connections_take_turns(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let (left, right) = (stage.elsewhere(), stage.elsewhere());
    let first = left.subscribe(&queue);
    let second = right.subscribe(&queue);
    for body in ["a", "b", "c", "d"] {
        stage.channel.put(&queue, [body]);
    }
    first.expect("a");
    first.expect("c");
    second.expect("b");
    second.expect("d");
}

pub(crate) fn each_message_goes_to_one_consumer_only(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let first = stage.channel.subscribe(&queue);
    let second = stage.channel.subscribe(&queue);
    stage.channel.put(&queue, ["a", "b"]);
    first.take();
    second.take();
    first.quiet();
    second.quiet();
}

pub(crate) fn a_consumer_without_room_is_passed_over(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let full = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1));
    let roomy = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(0));
    for body in ["a", "b", "c", "d"] {
        stage.channel.put(&queue, [body]);
    }
    full.expect("a");
    roomy.expect_all(["b", "c", "d"]);
    full.quiet();
}

pub(crate) fn a_consumer_that_had_no_room_for_a_message_stands_behind_later_ones(
    harness: &dyn Harness,
) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    let full = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1));
    let held = full.expect("a");
    assert_eq!(body(&stage.channel.take(&queue)), "b");
    let later = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(0));
    stage.channel.requeue(&held);
    later.expect("a");
}

pub(crate) fn a_cancelled_consumer_leaves_its_share_to_the_others(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let leaving = stage.channel.subscribe(&queue);
    let staying = stage.channel.subscribe(&queue);
    leaving.cancel().expect("cancel");
    stage.channel.put(&queue, ["a", "b"]);
    staying.expect("a");
    staying.expect("b");
}

pub(crate) fn what_a_closed_channel_held_goes_to_the_other_consumers(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let leaving = channel.subscribe(&queue);
    stage.channel.put(&queue, ["a"]);
    leaving.expect("a");
    let staying = stage.channel.subscribe(&queue);
    staying.quiet();
    channel.shut();
    assert!(staying.expect("a").redelivered);
}

pub(crate) fn a_queue_may_be_got_from_and_consumed_at_once(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1));
    stage.channel.put(&queue, ["consumed", "got"]);
    subscription.expect("consumed");
    assert_eq!(body(&stage.channel.take(&queue)), "got");
}

pub(crate) fn an_exclusive_consumer_keeps_others_out(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let _only = stage.channel.subscribe_as(&queue, &ConsumeOptions::default().exclusive());
    assert_error!(
        stage.open().consume(&queue, &ConsumeOptions::default()),
        Error::ResourceLocked { .. }
    );
    assert_error!(
        stage.elsewhere().consume(&queue, &ConsumeOptions::default()),
        Error::ResourceLocked { .. }
    );
}

pub(crate) fn a_consumer_cannot_be_exclusive_beside_others(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let _shared = stage.channel.subscribe(&queue);
    assert_error!(
        stage.open().consume(&queue, &ConsumeOptions::default().exclusive()),
        Error::ResourceLocked { .. }
    );
}

pub(crate) fn a_get_beside_an_exclusive_consumer_is_allowed(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let mut options = ConsumeOptions::prefetch(1);
    options.exclusive = true;
    let only = stage.channel.subscribe_as(&queue, &options);
    stage.channel.put(&queue, ["consumed", "got"]);
    only.expect("consumed");
    assert_eq!(body(&stage.open().take(&queue)), "got");
}

pub(crate) fn a_cancelled_exclusive_consumer_lets_others_in(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let only = stage.channel.subscribe_as(&queue, &ConsumeOptions::default().exclusive());
    only.cancel().expect("cancel");
    let next = stage.channel.subscribe(&queue);
    stage.channel.put(&queue, ["x"]);
    next.expect("x");
}

pub(crate) fn of_single_active_consumers_only_the_first_receives(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(Queue::single_active_consumer);
    let active = stage.channel.subscribe(&queue);
    let waiting = stage.channel.subscribe(&queue);
    stage.channel.put(&queue, ["a", "b"]);
    active.expect("a");
    active.expect("b");
    waiting.quiet();
}

pub(crate) fn the_next_consumer_takes_over_from_a_single_active_one(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(Queue::single_active_consumer);
    let active = stage.channel.subscribe(&queue);
    let waiting = stage.channel.subscribe(&queue);
    active.cancel().expect("cancel");
    stage.channel.put(&queue, ["a", "b"]);
    waiting.expect("a");
    waiting.expect("b");
}

pub(crate) fn a_full_single_active_consumer_is_not_helped_by_the_others(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(Queue::single_active_consumer);
    let active = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1));
    let waiting = stage.channel.subscribe(&queue);
    stage.channel.put(&queue, ["a", "b"]);
    active.expect("a");
    waiting.quiet();
    active.quiet();
}

pub(crate) fn an_exclusive_consumer_of_a_single_active_queue_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(Queue::single_active_consumer);
    assert_error!(
        stage.open().consume(&queue, &ConsumeOptions::default().exclusive()),
        Error::ResourceLocked { .. }
    );
}

pub(crate) fn a_consumer_of_higher_priority_is_served_first(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let low = stage.channel.subscribe(&queue);
    let high =
        stage.channel.subscribe_as(&queue, &ConsumeOptions::default().argument("x-priority", 10));
    stage.channel.put(&queue, ["a", "b", "c"]);
    high.expect_all(["a", "b", "c"]);
    low.quiet();
}

pub(crate) fn a_consumer_of_lower_priority_is_served_when_the_higher_is_full(
    harness: &dyn Harness,
) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let high =
        stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1).argument("x-priority", 10));
    let low =
        stage.channel.subscribe_as(&queue, &ConsumeOptions::default().argument("x-priority", -1));
    stage.channel.put(&queue, ["a", "b"]);
    high.expect("a");
    low.expect("b");
}

pub(crate) fn a_consumer_priority_that_is_no_integer_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let options = ConsumeOptions::default().argument("x-priority", "high");
    assert_error!(stage.open().consume(&queue, &options), Error::PreconditionFailed { .. });
}
