//! Channels without a connection.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const SIZE: usize = 300;
/// The size with which each delivery of the tests counts.
const COUNTED: u64 = SIZE as u64 + WAITING_OVERHEAD;

fn delivery(tag: u64) -> Delivery {
    let content = Content::new("", "q", vec![7; SIZE]);
    Delivery::new(DeliveryTag(tag), Arc::new(content))
}

fn channel(is_manual: bool) -> (LinkChannel, Arc<Condvar>) {
    // Each delivery exceeds a quarter of the limit.
    let channel = LinkChannel::new(1, false, 1000);
    let arrived = channel.open_inbox(5, "q", is_manual).unwrap();
    (channel, arrived)
}

#[test]
fn dropped_consumer_reports_all_that_waits_as_taken() {
    let (channel, _arrived) = channel(false);
    for tag in 1..=10 {
        assert_eq!(channel.deliver(5, delivery(tag)), None);
    }
    assert_eq!(channel.close_inbox(5).report, Some(10 * COUNTED));
}

#[test]
fn deliveries_under_way_to_a_dropped_consumer_are_reported_as_taken() {
    let (channel, _arrived) = channel(false);
    assert_eq!(channel.close_inbox(5).report, None);
    assert_eq!(channel.deliver(5, delivery(1)), Some(COUNTED));
    assert_eq!(channel.deliver(5, delivery(2)), Some(COUNTED));
}

#[test]
fn dropped_consumer_names_what_was_seen_as_one_range() {
    let (channel, arrived) = channel(true);
    for tag in 1..=6 {
        channel.deliver(5, delivery(tag));
    }
    for _ in 0..4 {
        channel.next(5, &arrived, Duration::ZERO).unwrap().unwrap();
    }
    // Settled tags, and those of other consumers, leave gaps.
    let settle = |held: &mut HeldTags| held.remove(&2).map(|_| vec![2]);
    assert!(channel.settle(settle, |_| ()).unwrap());
    let unseen = channel.close_inbox(5);
    assert_eq!(unseen.seen, Some(TagRange { first: 1, last: 4 }));
    assert_eq!(unseen.tags, [5, 6]);
}
