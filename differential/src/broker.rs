//! The two brokers: the memory broker and RabbitMQ.

use std::env;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_backend_amqp::AmqpConnector;
use carrot_backend_memory::{Broker, ManualClock};
use carrot_conformance::Release;
use carrot_core::backend::{Connector, Content};
use carrot_core::{ConnectionOptions, RabbitMqRelease, Scheme};
use serde::{Deserialize, Serialize};

/// A broker that programs run on.
pub trait TestBroker: Debug {
    /// Opens a connector of its own.
    fn connect(&self) -> Arc<dyn Connector>;

    /// Returns the type of queues that are declared without one.
    fn default_type(&self) -> DefaultQueueType;

    /// Passes time for the broker.
    fn pass(&self, time: Duration);

    /// Returns the ready and unsettled messages of a queue, or `None` if the broker does not expose
    /// them.
    fn contents(&self, queue: &str) -> Option<Vec<Arc<Content>>>;
}

/// The type of the queues that are declared without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultQueueType {
    /// A classic queue.
    #[default]
    Classic,
    /// A quorum queue. RabbitMQ has this setting of a virtual host since 3.11.
    Quorum,
}

/// A memory broker with a manual clock.
#[derive(Debug)]
pub struct MemoryBroker {
    clock: ManualClock,
    broker: Broker,
    default_type: DefaultQueueType,
}

impl MemoryBroker {
    /// Creates a broker that imitates a release, with this default type of queues.
    pub fn imitating(release: RabbitMqRelease, default_type: DefaultQueueType) -> MemoryBroker {
        let clock = ManualClock::new();
        let mut builder = Broker::builder().clock(&clock).imitate(release);
        if default_type == DefaultQueueType::Quorum {
            builder = builder.quorum_by_default();
        }
        MemoryBroker { clock, broker: builder.build(), default_type }
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.broker
    }
}

impl TestBroker for MemoryBroker {
    fn connect(&self) -> Arc<dyn Connector> {
        self.broker.connector()
    }

    fn default_type(&self) -> DefaultQueueType {
        self.default_type
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    fn contents(&self, queue: &str) -> Option<Vec<Arc<Content>>> {
        let view = self.broker.queue(queue)?;
        Some(
            view.ready
                .into_iter()
                .chain(view.delayed)
                .chain(view.unacked.into_iter().map(|unacked| unacked.content))
                .collect(),
        )
    }
}

/// A virtual host of RabbitMQ.
#[derive(Debug, Clone)]
pub struct RabbitMqBroker {
    options: ConnectionOptions,
    release: Release,
    default_type: DefaultQueueType,
}

impl RabbitMqBroker {
    /// Uses the virtual host of the options, which has this default type of queues, on a broker of
    /// this release.
    pub fn new(
        options: ConnectionOptions,
        release: Release,
        default_type: DefaultQueueType,
    ) -> RabbitMqBroker {
        RabbitMqBroker {
            options: options
                .heartbeat(Duration::from_secs(60))
                .call_timeout(Duration::from_secs(20)),
            release,
            default_type,
        }
    }

    /// Creates a memory broker that imitates the release of the same major number.
    pub fn imitation(&self) -> MemoryBroker {
        MemoryBroker::imitating(imitated(self.release), self.default_type)
    }
}

impl TestBroker for RabbitMqBroker {
    fn connect(&self) -> Arc<dyn Connector> {
        match AmqpConnector::new(&self.options) {
            Ok(connector) => Arc::new(connector),
            Err(error) => panic!("cannot create the connector for RabbitMQ: {error}"),
        }
    }

    fn default_type(&self) -> DefaultQueueType {
        self.default_type
    }

    fn pass(&self, time: Duration) {
        thread::sleep(time);
    }

    fn contents(&self, _queue: &str) -> Option<Vec<Arc<Content>>> {
        None
    }
}

/// Returns the release of a broker, as it announces it. With TLS, returns the one that
/// `CARROT_TEST_RABBITMQ_VERSION` names.
///
/// # Errors
/// The broker cannot be reached or announces no version, or the variable is not set to one.
pub fn release_of(options: &ConnectionOptions) -> io::Result<Release> {
    match (options.scheme, options.addresses().next()) {
        (Scheme::Amqp, Some(address)) => Release::announced_by(address),
        _ => env::var("CARROT_TEST_RABBITMQ_VERSION")
            .map_err(io::Error::other)?
            .parse()
            .map_err(io::Error::other),
    }
}

/// Returns the release for the memory broker to imitate: the one of the same major number.
pub fn imitated(release: Release) -> RabbitMqRelease {
    if release < Release::new(4, 0) { RabbitMqRelease::V3_10 } else { RabbitMqRelease::V4_3 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_of_the_same_major_number_is_imitated() {
        for (release, expected) in [
            ((3, 9), RabbitMqRelease::V3_10),
            ((3, 10), RabbitMqRelease::V3_10),
            ((4, 0), RabbitMqRelease::V4_3),
            ((4, 3), RabbitMqRelease::V4_3),
            ((5, 0), RabbitMqRelease::V4_3),
        ] {
            assert_eq!(imitated(Release::new(release.0, release.1)), expected, "{release:?}");
        }
    }
}
