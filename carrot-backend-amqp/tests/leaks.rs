//! Threads and file descriptors return to where they were.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delete, Extent, Outcome, Publication};
use carrot_core::{ConnectionOptions, Error, Queue};
use support::fake::{Fake, Script};
use support::{broker_options, unique};

const LONG: Duration = Duration::from_secs(60);

/// The tests count what the whole process has, so each needs it to itself, from beginning to end.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` a few times, and then `rounds` times; checks that the latter leave no thread and no file descriptor behind.
fn leaves_nothing(rounds: usize, mut work: impl FnMut()) {
    (0..3).for_each(|_| work());
    let before = settled(Instant::now() + Duration::from_secs(2), |_| false);
    (0..rounds).for_each(|_| work());
    let after = settled(Instant::now() + LONG, |now| now.0 <= before.0 && now.1 <= before.1);
    assert!(after.0 <= before.0 && after.1 <= before.1, "(threads, descriptors) before {before:?}, after {after:?}");
}

fn settled(deadline: Instant, enough: impl Fn((usize, usize)) -> bool) -> (usize, usize) {
    let count = |directory| fs::read_dir(directory).unwrap().count();
    let mut least = (usize::MAX, usize::MAX);
    while Instant::now() < deadline && !enough(least) {
        let now = (count("/proc/self/task"), count("/proc/self/fd"));
        least = (least.0.min(now.0), least.1.min(now.1));
        thread::park_timeout(Duration::from_millis(5));
    }
    least
}

fn lose(script: Script) {
    let fake = Fake::start(script);
    let options = ConnectionOptions::new().host("127.0.0.1").port(fake.port()).call_timeout(Duration::from_millis(50));
    let connector = AmqpConnector::new(&options).unwrap();
    let channel = connector.open(&ChannelOptions::publish(), LONG).unwrap();
    let other = connector.open(&ChannelOptions::consume(), LONG).unwrap();
    assert!(channel.declare(Declare::Queue(&Queue::new("q"))).is_err());
    assert!(other.consume("q", &ConsumeOptions::default()).and_then(|subscription| subscription.next(LONG)).is_err());
}

#[test]
fn connections_that_are_lost_leave_nothing() {
    let _alone = alone();
    for (script, rounds) in [(Script::HangsUp, 100), (Script::Dismisses, 100), (Script::Garbles, 20), (Script::OpensChannels, 20)] {
        leaves_nothing(rounds, || lose(script));
    }
}

#[test]
fn attempts_to_connect_leave_nothing() {
    let _alone = alone();
    leaves_nothing(20, || {
        let fake = Fake::start(Script::Greets);
        let connector = AmqpConnector::new(&ConnectionOptions::new().host("127.0.0.1").port(fake.port())).unwrap();
        let error = connector.open(&ChannelOptions::publish(), Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    });
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn connections_that_are_closed_leave_nothing() {
    let _alone = alone();
    leaves_nothing(1000, || {
        let connector = AmqpConnector::new(&broker_options()).unwrap();
        connector.observe(Arc::new(|_| {}));
        let channel = connector.open(&ChannelOptions::publish(), LONG).unwrap();
        let consuming = connector.open(&ChannelOptions::consume(), LONG).unwrap();
        connector.close(LONG).unwrap();
        drop((channel, consuming));
    });
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn connections_that_are_dropped_leave_nothing() {
    let _alone = alone();
    leaves_nothing(1000, || {
        let connector = AmqpConnector::new(&broker_options()).unwrap();
        let channel = connector.open(&ChannelOptions::publish(), LONG).unwrap();
        drop(connector);
        drop(channel);
    });
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn channels_and_consumers_leave_nothing() {
    let _alone = alone();
    let connector = AmqpConnector::new(&broker_options()).unwrap();
    let publisher = connector.open(&ChannelOptions::publish(), LONG).unwrap();
    let queue = publisher.declare(Declare::Queue(&Queue::new(unique("queue")).argument("x-expires", 60_000))).unwrap().name;
    let content = Arc::new(Content::new("", &*queue, "x"));
    let keeps = connector.open(&ChannelOptions::consume(), LONG).unwrap();
    leaves_nothing(1000, || {
        let tag = publisher.publish(&Publication { content: &content, mandatory: false }, LONG).unwrap();
        assert_eq!(publisher.confirm(tag, LONG).unwrap(), Outcome::Accepted);
        let channel = connector.open(&ChannelOptions::consume(), LONG).unwrap();
        for channel in [&channel, &keeps] {
            let subscription = channel.consume(&queue, &ConsumeOptions::default()).unwrap();
            if let Some(delivery) = subscription.next(Duration::ZERO).unwrap() {
                channel.ack(delivery.tag, Extent::One).unwrap();
            }
        }
    });
    publisher.delete(Delete::Messages { queue: &queue }).unwrap();
}
