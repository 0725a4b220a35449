//! Opens channels to a real broker, and publishes and consumes on the channels.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{
    Backend, ChannelOptions, Connector, Content, Declare, Delivery, Outcome, Publication,
    PublishTag, Subscription,
};
use carrot_core::{Properties, Queue};

use super::{broker_options, unique};

pub(crate) const LONG: Duration = Duration::from_secs(20);
pub(crate) const SHORT: Duration = Duration::from_millis(200);

pub(crate) fn connector() -> AmqpConnector {
    AmqpConnector::new(&broker_options()).unwrap()
}

pub(crate) fn publishing(connector: &AmqpConnector) -> Arc<dyn Backend> {
    connector.open(&ChannelOptions::publish(), LONG).unwrap()
}

pub(crate) fn consuming(connector: &AmqpConnector) -> Arc<dyn Backend> {
    connector.open(&ChannelOptions::consume(), LONG).unwrap()
}

pub(crate) fn declare(backend: &dyn Backend) -> String {
    let name = unique("queue");
    backend
        .declare(Declare::Queue(&Queue::new(&*name).argument("x-expires", 60_000)), LONG)
        .unwrap()
        .name
}

pub(crate) fn message(queue: &str, body: &str) -> Arc<Content> {
    Arc::new(
        Content::new("", queue, body)
            .with_properties(Properties::new().with_message_id(unique("id"))),
    )
}

pub(crate) fn publish(backend: &dyn Backend, content: &Arc<Content>) -> PublishTag {
    backend.publish(&Publication::new(content), LONG).unwrap()
}

pub(crate) fn publish_mandatory(backend: &dyn Backend, content: &Arc<Content>) -> PublishTag {
    backend.publish(&Publication::new(content).with_mandatory(true), LONG).unwrap()
}

pub(crate) fn fill(backend: &dyn Backend, queue: &str, bodies: &[&str]) {
    let tags: Vec<_> = bodies.iter().map(|body| publish(backend, &message(queue, body))).collect();
    for tag in tags {
        assert_eq!(backend.confirm(tag, LONG).unwrap(), Outcome::Accepted);
    }
}

pub(crate) fn body(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.content.body).unwrap()
}

pub(crate) fn take(subscription: &dyn Subscription) -> Delivery {
    subscription.next(LONG).unwrap().expect("a delivery in time")
}

pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::yield_now();
    }
}
