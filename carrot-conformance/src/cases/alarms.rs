//! A broker that takes no messages for a while.

use std::time::{Duration, Instant};

use crate::support::*;

pub(crate) fn a_confirm_is_late_while_the_broker_is_blocked(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    assert!(stage.harness.block(true), "a harness with BlockBroker blocks");
    // The alarm shows at the first publication after it.
    let tag = stage.channel.post(Content::new("", &*queue, "x"));
    let start = Instant::now();
    let waited = stage.channel.confirm(tag, milliseconds(300));
    stage.harness.block(false);
    assert_error!(waited, Error::Timeout { .. } | Error::Blocked { .. });
    assert!(start.elapsed() < Duration::from_secs(5), "the deadline was missed: {:?}", start.elapsed());
    assert_eq!(stage.channel.outcome(tag), Outcome::Accepted);
    stage.channel.drain(&queue, ["x"]);
}

pub(crate) fn a_blocked_broker_still_serves_consumers(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a"]);
    let channel = stage.connector.open(&ChannelOptions::consume(), DEADLINE).expect("open");
    let subscription = channel.subscribe(&queue);
    assert!(stage.harness.block(true), "a harness with BlockBroker blocks");
    let served = subscription.next(DEADLINE);
    stage.harness.block(false);
    assert!(matches!(served, Ok(Some(_))), "next gave {served:?}");
}
