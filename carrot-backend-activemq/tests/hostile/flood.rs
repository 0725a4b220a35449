//! Brokers that send without an end. The memory of the client stays bounded.

use std::time::{Duration, Instant};

use carrot_core::backend::{Acknowledgement, PublishTag};
use carrot_faults::ResourceUsage;

use crate::scripted::{Consuming, QUEUE, ScriptedMessage, advisory, broker_answering_pulls};
use crate::support::SOON;

/// The most memory that a flood may take, in bytes: that of other tests of this process included.
const MOST: u64 = 256 << 20;

/// The time within which a client leaves a broker that floods it, on a busy machine.
const LEFT_WITHIN: Duration = Duration::from_secs(60);

fn memory() -> u64 {
    ResourceUsage::now().memory
}

/// Sends without an end, until the client closes the connection. Returns the text of its error.
#[track_caller]
fn flooded(consuming: &Consuming, mut next: impl FnMut(usize) -> Vec<u8>) -> String {
    let before = memory();
    let deadline = Instant::now() + LEFT_WITHIN;
    let mut number = 0;
    loop {
        if !consuming.send(next(number)) {
            return consuming.loss();
        }
        if number % 1000 == 0 {
            assert!(Instant::now() < deadline, "the client reads on after {LEFT_WITHIN:?}");
            let taken = memory().saturating_sub(before);
            assert!(taken < MOST, "{taken} bytes after {number}");
        }
        number += 1;
    }
}

#[test]
fn broker_that_sends_more_than_the_prefetch_is_left() {
    let consuming = Consuming::start();
    let body = vec![0; 100_000];
    let message = ScriptedMessage { content: Some(&body), ..ScriptedMessage::default() };
    let text = flooded(&consuming, |_| message.dispatch(consuming.slot.0, consuming.slot.1));
    assert!(text.contains("more messages than the prefetch"), "{text}");
}

#[test]
fn broker_that_answers_a_pull_twice_is_left() {
    let broker = broker_answering_pulls(|session, consumer| {
        ScriptedMessage::default().dispatch(session, consumer).repeat(2)
    });
    let channel = broker.open().unwrap();
    // The second answer may arrive before the call has taken the first.
    let _ = channel.get(QUEUE, Acknowledgement::Manual, SOON);
    let error = channel.confirm(PublishTag(1), SOON).unwrap_err();
    assert!(error.to_string().contains("more messages than the prefetch"), "{error}");
}

#[test]
fn broker_that_names_queues_without_an_end_is_left() {
    let consuming = Consuming::start();
    let text = flooded(&consuming, |number| advisory(&format!("{number:0>1000}")));
    assert!(text.contains("more names of queues"), "{text}");
}
