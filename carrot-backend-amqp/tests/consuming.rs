//! Checks how deliveries are consumed, acknowledged, rejected and requeued. Each test needs a
//! broker, named by `CARROT_TEST_AMQP_URL`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::collections::BTreeSet;
use std::thread;

use carrot_core::backend::{
    Acknowledgement, Connector, ConsumeOptions, Declare, DeliveryTag, Extent, Outcome, Rejection,
};
use carrot_core::{Error, Queue};
use support::channels::*;

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn settling_out_of_order_settles_what_was_named() {
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    let bodies: Vec<String> = (1..=9).map(|number| number.to_string()).collect();
    fill(&*publishing(&connector), &queue, &bodies.iter().map(String::as_str).collect::<Vec<_>>());
    let subscription = channel.consume(&queue, &ConsumeOptions::with_prefetch(100), LONG).unwrap();
    let tags: Vec<DeliveryTag> = (0..9).map(|_| take(&*subscription).tag).collect();
    channel.ack(tags[4], Extent::One).unwrap();
    channel.ack(tags[1], Extent::UpTo).unwrap();
    channel.reject(tags[7], Rejection::Discard, Extent::One).unwrap();
    channel.reject(tags[5], Rejection::Discard, Extent::UpTo).unwrap();
    channel.close(LONG).unwrap();
    let back = consuming(&connector);
    let rest: Vec<String> =
        std::iter::from_fn(|| back.get(&queue, Acknowledgement::Automatic, LONG).unwrap())
            .map(|delivery| {
                assert!(delivery.redelivered);
                body(&delivery).to_string()
            })
            .collect();
    assert_eq!(rest, ["7", "9"]);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn what_arrived_before_a_cancel_can_be_taken_and_settled() {
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    let publisher = publishing(&connector);
    fill(&*publisher, &queue, &["a", "b"]);
    let subscription = channel.consume(&queue, &ConsumeOptions::default(), LONG).unwrap();
    let first = take(&*subscription);
    eventually("b arrived", || format!("{subscription:?}").contains("arrived: 1"));
    subscription.cancel(LONG).unwrap();
    subscription.cancel(LONG).unwrap();
    fill(&*publisher, &queue, &["c"]);
    let second = take(&*subscription);
    assert_eq!((body(&first), body(&second)), ("a", "b"));
    channel.ack(second.tag, Extent::UpTo).unwrap();
    for _ in 0..2 {
        assert!(
            matches!(subscription.next(LONG).unwrap_err(), Error::Cancelled { queue: name, .. } if name == queue)
        );
    }
    drop(subscription);
    assert_eq!(body(&channel.get(&queue, Acknowledgement::Manual, LONG).unwrap().unwrap()), "c");
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_dropped_subscription_returns_what_it_had_not_handed_out() {
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    fill(&*publishing(&connector), &queue, &["a", "b", "c"]);
    let subscription = channel.consume(&queue, &ConsumeOptions::default(), LONG).unwrap();
    let first = take(&*subscription);
    eventually("the others arrived", || format!("{subscription:?}").contains("arrived: 2"));
    drop(subscription);
    let other = consuming(&connector);
    let mut back = Vec::new();
    eventually("b and c are back", || {
        back.extend(
            other
                .get(&queue, Acknowledgement::Automatic, LONG)
                .unwrap()
                .map(|delivery| body(&delivery).to_string()),
        );
        back.len() == 2
    });
    assert_eq!(back, ["b", "c"]);
    channel.ack(first.tag, Extent::One).unwrap();
    assert_eq!(
        channel.declare(Declare::Queue(&Queue::existing(&*queue)), LONG).unwrap().consumer_count,
        0
    );
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn several_subscriptions_and_gets_share_a_channel() {
    let connector = connector();
    let channel = consuming(&connector);
    let publisher = publishing(&connector);
    let queues: Vec<String> = (0..3).map(|_| declare(&*channel)).collect();
    for queue in &queues {
        fill(&*publisher, queue, &["1", "2", "3", "4"]);
    }
    let subscriptions: Vec<_> = queues[..2]
        .iter()
        .map(|queue| channel.consume(queue, &ConsumeOptions::with_prefetch(2), LONG).unwrap())
        .collect();
    let mut tags = BTreeSet::new();
    for _ in 0..4 {
        for subscription in subscriptions.iter().rev() {
            let delivery = take(&**subscription);
            assert!(tags.insert(delivery.tag));
            channel.ack(delivery.tag, Extent::One).unwrap();
        }
        let got = channel.get(&queues[2], Acknowledgement::Manual, LONG).unwrap().unwrap();
        assert!(tags.insert(got.tag));
        channel.ack(got.tag, Extent::One).unwrap();
    }
    assert_eq!(subscriptions[0].next(SHORT).unwrap(), None);
    channel.close(LONG).unwrap();
    let probe = consuming(&connector);
    for queue in &queues {
        assert_eq!(
            probe.declare(Declare::Queue(&Queue::existing(&**queue)), LONG).unwrap().message_count,
            0
        );
    }
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn many_workers_on_one_subscription_settle_each_message_once() {
    const COUNT: usize = 20_000;
    let connector = connector();
    let publisher = publishing(&connector);
    let queue = declare(&*publisher);
    let channel = consuming(&connector);
    let subscription = channel.consume(&queue, &ConsumeOptions::with_prefetch(500), LONG).unwrap();
    let (seen, received) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let tags: Vec<_> = (0..COUNT)
                .map(|number| publish(&*publisher, &message(&queue, &number.to_string())))
                .collect();
            tags.into_iter().for_each(|tag| {
                assert_eq!(publisher.confirm(tag, LONG).unwrap(), Outcome::Accepted)
            });
        });
        for _ in 0..8 {
            let (seen, channel, subscription) = (seen.clone(), &channel, &subscription);
            scope.spawn(move || {
                while let Ok(Some(delivery)) = subscription.next(LONG) {
                    seen.send(body(&delivery).parse::<usize>().unwrap()).unwrap();
                    channel.ack(delivery.tag, Extent::One).unwrap();
                }
            });
        }
        let numbers: BTreeSet<usize> = received.iter().take(COUNT).collect();
        assert_eq!(numbers.len(), COUNT);
        subscription.cancel(LONG).unwrap();
    });
    channel.close(LONG).unwrap();
    assert_eq!(
        publisher.declare(Declare::Queue(&Queue::existing(&*queue)), LONG).unwrap().message_count,
        0
    );
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn acknowledgements_leave_before_a_connection_closes() {
    let first = connector();
    let channel = consuming(&first);
    let queue = declare(&*channel);
    let bodies = vec!["x"; 200];
    fill(&*publishing(&first), &queue, &bodies);
    let subscription = channel.consume(&queue, &ConsumeOptions::with_prefetch(0), LONG).unwrap();
    for _ in 0..200 {
        channel.ack(take(&*subscription).tag, Extent::One).unwrap();
    }
    first.close(LONG).unwrap();
    let second = connector();
    assert_eq!(
        publishing(&second)
            .declare(Declare::Queue(&Queue::existing(&*queue)), LONG)
            .unwrap()
            .message_count,
        0
    );
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_dropped_channel_returns_its_deliveries_without_waiting() {
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    fill(&*publishing(&connector), &queue, &["a"]);
    let subscription = channel.consume(&queue, &ConsumeOptions::default(), LONG).unwrap();
    take(&*subscription);
    drop(channel);
    assert_eq!(subscription.next(SHORT).unwrap(), None, "a subscription keeps its channel alive");
    drop(subscription);
    let other = consuming(&connector);
    eventually("a is back", || {
        other.get(&queue, Acknowledgement::Automatic, LONG).unwrap().is_some()
    });
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn consumers_come_and_go_without_harm_to_the_connection() {
    const ROUNDS: usize = 1000;
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    let publisher = publishing(&connector);
    let total = ROUNDS + 20;
    fill(&*publisher, &queue, &vec!["x"; total]);
    for round in 0..ROUNDS {
        let subscription =
            channel.consume(&queue, &ConsumeOptions::with_prefetch(8), LONG).unwrap();
        let delivery = take(&*subscription);
        drop(subscription);
        channel
            .ack(delivery.tag, Extent::One)
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    eventually("all but the acknowledged ones are back", || {
        let left = publisher.declare(Declare::Queue(&Queue::existing(&*queue)), LONG).unwrap();
        left.message_count as usize == total - ROUNDS && left.consumer_count == 0
    });
    assert!(channel.get(&queue, Acknowledgement::Manual, LONG).unwrap().is_some());
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_consumer_after_a_dropped_one_receives_in_order() {
    const MESSAGES: usize = 100;
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    let bodies: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    fill(&*publishing(&connector), &queue, &bodies.iter().map(String::as_str).collect::<Vec<_>>());
    for expected in &bodies {
        let subscription =
            channel.consume(&queue, &ConsumeOptions::with_prefetch(32), LONG).unwrap();
        let delivery = take(&*subscription);
        assert_eq!(body(&delivery), expected);
        channel.ack(delivery.tag, Extent::One).unwrap();
    }
}
