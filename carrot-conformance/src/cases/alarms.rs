//! A broker that takes no messages for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::*;

/// Unblocks the broker when it goes, also when the case fails.
struct Blocked<'harness>(&'harness dyn Harness);

impl<'harness> Blocked<'harness> {
    fn new(harness: &'harness dyn Harness) -> Blocked<'harness> {
        assert!(harness.block(true), "a harness with BlockBroker blocks");
        Blocked(harness)
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.block(false);
    }
}

pub(crate) fn a_confirm_is_late_while_the_broker_is_blocked(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let blocked = Blocked::new(harness);
    // The alarm shows at the first publication after it.
    let tag = stage.channel.post(Content::new("", &*queue, "x"));
    let start = Instant::now();
    let waited = stage.channel.confirm(tag, milliseconds(300));
    drop(blocked);
    assert_error!(waited, Error::Timeout { .. } | Error::Blocked { .. });
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "the deadline was missed: {:?}",
        start.elapsed()
    );
    assert_eq!(stage.channel.outcome(tag), Outcome::Accepted);
    stage.channel.drain(&queue, ["x"]);
}

pub(crate) fn a_blocked_publisher_is_stopped_within_bounds_and_goes_on_afterwards(
    harness: &dyn Harness,
) {
    const SIZE: usize = 1 << 20;
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let content = Arc::new(Content::new("", &*queue, vec![0; SIZE]));
    let publish = |timeout| {
        stage.channel.publish(&Publication { content: &content, mandatory: false }, timeout)
    };
    let blocked = Blocked::new(harness);
    let mut tags = Vec::new();
    let (error, took) = loop {
        let start = Instant::now();
        match publish(milliseconds(300)) {
            Ok(tag) => tags.push(tag),
            Err(error) => break (error, start.elapsed()),
        }
        assert!(tags.len() < 64, "a blocked broker is handed {} MiB", tags.len());
    };
    assert!(took < Duration::from_secs(5), "the deadline was missed: {took:?}");
    drop(blocked);
    assert!(matches!(error, Error::Blocked { .. } | Error::Timeout { .. }), "{error:?}");
    let next = publish(DEADLINE).expect("the channel is well");
    assert_eq!(Some(next.0), tags.last().map(|last| last.0 + 1), "what was not sent takes no tag");
    for tag in tags.into_iter().chain([next]) {
        assert_eq!(stage.channel.outcome(tag), Outcome::Accepted);
    }
}

pub(crate) fn a_blocked_broker_still_serves_consumers(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a"]);
    let channel = stage.connector.open(&ChannelOptions::consume(), DEADLINE).expect("open");
    let subscription = channel.subscribe(&queue);
    let blocked = Blocked::new(harness);
    let served = subscription.next(DEADLINE);
    drop(blocked);
    assert!(matches!(served, Ok(Some(_))), "next gave {served:?}");
}
