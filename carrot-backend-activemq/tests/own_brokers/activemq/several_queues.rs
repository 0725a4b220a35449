//! Messages for several queues, of which one has no room.

use std::sync::Arc;

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, Content, Declare, Outcome, Publication,
};
use carrot_core::{Binding, Exchange, Queue};

use crate::process::{OwnBroker, SOON};

/// Publishes a message, and returns whether the broker has taken it.
fn publish(channel: &dyn Backend, exchange: &str, delivery: &[u8]) -> bool {
    let content = Arc::new(Content::new(exchange, "", delivery.to_vec()));
    let tag = channel.publish(&Publication::new(&content), SOON).unwrap();
    match channel.confirm(tag, SOON).unwrap() {
        Outcome::Accepted => true,
        Outcome::Refused => false,
        other => panic!("{other:?}"),
    }
}

fn drain(channel: &dyn Backend, queue: &str) -> usize {
    let get = || channel.get(queue, Acknowledgement::Automatic, SOON).unwrap();
    std::iter::from_fn(get).count()
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn refused_message_is_in_no_queue() {
    let broker = OwnBroker::start(&[]);
    broker.limit_queue("small", 120_000);
    let connector = ActiveMqConnector::new(&broker.options()).unwrap();
    let channel = connector.open(&ChannelOptions::publish(), SOON).unwrap();
    channel.declare(Declare::Exchange(&Exchange::fanout("all")), SOON).unwrap();
    for queue in ["first", "small", "third"] {
        channel.declare(Declare::Queue(&Queue::new(queue)), SOON).unwrap();
        channel.declare(Declare::Binding(&Binding::queue("all", queue, "")), SOON).unwrap();
    }
    let (mut taken, mut refused) = (0, 0);
    while refused < 2 {
        match publish(&*channel, "all", &[0; 50_000]) {
            true => taken += 1,
            false => refused += 1,
        }
        assert!(taken < 100, "the broker takes everything");
    }
    let counts = ["first", "small", "third"].map(|queue| drain(&*channel, queue));
    assert_eq!(counts, [taken; 3], "{taken} taken, {refused} refused");
    assert!(publish(&*channel, "all", b"room"));
    assert_eq!(drain(&*channel, "third"), 1);
}
