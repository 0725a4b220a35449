//! Subscriptions: next, cancel, drop.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::*;

pub(crate) fn a_consumer_receives_what_was_there_before(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c"]);
    let subscription = stage.channel.subscribe(&queue);
    for wanted in ["a", "b", "c"] {
        stage.channel.accept(&subscription.expect(wanted));
    }
}

pub(crate) fn a_consumer_receives_what_comes_later(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    for wanted in ["a", "b", "c"] {
        stage.channel.put(&queue, [wanted]);
        stage.channel.accept(&subscription.expect(wanted));
    }
}

pub(crate) fn a_message_wakes_a_waiting_consumer(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| subscription.take());
        stage.channel.put(&queue, ["wake up"]);
        assert_eq!(body(&waiter.join().expect("the waiting thread")), "wake up");
    });
}

pub(crate) fn consuming_from_a_missing_queue_is_not_found(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    assert_error!(
        stage.open().consume(&stage.queue_name(), &ConsumeOptions::default()),
        Error::NotFound { .. }
    );
}

pub(crate) fn next_gives_nothing_when_nothing_comes_in_time(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    let start = Instant::now();
    assert_eq!(subscription.next(milliseconds(50)).expect("next"), None);
    assert!(start.elapsed() >= milliseconds(50), "it came back early, after {:?}", start.elapsed());
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "it came back late, after {:?}",
        start.elapsed()
    );
}

pub(crate) fn next_without_patience_takes_what_has_arrived(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    assert_eq!(subscription.next(Duration::ZERO).expect("next"), None);
    stage.channel.put(&queue, ["x"]);
    let mut taken = None;
    eventually("the delivery to have arrived", || {
        taken = subscription.next(Duration::ZERO).expect("next");
        taken.is_some()
    });
    assert_eq!(taken.map(|delivery| body(&delivery)).as_deref(), Some("x"));
}

pub(crate) fn an_automatic_consumer_leaves_nothing_behind(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    let channel = stage.open();
    let subscription = channel.subscribe_as(&queue, &ConsumeOptions::default().automatic());
    subscription.expect("a");
    subscription.expect("b");
    channel.shut();
    stage.channel.stays_empty(&queue);
}

pub(crate) fn a_consumed_message_that_is_requeued_comes_again(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let subscription = stage.channel.subscribe(&queue);
    let first = subscription.expect("x");
    assert!(!first.redelivered);
    stage.channel.requeue(&first);
    assert!(subscription.expect("x").redelivered);
}

pub(crate) fn consumers_are_counted(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let first = stage.channel.subscribe(&queue);
    assert_eq!(stage.channel.inspect(&queue).consumer_count, 1);
    let _second = stage.channel.subscribe(&queue);
    assert_eq!(stage.channel.inspect(&queue).consumer_count, 2);
    first.cancel().expect("cancel");
    assert_eq!(stage.channel.inspect(&queue).consumer_count, 1);
}

pub(crate) fn a_cancelled_subscription_says_so(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    subscription.cancel().expect("cancel");
    assert_error!(subscription.next(DEADLINE), Error::Cancelled { .. });
    assert_error!(subscription.next(Duration::ZERO), Error::Cancelled { .. });
}

pub(crate) fn cancelling_twice_does_nothing(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    subscription.cancel().expect("cancel");
    subscription.cancel().expect("cancel again");
    stage.channel.round_trip(&queue);
}

pub(crate) fn a_cancelled_consumer_gets_no_more(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    subscription.cancel().expect("cancel");
    stage.channel.put(&queue, ["left alone"]);
    assert_error!(subscription.next(milliseconds(50)), Error::Cancelled { .. });
    stage.channel.drain(&queue, ["left alone"]);
}

pub(crate) fn what_arrived_before_a_cancel_can_be_taken_and_settled_after_it(
    harness: &dyn Harness,
) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c"]);
    let subscription = stage.channel.subscribe(&queue);
    stage.channel.expect_ready(&queue, 0);
    let first = subscription.expect("a");
    subscription.cancel().expect("cancel");
    stage.channel.accept(&first);
    stage.channel.accept(&subscription.expect("b"));
    stage.channel.accept(&subscription.expect("c"));
    assert_error!(subscription.next(DEADLINE), Error::Cancelled { .. });
    stage.channel.shut();
    stage.open().stays_empty(&queue);
}

pub(crate) fn a_cancel_wakes_every_waiting_thread(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    thread::scope(|scope| {
        let waiters: Vec<_> =
            (0..3).map(|_| scope.spawn(|| subscription.next(Duration::from_secs(60)))).collect();
        subscription.cancel().expect("cancel");
        for waiter in waiters {
            assert_error!(waiter.join().expect("the waiting thread"), Error::Cancelled { .. });
        }
    });
}

pub(crate) fn each_delivery_goes_to_one_of_the_waiting_threads(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = &*stage.channel;
    let subscription = channel.subscribe(&queue);
    let mut taken: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    while let Ok(Some(delivery)) = subscription.next(DEADLINE) {
                        channel.accept(&delivery);
                        mine.push(body(&delivery));
                    }
                    mine
                })
            })
            .collect();
        for number in 0..40 {
            channel.put(&queue, [&format!("{number:02}")]);
        }
        eventually("the queue to be worked off", || channel.ready(&queue) == 0);
        subscription.cancel().expect("cancel");
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    taken.sort();
    assert_eq!(taken, (0..40).map(|number| format!("{number:02}")).collect::<Vec<_>>());
}

pub(crate) fn a_dropped_subscription_returns_what_it_had_not_handed_out(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["handed out", "b", "c"]);
    let subscription = stage.channel.subscribe(&queue);
    let held = subscription.expect("handed out");
    stage.channel.expect_ready(&queue, 0);
    drop(subscription);
    stage.channel.expect_consumers(&queue, 0);
    stage.channel.drain(&queue, ["b", "c"]);
    stage.channel.accept(&held);
    stage.channel.round_trip(&queue);
}

pub(crate) fn a_subscription_keeps_its_channel_alive(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let subscription = channel.subscribe(&queue);
    drop(channel);
    stage.channel.put(&queue, ["x"]);
    subscription.expect("x");
}

pub(crate) fn subscriptions_of_one_channel_are_independent(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (left, right) = (stage.queue(), stage.queue());
    let from_left = stage.channel.subscribe(&left);
    let from_right = stage.channel.subscribe(&right);
    stage.channel.put(&left, ["left"]);
    stage.channel.put(&right, ["right"]);
    from_right.expect("right");
    from_left.expect("left");
    from_left.cancel().expect("cancel");
    stage.channel.put(&right, ["more"]);
    from_right.expect("more");
}

pub(crate) fn closing_a_channel_gives_back_what_its_consumers_did_not_settle(
    harness: &dyn Harness,
) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c"]);
    let channel = stage.open();
    let subscription = channel.subscribe(&queue);
    channel.accept(&subscription.expect("a"));
    subscription.expect("b");
    channel.shut();
    stage.channel.drain(&queue, ["b", "c"]);
}
