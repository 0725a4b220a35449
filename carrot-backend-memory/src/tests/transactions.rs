use carrot_core::backend::{Content, Declare, Delete, DeleteIf, DeliveryTag, Extent};
use carrot_core::{Binding, Error, Exchange, Overflow, Queue, RabbitMqRelease};

use crate::broker::Broker;
use crate::session::SessionChannel;
use crate::tests::peer::Peer;

#[test]
fn transaction_publishes_and_settles_at_the_commit() {
    let peer = Peer::with_queues(&["a", "b"]);
    peer.publish("a", "1");
    peer.channel.select_transactions().unwrap();
    assert!(peer.channel.get("a", false).unwrap());
    peer.channel.ack(DeliveryTag(1), Extent::One).unwrap();
    peer.publish("b", "2");
    peer.channel.publish(Content::new("", "nowhere", "back"), true).unwrap();
    assert_eq!(peer.events.take(), ["got 1 1, 0 left"]);
    let before = peer.broker.queue("a").unwrap();
    assert_eq!((before.is_idle(), peer.ready("b")), (false, 0));
    peer.channel.commit().unwrap();
    assert_eq!(peer.events.take(), ["returned back"]);
    let after = peer.broker.queue("a").unwrap();
    assert_eq!((after.is_idle(), peer.ready("b")), (true, 1));
}

#[test]
fn rolled_back_transaction_leaves_deliveries_unacknowledged() {
    let peer = Peer::with_queues(&["a"]);
    peer.publish("a", "1");
    peer.publish("a", "2");
    peer.channel.select_transactions().unwrap();
    assert!(peer.channel.get("a", false).unwrap());
    assert!(peer.channel.get("a", false).unwrap());
    peer.channel.ack(DeliveryTag(2), Extent::One).unwrap();
    peer.channel.ack(DeliveryTag(1), Extent::One).unwrap();
    peer.publish("a", "3");
    peer.channel.roll_back().unwrap();
    peer.channel.ack(DeliveryTag(2), Extent::UpTo).unwrap();
    peer.channel.commit().unwrap();
    assert!(peer.broker.queue("a").unwrap().is_idle());
}

#[test]
fn channel_closed_before_the_commit_requeues_settled_deliveries() {
    let peer = Peer::with_queues(&["a"]);
    peer.publish("a", "1");
    peer.channel.select_transactions().unwrap();
    assert!(peer.channel.get("a", false).unwrap());
    peer.channel.ack(DeliveryTag(1), Extent::One).unwrap();
    peer.channel.close();
    assert_eq!(peer.ready("a"), 1);
}

#[test]
fn settlement_in_a_transaction_makes_room_only_at_the_commit() {
    let peer = Peer::of_3_10(&["a"]);
    peer.channel.set_channel_prefetch(1);
    peer.channel.select_transactions().unwrap();
    peer.consume("a", "one");
    peer.publish("a", "1");
    peer.publish("a", "2");
    peer.channel.commit().unwrap();
    peer.channel.ack(DeliveryTag(1), Extent::One).unwrap();
    assert_eq!(peer.events.take(), ["one consumes", "one 1 1"]);
    peer.channel.commit().unwrap();
    assert_eq!(peer.events.take(), ["one 2 2"]);
}

#[test]
fn refused_message_fails_the_commit() {
    let peer = Peer::new();
    peer.declare(&Queue::new("full").max_length(0).overflow(Overflow::RejectPublish));
    peer.channel.select_transactions().unwrap();
    peer.publish("full", "1");
    assert!(matches!(peer.channel.commit(), Err(Error::PreconditionFailed { .. })));
}

#[test]
fn transaction_checks_a_message_when_it_is_sent() {
    let peer = Peer::new();
    peer.channel.select_transactions().unwrap();
    let sent = peer.channel.publish(Content::new("nowhere", "", "1"), false);
    assert!(matches!(sent, Err(Error::NotFound { .. })));
}

#[test]
fn confirms_and_transactions_exclude_each_other() {
    let (one, other) = (Peer::new(), Peer::new());
    one.channel.select_confirms().unwrap();
    assert!(matches!(one.channel.select_transactions(), Err(Error::PreconditionFailed { .. })));
    other.channel.select_transactions().unwrap();
    other.channel.select_transactions().unwrap();
    assert!(matches!(other.channel.select_confirms(), Err(Error::PreconditionFailed { .. })));
    for end in [SessionChannel::commit, SessionChannel::roll_back] {
        assert!(matches!(end(&Peer::new().channel), Err(Error::PreconditionFailed { .. })));
    }
}

/// A change of the topology between a publication and its commit.
type Change = fn(&Peer);

fn release(release: RabbitMqRelease) -> Peer {
    let peer = Peer::of(&Broker::builder().imitate(release).build());
    peer.channel.declare(Declare::Exchange(&Exchange::direct("x"))).unwrap();
    peer.declare(&Queue::new("a"));
    peer
}

fn bind(peer: &Peer) {
    peer.channel.declare(Declare::Binding(&Binding::queue("x", "a", "k"))).unwrap();
}

fn unbind(peer: &Peer) {
    peer.channel.delete(Delete::Binding(&Binding::queue("x", "a", "k"))).unwrap();
}

fn delete(peer: &Peer) {
    peer.channel.delete(Delete::Queue { name: "a", condition: DeleteIf::ALWAYS }).unwrap();
}

fn delete_exchange(peer: &Peer) {
    let condition = DeleteIf::ALWAYS;
    peer.channel.delete(Delete::Exchange { name: "x", condition }).unwrap();
}

fn declare_again(peer: &Peer) {
    delete(peer);
    peer.declare(&Queue::new("a"));
}

/// Publishes a mandatory message in a transaction, changes the topology, and commits. Returns what
/// the broker answered, and the number of messages in the queue.
fn commit_after(peer: &Peer, exchange: &str, key: &str, change: Change) -> String {
    peer.channel.select_transactions().unwrap();
    peer.channel.publish(Content::new(exchange, key, "m"), true).unwrap();
    change(peer);
    let committed = peer.channel.commit();
    let mut seen = peer.events.take();
    match committed {
        Err(Error::HardError { code, .. }) => return format!("closed: {code}"),
        Err(error) => seen.push(error.to_string()),
        Ok(()) => {}
    }
    let ready = peer.broker.queue("a").map_or(0, |queue| queue.ready.len());
    format!("{ready} {}", seen.join(", "))
}

#[test]
fn message_of_a_transaction_is_routed_when_it_is_sent() {
    for imitated in [RabbitMqRelease::V3_10, RabbitMqRelease::V4_3] {
        let peer = release(imitated);
        assert_eq!(commit_after(&peer, "x", "k", bind), "0 returned m");
        let peer = release(imitated);
        bind(&peer);
        assert_eq!(commit_after(&peer, "x", "k", unbind), "1 ");
        let peer = release(imitated);
        bind(&peer);
        assert_eq!(commit_after(&peer, "x", "k", delete_exchange), "1 ");
    }
}

#[test]
fn transaction_of_3_10_keeps_the_names_of_queues() {
    let (nothing, declare): (Change, Change) = (|_| (), |peer| peer.declare(&Queue::new("new")));
    let of = || release(RabbitMqRelease::V3_10);
    assert_eq!(commit_after(&of(), "", "a", delete), "0 returned m");
    assert_eq!(commit_after(&of(), "", "a", declare_again), "1 ");
    assert_eq!(commit_after(&of(), "", "new", nothing), "0 returned m");
    let peer = of();
    assert_eq!(commit_after(&peer, "", "new", declare), "0 ");
    assert_eq!(peer.ready("new"), 1);
}

#[test]
fn transaction_of_4_3_keeps_the_queues_themselves() {
    let declare: Change = |peer| peer.declare(&Queue::new("new"));
    let of = || release(RabbitMqRelease::V4_3);
    assert_eq!(commit_after(&of(), "", "a", delete), "closed: 506");
    let refused = commit_after(&of(), "", "a", declare_again);
    assert!(refused.starts_with("0 ") && refused.contains("partial tx completion"), "{refused}");
    assert_eq!(commit_after(&of(), "", "new", declare), "0 returned m");
    let peer = Peer::of(&Broker::builder().imitate(RabbitMqRelease::V4_3).build());
    peer.declare(&Queue::new("a").quorum());
    let again: Change = |peer| {
        delete(peer);
        peer.declare(&Queue::new("a").quorum());
    };
    assert_eq!(commit_after(&peer, "", "a", again), "1 ");
}
