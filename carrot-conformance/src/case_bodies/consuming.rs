//! Subscriptions: next, cancel, drop.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::*;

pub(crate) fn a_consumer_receives_earlier_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    let subscription = fixture.channel.subscribe(&queue);
    for expected in ["a", "b", "c"] {
        fixture.channel.ack_one(&subscription.expect(expected));
    }
}

pub(crate) fn a_consumer_receives_later_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    for expected in ["a", "b", "c"] {
        fixture.channel.enqueue(&queue, [expected]);
        fixture.channel.ack_one(&subscription.expect(expected));
    }
}

pub(crate) fn a_message_wakes_a_waiting_consumer(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    let [result] = woken(&*subscription, || fixture.channel.enqueue(&queue, ["wake up"]));
    let delivery = result.expect("next").expect("a delivery");
    assert_eq!(body(&delivery), "wake up");
}

pub(crate) fn consuming_from_a_missing_queue_is_not_found(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert_error!(
        fixture.open().consume(&fixture.queue_name(), &ConsumeOptions::default(), DEADLINE),
        Error::NotFound { .. }
    );
}

pub(crate) fn consuming_with_an_invalid_argument_leaves_the_channel_open(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let options = ConsumeOptions::default().argument("ratio", f64::NAN);
    assert_error!(fixture.channel.consume(&queue, &options, DEADLINE), Error::Invalid { .. });
    assert_eq!(fixture.channel.inspect(&queue).consumer_count, 0);
}

pub(crate) fn next_without_a_delivery_in_time_returns_none(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    let start = Instant::now();
    assert_eq!(subscription.next(milliseconds(50)).expect("next"), None);
    assert!(
        start.elapsed() >= milliseconds(50),
        "next returned early, after {:?}",
        start.elapsed()
    );
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "next returned late, after {:?}",
        start.elapsed()
    );
}

pub(crate) fn next_with_timeout_zero_returns_a_delivery_that_has_arrived(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    assert_eq!(subscription.next(Duration::ZERO).expect("next"), None);
    fixture.channel.enqueue(&queue, ["x"]);
    let mut taken = None;
    eventually("the delivery has arrived", || {
        taken = subscription.next(Duration::ZERO).expect("next");
        taken.is_some()
    });
    assert_eq!(taken.map(|delivery| body(&delivery)).as_deref(), Some("x"));
}

pub(crate) fn an_automatic_consumer_leaves_no_unsettled_message(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    let channel = fixture.open();
    let subscription = channel.subscribe_as(&queue, &ConsumeOptions::default().automatic());
    subscription.expect("a");
    subscription.expect("b");
    channel.close_channel();
    fixture.channel.expect_stays_empty(&queue);
}

pub(crate) fn a_consumed_message_that_is_requeued_is_redelivered(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let subscription = fixture.channel.subscribe(&queue);
    let first = subscription.expect("x");
    assert!(!first.redelivered);
    fixture.channel.requeue(&first);
    assert!(subscription.expect("x").redelivered);
}

pub(crate) fn consumers_are_counted(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let first = fixture.channel.subscribe(&queue);
    assert_eq!(fixture.channel.inspect(&queue).consumer_count, 1);
    let _second = fixture.channel.subscribe(&queue);
    assert_eq!(fixture.channel.inspect(&queue).consumer_count, 2);
    first.cancel(DEADLINE).expect("cancel");
    assert_eq!(fixture.channel.inspect(&queue).consumer_count, 1);
}

pub(crate) fn next_on_a_cancelled_subscription_fails_with_cancelled(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    subscription.cancel(DEADLINE).expect("cancel");
    assert_error!(subscription.next(DEADLINE), Error::Cancelled { .. });
    assert_error!(subscription.next(Duration::ZERO), Error::Cancelled { .. });
}

pub(crate) fn cancelling_twice_does_nothing(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    subscription.cancel(DEADLINE).expect("cancel");
    subscription.cancel(DEADLINE).expect("cancel again");
    fixture.channel.round_trip(&queue);
}

pub(crate) fn a_cancelled_consumer_gets_no_more(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    subscription.cancel(DEADLINE).expect("cancel");
    fixture.channel.enqueue(&queue, ["not delivered"]);
    assert_error!(subscription.next(milliseconds(50)), Error::Cancelled { .. });
    fixture.channel.expect_messages(&queue, ["not delivered"]);
}

pub(crate) fn deliveries_before_a_cancel_can_be_received_and_settled_after_it(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    let subscription = fixture.channel.subscribe(&queue);
    fixture.channel.expect_ready(&queue, 0);
    let first = subscription.expect("a");
    subscription.cancel(DEADLINE).expect("cancel");
    fixture.channel.ack_one(&first);
    fixture.channel.ack_one(&subscription.expect("b"));
    fixture.channel.ack_one(&subscription.expect("c"));
    assert_error!(subscription.next(DEADLINE), Error::Cancelled { .. });
    fixture.channel.close_channel();
    fixture.open().expect_stays_empty(&queue);
}

pub(crate) fn a_cancel_wakes_every_waiting_thread(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    let results: [_; 3] = woken(&*subscription, || subscription.cancel(DEADLINE).expect("cancel"));
    for result in results {
        assert_error!(result, Error::Cancelled { .. });
    }
}

pub(crate) fn each_delivery_is_returned_to_one_waiting_thread(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = &*fixture.channel;
    let subscription = channel.subscribe(&queue);
    let mut taken: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    while let Ok(Some(delivery)) = subscription.next(DEADLINE) {
                        channel.ack_one(&delivery);
                        mine.push(body(&delivery));
                    }
                    mine
                })
            })
            .collect();
        for number in 0..40 {
            channel.enqueue(&queue, [&format!("{number:02}")]);
        }
        eventually("the queue is empty", || channel.ready_count(&queue) == 0);
        subscription.cancel(DEADLINE).expect("cancel");
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    taken.sort();
    assert_eq!(taken, (0..40).map(|number| format!("{number:02}")).collect::<Vec<_>>());
}

pub(crate) fn a_dropped_subscription_requeues_the_deliveries_it_did_not_return(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["returned", "b", "c"]);
    let subscription = fixture.channel.subscribe(&queue);
    let held = subscription.expect("returned");
    fixture.channel.expect_ready(&queue, 0);
    drop(subscription);
    fixture.channel.expect_consumers(&queue, 0);
    fixture.channel.expect_messages(&queue, ["b", "c"]);
    fixture.channel.ack_one(&held);
    fixture.channel.round_trip(&queue);
}

pub(crate) fn a_dropped_automatic_subscription_loses_the_deliveries_it_did_not_return(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["returned", "lost"]);
    let channel = fixture.open();
    let subscription = channel.subscribe_as(&queue, &ConsumeOptions::default().automatic());
    fixture.channel.expect_ready(&queue, 0);
    subscription.expect("returned");
    drop(subscription);
    fixture.channel.expect_consumers(&queue, 0);
    fixture.channel.expect_stays_empty(&queue);
}

pub(crate) fn a_subscription_keeps_its_channel_alive(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let subscription = channel.subscribe(&queue);
    drop(channel);
    fixture.channel.enqueue(&queue, ["x"]);
    subscription.expect("x");
}

pub(crate) fn subscriptions_of_one_channel_are_independent(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (left, right) = (fixture.queue(), fixture.queue());
    let from_left = fixture.channel.subscribe(&left);
    let from_right = fixture.channel.subscribe(&right);
    fixture.channel.enqueue(&left, ["left"]);
    fixture.channel.enqueue(&right, ["right"]);
    from_right.expect("right");
    from_left.expect("left");
    from_left.cancel(DEADLINE).expect("cancel");
    fixture.channel.enqueue(&right, ["more"]);
    from_right.expect("more");
}

pub(crate) fn closing_a_channel_requeues_the_unsettled_messages_of_its_consumers(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    let channel = fixture.open();
    let subscription = channel.subscribe(&queue);
    channel.ack_one(&subscription.expect("a"));
    subscription.expect("b");
    channel.close_channel();
    fixture.channel.expect_messages(&queue, ["b", "c"]);
}

pub(crate) fn arrived_counts_the_deliveries_that_wait(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x", "twenty bytes in here", "", "not prefetched"]);
    let options = ConsumeOptions::with_prefetch(3);
    let subscription = fixture.channel.consume(&queue, &options, DEADLINE).expect("consume");
    let arrived = || (subscription.arrived().messages, subscription.arrived().bytes);
    eventually("three deliveries arrive", || arrived() == (3, 21));
    for left in [(2, 20), (1, 0), (0, 0)] {
        subscription.next(DEADLINE).expect("next").expect("a delivery");
        assert_eq!(arrived(), left, "arrived");
    }
    subscription.cancel(DEADLINE).expect("cancel");
    assert_eq!(arrived(), (0, 0), "arrived");
}
