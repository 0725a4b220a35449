//! One file per subject. Each test checks one behaviour of RabbitMQ.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to fail")]

use std::sync::Arc;
use std::time::Duration;

use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delete,
    Delivery, Outcome, Publication, PublishTag, QueueInfo, Subscription,
};
use carrot_core::{Binding, Exchange, Properties, Queue, RabbitMqRelease, Result};

use crate::broker::Broker;
use crate::broker::builder::BrokerBuilder;
use crate::clock::ManualClock;

mod alarms;
mod bad_input;
mod basics;
mod consumers;
mod counts;
mod dead_letters;
mod faults;
mod limits;
mod memory_limit;
mod observers;
mod peer;
mod quorum;
mod release_4_3;
mod reply_to;
mod routing;
mod session;
mod settlement;
mod threads;
mod topology;
mod transactions;

pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A broker with one connection and one channel that confirms, and shortcuts for common calls.
pub(crate) struct BrokerFixture {
    pub(crate) broker: Broker,
    pub(crate) clock: ManualClock,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) channel: Arc<dyn Backend>,
}

impl BrokerFixture {
    pub(crate) fn new() -> BrokerFixture {
        BrokerFixture::imitating(RabbitMqRelease::default())
    }

    pub(crate) fn imitating(release: RabbitMqRelease) -> BrokerFixture {
        BrokerFixture::built(Broker::builder().imitate(release))
    }

    pub(crate) fn built(builder: BrokerBuilder) -> BrokerFixture {
        let clock = ManualClock::new();
        let broker = builder.clock(&clock).build();
        let connector = broker.connector();
        let channel = open(&*connector);
        BrokerFixture { broker, clock, connector, channel }
    }

    pub(crate) fn with_queue(queue: &Queue) -> BrokerFixture {
        let fixture = BrokerFixture::new();
        fixture.queue(queue);
        fixture
    }

    /// Opens another channel of the same connection.
    pub(crate) fn open(&self) -> Arc<dyn Backend> {
        open(&*self.connector)
    }

    /// Opens a channel of another connection.
    pub(crate) fn stranger(&self) -> Arc<dyn Backend> {
        open(&*self.broker.connector())
    }

    pub(crate) fn queue(&self, queue: &Queue) -> QueueInfo {
        self.channel.declare(Declare::Queue(queue), SOON).unwrap()
    }

    pub(crate) fn exchange(&self, exchange: &Exchange) {
        self.channel.declare(Declare::Exchange(exchange), SOON).unwrap();
    }

    pub(crate) fn bind(&self, binding: &Binding) {
        self.channel.declare(Declare::Binding(binding), SOON).unwrap();
    }

    pub(crate) fn send(&self, exchange: &str, key: &str, body: &str) -> Outcome {
        send(&*self.channel, Content::new(exchange, key, body)).unwrap()
    }

    pub(crate) fn send_with(
        &self,
        exchange: &str,
        key: &str,
        body: &str,
        properties: Properties,
    ) -> Outcome {
        send(&*self.channel, Content::new(exchange, key, body).with_properties(properties)).unwrap()
    }

    /// Takes and acknowledges all messages of a queue. Returns their bodies.
    pub(crate) fn drain(&self, queue: &str) -> Vec<String> {
        std::iter::from_fn(|| self.channel.get(queue, Acknowledgement::Automatic, SOON).unwrap())
            .map(|delivery| body(&delivery))
            .collect()
    }

    pub(crate) fn get(&self, queue: &str) -> Delivery {
        self.channel.get(queue, Acknowledgement::Manual, SOON).unwrap().unwrap()
    }

    pub(crate) fn ready(&self, queue: &str) -> Vec<String> {
        self.broker
            .queue(queue)
            .unwrap()
            .ready
            .iter()
            .map(|content| String::from_utf8(content.body.to_vec()).unwrap())
            .collect()
    }

    pub(crate) fn purge(&self, queue: &str) -> u32 {
        self.channel.delete(Delete::Messages { queue }, SOON).unwrap().message_count
    }

    pub(crate) fn consume(&self, queue: &str, options: &ConsumeOptions) -> Box<dyn Subscription> {
        self.channel.consume(queue, options, SOON).unwrap()
    }
}

pub(crate) fn open(connector: &dyn Connector) -> Arc<dyn Backend> {
    connector.open(&ChannelOptions::publish(), SOON).unwrap()
}

/// Publishes a mandatory message, and waits for its confirm.
pub(crate) fn send(channel: &dyn Backend, content: Content) -> Result<Outcome> {
    let tag = channel.publish(&Publication::new(&Arc::new(content)).with_mandatory(true), SOON)?;
    channel.confirm(tag, SOON)
}

pub(crate) fn returned() -> Outcome {
    Outcome::Returned { code: 312, text: "NO_ROUTE".into() }
}

pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.content.body.to_vec()).unwrap()
}

/// Takes the deliveries in an inbox. Returns their bodies.
pub(crate) fn arrived(subscription: &dyn Subscription) -> Vec<String> {
    std::iter::from_fn(|| subscription.next(Duration::ZERO).unwrap())
        .map(|delivery| body(&delivery))
        .collect()
}

/// Publishes a message, and does not wait for its confirm.
pub(crate) fn post(channel: &dyn Backend, content: Content) -> PublishTag {
    channel.publish(&Publication::new(&Arc::new(content)).with_mandatory(true), SOON).unwrap()
}
