//! Checks that closed connections and channels leak no thread and no file descriptor. The test
//! needs a broker, named by `CARROT_TEST_AMQP_URL`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use carrot_backend_amqp::AmqpConnector;
use carrot_core::Queue;
use carrot_core::backend::{
    ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delete, Extent, Outcome,
    Publication,
};
use support::leaks::leaves_nothing;
use support::{broker_options, unique};

const LONG: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn connections_and_channels_leave_nothing() {
    connections_that_are_closed();
    connections_that_are_dropped();
    channels_and_consumers();
}

fn connections_that_are_closed() {
    leaves_nothing(1000, || {
        let connector = AmqpConnector::new(&broker_options()).unwrap();
        connector.observe(Arc::new(|_| {}));
        let channel = connector.open(&ChannelOptions::publish(), LONG).unwrap();
        let consuming = connector.open(&ChannelOptions::consume(), LONG).unwrap();
        connector.close(LONG).unwrap();
        drop((channel, consuming));
    });
}

fn connections_that_are_dropped() {
    leaves_nothing(1000, || {
        let connector = AmqpConnector::new(&broker_options()).unwrap();
        let channel = connector.open(&ChannelOptions::publish(), LONG).unwrap();
        drop(connector);
        drop(channel);
    });
}

fn channels_and_consumers() {
    let connector = AmqpConnector::new(&broker_options()).unwrap();
    let publisher = connector.open(&ChannelOptions::publish(), LONG).unwrap();
    let queue = publisher
        .declare(Declare::Queue(&Queue::new(unique("queue")).argument("x-expires", 60_000)), LONG)
        .unwrap()
        .name;
    let content = Arc::new(Content::new("", &*queue, "x"));
    let keeps = connector.open(&ChannelOptions::consume(), LONG).unwrap();
    leaves_nothing(1000, || {
        let tag = publisher.publish(&Publication::new(&content), LONG).unwrap();
        assert_eq!(publisher.confirm(tag, LONG).unwrap(), Outcome::Accepted);
        let channel = connector.open(&ChannelOptions::consume(), LONG).unwrap();
        for channel in [&channel, &keeps] {
            let subscription = channel.consume(&queue, &ConsumeOptions::default(), LONG).unwrap();
            if let Some(delivery) = subscription.next(Duration::ZERO).unwrap() {
                channel.ack(delivery.tag, Extent::One).unwrap();
            }
        }
    });
    publisher.delete(Delete::Messages { queue: &queue }, LONG).unwrap();
}
