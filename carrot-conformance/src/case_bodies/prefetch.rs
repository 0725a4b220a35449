//! The prefetch limit of a consumer.

use crate::support::*;

pub(crate) fn a_consumer_holds_no_more_than_its_prefetch(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c", "d", "e"]);
    let subscription = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(2));
    subscription.expect("a");
    subscription.expect("b");
    subscription.expect_nothing();
    assert_eq!(fixture.channel.ready_count(&queue), 3);
}

pub(crate) fn an_ack_allows_the_next_delivery(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    let subscription = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(1));
    for expected in ["a", "b", "c"] {
        let delivery = subscription.expect(expected);
        subscription.expect_nothing();
        fixture.channel.ack_one(&delivery);
    }
}

pub(crate) fn an_ack_up_to_a_tag_allows_as_many_deliveries(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c", "d", "e", "f"]);
    let subscription = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(3));
    subscription.expect("a");
    subscription.expect("b");
    let third = subscription.expect("c");
    fixture.channel.ack(third.tag, Extent::UpTo).expect("ack");
    subscription.expect_all(["d", "e", "f"]);
}

pub(crate) fn a_discard_allows_the_next_delivery(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    let subscription = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(1));
    fixture.channel.discard(&subscription.expect("a"));
    subscription.expect("b");
}

pub(crate) fn a_requeue_is_redelivered_to_the_only_consumer(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    let subscription = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(1));
    fixture.channel.requeue(&subscription.expect("a"));
    assert!(subscription.expect("a").redelivered);
}

pub(crate) fn a_prefetch_of_zero_is_no_limit(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    for _ in 0..50 {
        fixture.channel.enqueue(&queue, ["x"]);
    }
    let subscription = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(0));
    for _ in 0..50 {
        subscription.expect("x");
    }
}

pub(crate) fn each_consumer_of_a_channel_has_its_own_prefetch(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (left, right) = (fixture.queue(), fixture.queue());
    fixture.channel.enqueue(&left, ["a", "b"]);
    fixture.channel.enqueue(&right, ["c", "d", "e"]);
    let narrow = fixture.channel.subscribe_as(&left, &ConsumeOptions::with_prefetch(1));
    let wide = fixture.channel.subscribe_as(&right, &ConsumeOptions::with_prefetch(2));
    narrow.expect("a");
    wide.expect("c");
    wide.expect("d");
    narrow.expect_nothing();
    wide.expect_nothing();
}

pub(crate) fn gets_do_not_count_towards_the_prefetch(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["got", "got too", "a"]);
    fixture.channel.get_delivery(&queue);
    fixture.channel.get_delivery(&queue);
    let subscription = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(1));
    subscription.expect("a");
}

pub(crate) fn gets_receive_the_messages_beyond_the_prefetch(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    let subscription = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(1));
    subscription.expect("a");
    assert_eq!(body(&fixture.channel.get_delivery(&queue)), "b");
}

pub(crate) fn the_prefetch_does_not_limit_an_automatic_consumer(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    let subscription =
        fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(1).automatic());
    subscription.expect_all(["a", "b", "c"]);
}

pub(crate) fn deliveries_before_next_count_towards_the_prefetch(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    let _subscription = fixture.channel.subscribe_as(&queue, &ConsumeOptions::with_prefetch(2));
    fixture.channel.expect_ready(&queue, 1);
    let start = std::time::Instant::now();
    while start.elapsed() < milliseconds(50) {
        assert_eq!(fixture.channel.ready_count(&queue), 1);
    }
}
