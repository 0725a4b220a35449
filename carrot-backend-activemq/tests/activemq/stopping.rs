//! Consumers that stop while another thread takes their messages, on a real broker, at the address
//! in `CARROT_TEST_ACTIVEMQ_URL`.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;
use std::env;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delete, DeleteIf, Extent,
    Outcome, Publication, Subscription,
};
use carrot_core::{ConnectionOptions, Headers, Properties, Queue};

const SOON: Duration = Duration::from_secs(20);
const ROUNDS: u32 = 500;
const PREFETCH: u16 = 4;

/// Fills a queue up to the prefetch with messages of new numbers. They have headers, which take
/// time to be read.
fn fill(channel: &dyn Backend, queue: &str, last: &mut u32, missing: usize) {
    let headers: Headers = (0..200_i32).map(|number| (format!("h{number}"), number)).collect();
    let mut tags = Vec::new();
    for _ in 0..missing {
        *last += 1;
        let properties = Properties::new().with_headers(headers.clone());
        let content = Content::new("", queue, last.to_be_bytes().to_vec());
        let content = Arc::new(content.with_properties(properties));
        tags.push(channel.publish(&Publication::new(&content), SOON).unwrap());
    }
    for tag in tags {
        assert_eq!(channel.confirm(tag, SOON).unwrap(), Outcome::Accepted);
    }
}

/// Takes and acknowledges messages until the subscription ends. Returns their numbers.
fn take(channel: &dyn Backend, subscription: &dyn Subscription) -> Vec<Vec<u8>> {
    let mut taken = Vec::new();
    while let Ok(Some(delivery)) = subscription.next(SOON) {
        channel.ack(delivery.tag, Extent::One).unwrap();
        taken.push(delivery.content.body.to_vec());
    }
    taken
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn message_that_is_taken_during_a_cancel_does_not_come_again() {
    let url = env::var("CARROT_TEST_ACTIVEMQ_URL").unwrap();
    let connector = ActiveMqConnector::new(&url.parse::<ConnectionOptions>().unwrap()).unwrap();
    let publishing = connector.open(&ChannelOptions::publish(), SOON).unwrap();
    let consuming = connector.open(&ChannelOptions::consume(), SOON).unwrap();
    let queue = format!("carrot.test.stopping.{}", std::process::id());
    publishing.declare(Declare::Queue(&Queue::new(&queue)), SOON).unwrap();
    let (mut last, mut acknowledged, mut twice) = (0, HashSet::new(), 0);
    let mut missing = usize::from(PREFETCH);
    let is_full = env::var_os("CARROT_TEST_FULL").is_some();
    let rounds = if is_full { 4 * ROUNDS } else { ROUNDS };
    for _ in 0..rounds {
        fill(&*publishing, &queue, &mut last, missing);
        let options = ConsumeOptions::with_prefetch(PREFETCH);
        let subscription = consuming.consume(&queue, &options, SOON).unwrap();
        let taken = thread::scope(|scope| {
            let taking = scope.spawn(|| take(&*consuming, &*subscription));
            let wait = Duration::from_micros(fastrand::u64(0..500));
            let started = Instant::now();
            while started.elapsed() < wait {
                std::hint::spin_loop();
            }
            subscription.cancel(SOON).unwrap();
            taking.join().unwrap()
        });
        missing = taken.len();
        twice += taken.into_iter().filter(|number| !acknowledged.insert(number.clone())).count();
    }
    assert_eq!(twice, 0, "of {} messages in {rounds} rounds", acknowledged.len());
    let left = usize::try_from(last).unwrap() - acknowledged.len();
    let options = ConsumeOptions::with_prefetch(PREFETCH);
    let subscription = consuming.consume(&queue, &options, SOON).unwrap();
    for _ in 0..left {
        let delivery = subscription.next(SOON).unwrap().unwrap();
        consuming.ack(delivery.tag, Extent::One).unwrap();
        assert!(acknowledged.insert(delivery.content.body.to_vec()));
    }
    drop(subscription);
    consuming.close(SOON).unwrap();
    let deletion = Delete::Queue { name: &queue, condition: DeleteIf::ALWAYS };
    assert_eq!(publishing.delete(deletion, SOON).unwrap().message_count, 0);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn queue_can_be_deleted_while_its_consumers_end() {
    const ROUNDS_OF_DELETIONS: u32 = 100;
    let url = env::var("CARROT_TEST_ACTIVEMQ_URL").unwrap();
    let connector = ActiveMqConnector::new(&url.parse::<ConnectionOptions>().unwrap()).unwrap();
    let deleting = connector.open(&ChannelOptions::publish(), SOON).unwrap();
    let consuming = connector.open(&ChannelOptions::consume(), SOON).unwrap();
    let queue = format!("carrot.test.ending.{}", std::process::id());
    for _ in 0..ROUNDS_OF_DELETIONS {
        deleting.declare(Declare::Queue(&Queue::new(&queue)), SOON).unwrap();
        let options = ConsumeOptions::with_prefetch(64);
        let subscription = consuming.consume(&queue, &options, SOON).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| drop(subscription));
            let deletion = Delete::Queue { name: &queue, condition: DeleteIf::ALWAYS };
            deleting.delete(deletion, SOON).unwrap();
        });
    }
}
