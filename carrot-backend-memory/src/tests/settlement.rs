use carrot_core::backend::{Acknowledgement, ConsumeOptions, DeliveryTag, Extent, Rejection};
use carrot_core::{Error, Queue};

use crate::tests::{BrokerFixture, SOON, arrived, body};

fn filled(bodies: &[&str]) -> BrokerFixture {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    for body in bodies {
        fixture.send("", "q", body);
    }
    fixture
}

#[test]
fn requeued_message_returns_to_its_old_position() {
    let fixture = filled(&["a", "b", "c", "d"]);
    let [a, b, c] = [fixture.get("q"), fixture.get("q"), fixture.get("q")];
    fixture.channel.reject(b.tag, Rejection::Requeue, Extent::One).unwrap();
    assert_eq!(fixture.ready("q"), ["b", "d"]);
    fixture.channel.reject(c.tag, Rejection::Requeue, Extent::One).unwrap();
    fixture.channel.reject(a.tag, Rejection::Requeue, Extent::One).unwrap();
    assert_eq!(fixture.ready("q"), ["a", "b", "c", "d"]);
    let again = fixture.get("q");
    assert!(again.redelivered);
    assert_eq!(again.tag, DeliveryTag(4));
}

#[test]
fn settlement_up_to_a_tag_covers_all_before() {
    let fixture = filled(&["a", "b", "c", "d", "e"]);
    let tags: Vec<DeliveryTag> = (0..5).map(|_| fixture.get("q").tag).collect();
    fixture.channel.ack(tags[0], Extent::One).unwrap();
    fixture.channel.ack(tags[2], Extent::UpTo).unwrap();
    fixture.channel.reject(DeliveryTag(0), Rejection::Requeue, Extent::UpTo).unwrap();
    assert_eq!(fixture.drain("q"), ["d", "e"]);
    fixture.channel.ack(DeliveryTag(0), Extent::UpTo).unwrap();
    fixture.broker.wait_until_idle(SOON).unwrap();
}

#[test]
fn unknown_tag_closes_the_channel_and_requeues() {
    let settled_twice = |fixture: &BrokerFixture| {
        let tag = fixture.get("q").tag;
        fixture.channel.ack(tag, Extent::One).unwrap();
        fixture.channel.ack(tag, Extent::One)
    };
    let settled_between = |fixture: &BrokerFixture| {
        let tag = fixture.get("q").tag;
        fixture.get("q");
        fixture.channel.ack(tag, Extent::One).unwrap();
        fixture.channel.ack(tag, Extent::UpTo)
    };
    let never_given = |fixture: &BrokerFixture| {
        fixture.channel.reject(DeliveryTag(77), Rejection::Requeue, Extent::UpTo)
    };
    let zero = |fixture: &BrokerFixture| fixture.channel.ack(DeliveryTag(0), Extent::One);
    let automatic = |fixture: &BrokerFixture| {
        let delivery = fixture.channel.get("q", Acknowledgement::Automatic, SOON).unwrap().unwrap();
        fixture.channel.ack(delivery.tag, Extent::One)
    };
    type Misdeed<'a> = &'a dyn Fn(&BrokerFixture) -> carrot_core::Result<()>;
    let misdeeds: [Misdeed<'_>; 5] =
        [&settled_twice, &settled_between, &never_given, &zero, &automatic];
    for (number, misdeed) in misdeeds.iter().enumerate() {
        let fixture = filled(&["a", "b", "c", "d"]);
        let held = fixture.get("q");
        misdeed(&fixture).unwrap();
        assert!(
            matches!(
                fixture.channel.get("q", Acknowledgement::Manual, SOON),
                Err(Error::PreconditionFailed { .. })
            ),
            "{number}"
        );
        assert!(
            matches!(fixture.channel.ack(held.tag, Extent::One), Err(Error::Stale { .. })),
            "{number}"
        );
        assert_eq!(fixture.ready("q")[0], "a", "{number}");
        assert!(
            fixture.open().get("q", Acknowledgement::Manual, SOON).unwrap().unwrap().redelivered,
            "{number}"
        );
    }
}

#[test]
fn closed_channel_requeues_in_order() {
    let fixture = filled(&["a", "b", "c", "d"]);
    let channel = fixture.open();
    let subscription = channel.consume("q", &ConsumeOptions::with_prefetch(2), SOON).unwrap();
    assert_eq!(body(&subscription.next(SOON).unwrap().unwrap()), "a");
    let other = fixture.get("q");
    assert_eq!(body(&other), "c");
    drop(channel);
    assert_eq!(fixture.ready("q"), ["d"]);
    drop(subscription);
    assert_eq!(fixture.ready("q"), ["a", "b", "d"]);
    let flags: Vec<bool> = (0..3).map(|_| fixture.get("q").redelivered).collect();
    assert_eq!(flags, [true, true, false]);
}

#[test]
fn cancelled_subscription_keeps_its_deliveries() {
    let fixture = filled(&["a", "b", "c"]);
    let subscription = fixture.consume("q", &ConsumeOptions::with_prefetch(2));
    subscription.cancel(SOON).unwrap();
    subscription.cancel(SOON).unwrap();
    assert_eq!(fixture.ready("q"), ["c"]);
    let tag = subscription.next(SOON).unwrap().unwrap().tag;
    assert_eq!(body(&subscription.next(SOON).unwrap().unwrap()), "b");
    assert!(matches!(subscription.next(SOON), Err(Error::Cancelled { .. })));
    fixture.channel.ack(tag, Extent::One).unwrap();
    assert_eq!(fixture.broker.queue("q").unwrap().unacked.len(), 1);
}

#[test]
fn dropped_subscription_requeues_what_nobody_took() {
    let fixture = filled(&["a", "b", "c"]);
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    let first = subscription.next(SOON).unwrap().unwrap();
    drop(subscription);
    assert_eq!(fixture.ready("q"), ["b", "c"]);
    fixture.channel.ack(first.tag, Extent::One).unwrap();
    assert_eq!(fixture.drain("q"), ["b", "c"]);
}

#[test]
fn purge_keeps_unsettled_messages() {
    let fixture = filled(&["a", "b", "c"]);
    let held = fixture.get("q");
    assert_eq!(fixture.purge("q"), 2);
    fixture.channel.reject(held.tag, Rejection::Requeue, Extent::One).unwrap();
    let back = fixture.get("q");
    assert_eq!((body(&back).as_str(), back.redelivered), ("a", true));
}

#[test]
fn message_requeued_by_the_only_consumer_is_redelivered() {
    let fixture = filled(&["a", "b"]);
    let subscription = fixture.consume("q", &ConsumeOptions::with_prefetch(1));
    let first = subscription.next(SOON).unwrap().unwrap();
    fixture.channel.reject(first.tag, Rejection::Requeue, Extent::One).unwrap();
    let again = subscription.next(SOON).unwrap().unwrap();
    assert_eq!((body(&again).as_str(), again.redelivered), ("a", true));
}

#[test]
fn delivery_of_deleted_queue_can_be_settled() {
    let fixture = filled(&["a"]);
    let held = fixture.get("q");
    let condition = carrot_core::backend::DeleteIf::ALWAYS;
    fixture
        .channel
        .delete(carrot_core::backend::Delete::Queue { name: "q", condition }, SOON)
        .unwrap();
    fixture.queue(&Queue::new("q"));
    fixture.channel.reject(held.tag, Rejection::Requeue, Extent::One).unwrap();
    assert_eq!(fixture.drain("q"), Vec::<String>::new());
}

#[test]
fn many_requeued_messages_merge_in_order() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    for number in 0..1000 {
        fixture.send("", "q", &format!("{number:04}"));
    }
    let (one, two) = (fixture.open(), fixture.open());
    let subscriptions = [
        one.consume("q", &ConsumeOptions::with_prefetch(100), SOON).unwrap(),
        two.consume("q", &ConsumeOptions::with_prefetch(100), SOON).unwrap(),
    ];
    assert_eq!(
        subscriptions.iter().map(|subscription| arrived(&**subscription).len()).sum::<usize>(),
        200
    );
    one.close(SOON).unwrap();
    two.close(SOON).unwrap();
    let ready = fixture.ready("q");
    assert_eq!(ready.len(), 1000);
    assert!(ready.is_sorted());
}

#[test]
fn deliveries_that_failed_together_return_one_by_one() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let subscription = fixture.consume("q", &ConsumeOptions::default());
    ["a", "b"].iter().for_each(|body| drop(fixture.send("", "q", body)));
    let first = subscription.next(SOON).unwrap().unwrap();
    subscription.next(SOON).unwrap().unwrap();
    fixture.channel.reject(first.tag, Rejection::Requeue, Extent::One).unwrap();
    let last = subscription.next(SOON).unwrap().unwrap();
    fixture.channel.reject(last.tag, Rejection::RequeueFailed, Extent::UpTo).unwrap();
    assert_eq!(arrived(&*subscription), ["b", "a"]);
}
