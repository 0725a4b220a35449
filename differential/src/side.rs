//! The two brokers.

use std::fmt::Debug;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_backend_amqp::AmqpConnector;
use carrot_backend_memory::{Broker, ManualClock};
use carrot_core::ConnectionOptions;
use carrot_core::backend::{Connector, Content};

/// A broker that programs run on.
pub trait Side: Debug {
    /// A connection of its own.
    fn connect(&self) -> Arc<dyn Connector>;

    /// Lets time pass.
    fn pass(&self, time: Duration);

    /// Everything in a queue, ready or unsettled, if the broker lets one look inside.
    fn contents(&self, queue: &str) -> Option<Vec<Arc<Content>>>;
}

/// A memory broker of its own, with a clock that is turned by hand.
#[derive(Debug)]
pub struct Memory {
    clock: ManualClock,
    broker: Broker,
}

impl Memory {
    /// A fresh broker.
    #[allow(clippy::new_without_default, reason = "it is no neutral value")]
    pub fn new() -> Memory {
        let clock = ManualClock::new();
        Memory { broker: Broker::with_clock(&clock), clock }
    }
}

impl Side for Memory {
    fn connect(&self) -> Arc<dyn Connector> {
        self.broker.connector()
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    fn contents(&self, queue: &str) -> Option<Vec<Arc<Content>>> {
        let view = self.broker.queue(queue)?;
        Some(
            view.ready
                .into_iter()
                .chain(view.unacked.into_iter().map(|unacked| unacked.content))
                .collect(),
        )
    }
}

/// A virtual host of RabbitMQ.
#[derive(Debug, Clone)]
pub struct RabbitMq {
    options: ConnectionOptions,
}

impl RabbitMq {
    /// The virtual host that the options name.
    pub fn new(options: ConnectionOptions) -> RabbitMq {
        RabbitMq {
            options: options
                .heartbeat(Duration::from_secs(60))
                .call_timeout(Duration::from_secs(20)),
        }
    }
}

impl Side for RabbitMq {
    fn connect(&self) -> Arc<dyn Connector> {
        match AmqpConnector::new(&self.options) {
            Ok(connector) => Arc::new(connector),
            Err(error) => panic!("the address of RabbitMQ is not usable: {error}"),
        }
    }

    fn pass(&self, time: Duration) {
        thread::sleep(time);
    }

    fn contents(&self, _queue: &str) -> Option<Vec<Arc<Content>>> {
        None
    }
}
