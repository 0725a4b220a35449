//! A broker that blocks its publishers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::*;

/// Unblocks the broker when dropped, also when the case fails.
struct BlockedBroker<'harness>(&'harness dyn Harness);

impl<'harness> BlockedBroker<'harness> {
    fn new(harness: &'harness dyn Harness) -> BlockedBroker<'harness> {
        assert!(
            harness.block(true),
            "the harness has the feature BlockBroker and did not block the broker"
        );
        BlockedBroker(harness)
    }
}

impl Drop for BlockedBroker<'_> {
    fn drop(&mut self) {
        self.0.block(false);
    }
}

pub(crate) fn a_confirm_of_a_blocked_broker_is_late(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let blocked = BlockedBroker::new(harness);
    // The broker blocks the connection at the first publication after the alarm.
    let tag = fixture.channel.publish_content(Content::new("", &*queue, "x"));
    let start = Instant::now();
    let waited = fixture.channel.confirm(tag, milliseconds(300));
    drop(blocked);
    assert_error!(waited, Error::Timeout { .. } | Error::Blocked { .. });
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "the deadline was missed: {:?}",
        start.elapsed()
    );
    assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted);
    fixture.channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn a_blocked_publisher_times_out_and_publishes_again_after_the_alarm(
    harness: &dyn Harness,
) {
    const SIZE: usize = 1 << 20;
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let content = Arc::new(Content::new("", &*queue, vec![0; SIZE]));
    let publish = |timeout| fixture.channel.publish(&Publication::new(&content), timeout);
    let blocked = BlockedBroker::new(harness);
    let mut tags = Vec::new();
    let (error, took) = loop {
        let start = Instant::now();
        match publish(milliseconds(300)) {
            Ok(tag) => tags.push(tag),
            Err(error) => break (error, start.elapsed()),
        }
        assert!(tags.len() < 64, "a blocked broker accepts {} MiB", tags.len());
    };
    assert!(took < Duration::from_secs(5), "the deadline was missed: {took:?}");
    drop(blocked);
    assert!(matches!(error, Error::Blocked { .. } | Error::Timeout { .. }), "{error:?}");
    let next = publish(DEADLINE).expect("the channel is open");
    assert_eq!(
        Some(next.0),
        tags.last().map(|last| last.0 + 1),
        "a publication that was not sent uses no tag"
    );
    for tag in tags.into_iter().chain([next]) {
        assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted);
    }
}

pub(crate) fn a_blocked_broker_still_serves_consumers(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a"]);
    let channel = fixture.connector.open(&ChannelOptions::consume(), DEADLINE).expect("open");
    let subscription = channel.subscribe(&queue);
    let blocked = BlockedBroker::new(harness);
    let served = subscription.next(DEADLINE);
    drop(blocked);
    assert!(matches!(served, Ok(Some(_))), "next returned {served:?}");
}
