//! The two brokers: the memory broker and RabbitMQ.

use std::fmt::Debug;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_backend_amqp::AmqpConnector;
use carrot_backend_memory::{Broker, ManualClock};
use carrot_core::ConnectionOptions;
use carrot_core::backend::{Connector, Content};

/// A broker that programs run on.
pub trait TestBroker: Debug {
    /// Opens a connector of its own.
    fn connect(&self) -> Arc<dyn Connector>;

    /// Passes time for the broker.
    fn pass(&self, time: Duration);

    /// Returns the ready and unsettled messages of a queue, or `None` if the broker does not expose
    /// them.
    fn contents(&self, queue: &str) -> Option<Vec<Arc<Content>>>;
}

/// A memory broker with a manual clock.
#[derive(Debug)]
pub struct MemoryBroker {
    clock: ManualClock,
    broker: Broker,
}

impl MemoryBroker {
    /// Creates a broker.
    #[allow(clippy::new_without_default, reason = "each broker is a resource of its own")]
    pub fn new() -> MemoryBroker {
        let clock = ManualClock::new();
        MemoryBroker { broker: Broker::with_clock(&clock), clock }
    }
}

impl TestBroker for MemoryBroker {
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
pub struct RabbitMqBroker {
    options: ConnectionOptions,
}

impl RabbitMqBroker {
    /// Uses the virtual host of the options.
    pub fn new(options: ConnectionOptions) -> RabbitMqBroker {
        RabbitMqBroker {
            options: options
                .heartbeat(Duration::from_secs(60))
                .call_timeout(Duration::from_secs(20)),
        }
    }
}

impl TestBroker for RabbitMqBroker {
    fn connect(&self) -> Arc<dyn Connector> {
        match AmqpConnector::new(&self.options) {
            Ok(connector) => Arc::new(connector),
            Err(error) => panic!("cannot create the connector for RabbitMQ: {error}"),
        }
    }

    fn pass(&self, time: Duration) {
        thread::sleep(time);
    }

    fn contents(&self, _queue: &str) -> Option<Vec<Arc<Content>>> {
        None
    }
}
