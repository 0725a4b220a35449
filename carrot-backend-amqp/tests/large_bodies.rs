//! Checks large bodies, which bypass amiquip. Each test needs a broker, named by
//! `CARROT_TEST_AMQP_URL`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::sync::Arc;
use std::thread;

use carrot_core::backend::{
    Acknowledgement, Backend, ConsumeOptions, Content, Declare, Extent, Outcome, Rejection,
};
use carrot_core::{Properties, Queue};
use support::channels::*;

/// Sizes in bytes around the threshold of a large body, around one frame, and of several frames.
const SIZES: [usize; 8] = [1, 4_095, 4_096, 4_097, 131_064, 131_065, 300_000, 1_000_000];

fn body(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 % 251) as u8).collect()
}

fn fill_with_each(channel: &dyn Backend, queue: &str) {
    for size in SIZES {
        let properties =
            Properties::new().with_message_id(size.to_string()).with_header("size", size as i64);
        let tag = publish(
            channel,
            &Arc::new(Content::new("", queue, body(size)).with_properties(properties)),
        );
        assert_eq!(channel.confirm(tag, LONG).unwrap(), Outcome::Accepted);
    }
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn they_arrive_whole_on_channels_that_share_a_connection() {
    let connector = connector();
    let publisher = publishing(&connector);
    thread::scope(|scope| {
        for acknowledgement in
            [Acknowledgement::Manual, Acknowledgement::Automatic, Acknowledgement::Manual]
        {
            let queue = declare(&*publisher);
            fill_with_each(&*publisher, &queue);
            let consumer = consuming(&connector);
            scope.spawn(move || {
                let mut options = ConsumeOptions::default();
                options.acknowledgement = acknowledgement;
                let subscription = consumer.consume(&queue, &options, LONG).unwrap();
                for size in SIZES {
                    let delivery = take(&*subscription);
                    assert!(delivery.content.body == body(size), "{size} bytes");
                    assert_eq!(delivery.content.properties.message_id(), Some(&*size.to_string()));
                    if acknowledgement == Acknowledgement::Manual {
                        consumer.ack(delivery.tag, Extent::One).unwrap();
                    }
                }
            });
        }
    });
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn those_that_nobody_took_are_let_go_and_come_again_whole() {
    let connector = connector();
    let channel = publishing(&connector);
    let queue = declare(&*channel);
    fill_with_each(&*channel, &queue);
    let consumer = consuming(&connector);
    let subscription = consumer.consume(&queue, &ConsumeOptions::with_prefetch(100), LONG).unwrap();
    let first = take(&*subscription);
    consumer.reject(first.tag, Rejection::Requeue, Extent::One).unwrap();
    drop(subscription);
    let existing = Queue::existing(&*queue);
    eventually("all are back", || {
        channel.declare(Declare::Queue(&existing), LONG).unwrap().message_count as usize
            == SIZES.len()
    });
    for size in SIZES {
        let got = channel.get(&queue, Acknowledgement::Automatic, LONG).unwrap().unwrap().content;
        assert!(
            got.body == body(size),
            "{size} bytes: {} came, of {:?}",
            got.body.len(),
            got.properties.message_id()
        );
    }
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn returns_find_their_messages_by_them() {
    let connector = connector();
    let channel = publishing(&connector);
    let queue = declare(&*channel);
    let mut unlike = body(10_000);
    unlike[9_999] += 1;
    let [one, unlike] =
        [body(10_000), unlike].map(|body| Arc::new(Content::new("", "nowhere", body)));
    let routed = Arc::new(Content::new("", &*queue, body(10_000)));
    let tags = [&unlike, &routed, &one].map(|content| publish_mandatory(&*channel, content));
    let outcomes = tags.map(|tag| channel.confirm(tag, LONG).unwrap());
    assert!(
        matches!(outcomes, [Outcome::Returned { .. }, Outcome::Accepted, Outcome::Returned { .. }]),
        "{outcomes:?}"
    );
}
