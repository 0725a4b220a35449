//! How many unsettled deliveries a consumer may hold.

use crate::support::*;

pub(crate) fn a_consumer_holds_no_more_than_its_prefetch(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c", "d", "e"]);
    let subscription = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(2));
    subscription.expect("a");
    subscription.expect("b");
    subscription.quiet();
    assert_eq!(stage.channel.ready(&queue), 3);
}

pub(crate) fn an_ack_makes_room_for_the_next_delivery(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c"]);
    let subscription = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1));
    for wanted in ["a", "b", "c"] {
        let delivery = subscription.expect(wanted);
        subscription.quiet();
        stage.channel.accept(&delivery);
    }
}

pub(crate) fn an_ack_up_to_a_tag_makes_room_for_as_many(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c", "d", "e", "f"]);
    let subscription = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(3));
    subscription.expect("a");
    subscription.expect("b");
    let third = subscription.expect("c");
    stage.channel.ack(third.tag, Extent::UpTo).expect("ack");
    subscription.expect_all(["d", "e", "f"]);
}

pub(crate) fn a_discard_makes_room_too(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    let subscription = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1));
    stage.channel.discard(&subscription.expect("a"));
    subscription.expect("b");
}

pub(crate) fn a_requeue_comes_straight_back_to_the_only_consumer(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    let subscription = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1));
    stage.channel.requeue(&subscription.expect("a"));
    assert!(subscription.expect("a").redelivered);
}

pub(crate) fn a_prefetch_of_zero_is_no_limit(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    for _ in 0..50 {
        stage.channel.put(&queue, ["x"]);
    }
    let subscription = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(0));
    for _ in 0..50 {
        subscription.expect("x");
    }
}

pub(crate) fn each_consumer_of_a_channel_has_its_own_prefetch(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (left, right) = (stage.queue(), stage.queue());
    stage.channel.put(&left, ["a", "b"]);
    stage.channel.put(&right, ["c", "d", "e"]);
    let narrow = stage.channel.subscribe_as(&left, &ConsumeOptions::prefetch(1));
    let wide = stage.channel.subscribe_as(&right, &ConsumeOptions::prefetch(2));
    narrow.expect("a");
    wide.expect("c");
    wide.expect("d");
    narrow.quiet();
    wide.quiet();
}

pub(crate) fn gets_do_not_count_towards_the_prefetch(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["got", "got too", "a"]);
    stage.channel.take(&queue);
    stage.channel.take(&queue);
    let subscription = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1));
    subscription.expect("a");
}

pub(crate) fn a_full_consumer_leaves_the_rest_to_gets(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    let subscription = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1));
    subscription.expect("a");
    assert_eq!(body(&stage.channel.take(&queue)), "b");
}

pub(crate) fn the_prefetch_does_not_limit_an_automatic_consumer(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c"]);
    let subscription = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(1).automatic());
    subscription.expect_all(["a", "b", "c"]);
}

pub(crate) fn what_waits_to_be_taken_counts_towards_the_prefetch(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c"]);
    let _subscription = stage.channel.subscribe_as(&queue, &ConsumeOptions::prefetch(2));
    stage.channel.expect_ready(&queue, 1);
    let start = std::time::Instant::now();
    while start.elapsed() < milliseconds(50) {
        assert_eq!(stage.channel.ready(&queue), 1);
    }
}
