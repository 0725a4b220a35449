//! Helpers of the benches.
#![allow(dead_code, reason = "each bench uses what it needs")]

use std::sync::Arc;
use std::time::Duration;

use carrot_backend_memory::Broker;
use carrot_core::backend::{Backend, ChannelOptions, Content, Declare, Publication};
use carrot_core::{Binding, Queue};

pub(crate) const BODY: [u8; 100] = [7; 100];
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Opens a channel without confirms, on a connection of its own.
pub(crate) fn open(broker: &Broker) -> Arc<dyn Backend> {
    broker.connector().open(&ChannelOptions::publish().without_confirms(), SOON).expect("a channel")
}

pub(crate) fn declare(channel: &dyn Backend, queue: &Queue) {
    channel.declare(Declare::Queue(queue), SOON).expect("a queue");
}

/// Binds a queue `other` to the exchange `x`, by patterns of several kinds.
pub(crate) fn bind_others(channel: &dyn Backend, bindings: usize) {
    declare(channel, &Queue::new("other"));
    for number in 0..bindings {
        let pattern = match number % 4 {
            0 => format!("region{number}.stock.#"),
            1 => format!("*.stock{number}.nyse"),
            2 => format!("usd.stock.venue{number}"),
            _ => format!("usd.#.end{number}"),
        };
        channel
            .declare(Declare::Binding(&Binding::queue("x", "other", pattern)), SOON)
            .expect("a binding");
    }
}

/// The address of messages. Each message has a content and a body of its own.
pub(crate) struct Address {
    exchange: Arc<str>,
    routing_key: Arc<str>,
}

impl Address {
    pub(crate) fn new(exchange: &str, routing_key: &str) -> Address {
        Address { exchange: exchange.into(), routing_key: routing_key.into() }
    }

    pub(crate) fn message(&self) -> Arc<Content> {
        Arc::new(Content::new(Arc::clone(&self.exchange), Arc::clone(&self.routing_key), BODY))
    }

    pub(crate) fn publish(&self, channel: &dyn Backend) {
        channel.publish(&Publication::new(&self.message()), SOON).expect("published");
    }
}
