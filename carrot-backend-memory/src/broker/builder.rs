//! Creates brokers with options.

use carrot_core::{Error, RabbitMqRelease, Result};

use crate::broker::Broker;
use crate::broker::options::BrokerOptions;
use crate::clock::ManualClock;

/// Creates a broker with a clock and a release. [`Broker::builder`] returns one.
///
/// ```
/// use carrot::config::RabbitMqRelease;
/// use carrot::memory::{Broker, ManualClock};
///
/// let clock = ManualClock::new();
/// let broker = Broker::builder().imitate(RabbitMqRelease::V3_10).clock(&clock).build();
/// assert_eq!(broker.release(), RabbitMqRelease::V3_10);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct BrokerBuilder(BrokerOptions);

impl Broker {
    /// Returns a builder, for a broker that imitates another release.
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::default()
    }
}

impl BrokerBuilder {
    /// Sets the release of RabbitMQ that the broker imitates.
    ///
    /// Defaults to 4.3.
    pub fn imitate(mut self, release: RabbitMqRelease) -> BrokerBuilder {
        self.0.release = Some(release);
        self
    }

    /// Sets a clock that the test advances.
    ///
    /// Defaults to the real clock.
    pub fn clock(mut self, clock: &ManualClock) -> BrokerBuilder {
        self.0.clock = Some(clock.clone());
        self
    }

    /// Declares queues without a type as quorum queues, as a virtual host of RabbitMQ does whose
    /// default queue type is `quorum`.
    ///
    /// Queues that are transient, exclusive or auto-delete remain classic queues.
    ///
    /// Defaults to classic queues.
    ///
    /// ```
    /// use carrot::memory::Broker;
    /// use carrot::{Connection, Queue, message::Value};
    ///
    /// let broker = Broker::builder().quorum_by_default().build();
    /// let connection = Connection::new(broker.connector());
    /// connection.declare_queue(Queue::new("orders"))?;
    /// let arguments = broker.queue("orders").expect("a queue").definition.arguments;
    /// assert_eq!(arguments.get("x-queue-type"), Some(&Value::from("quorum")));
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn quorum_by_default(mut self) -> BrokerBuilder {
        self.0.quorum_by_default = true;
        self
    }

    /// Creates a broker without a name.
    pub fn build(self) -> Broker {
        Broker::create(None, &self.0)
    }

    /// Returns the broker of this name in this process, or creates it with these options.
    ///
    /// # Errors
    /// [`Error::Config`]: the broker exists, and an option was set that the broker does not have:
    /// another release, another default type of queues, or a clock, which only a new broker can
    /// have.
    pub fn named(self, name: &str) -> Result<Broker> {
        let (broker, is_new) = Broker::find_or_create(name, &self.0);
        let BrokerOptions { clock, release, quorum_by_default } = self.0;
        if is_new {
            return Ok(broker);
        }
        if quorum_by_default && !broker.shared.quorum_by_default {
            return Err(Error::config(
                "quorum_by_default",
                "the memory broker of this name has classic queues by default",
            ));
        }
        if clock.is_some() {
            return Err(Error::config("clock", "a broker that exists keeps its own clock"));
        }
        let found = broker.release();
        match release {
            Some(wanted) if wanted != found => Err(Error::config(
                "imitate",
                format!("is {wanted}, but the memory broker of this name imitates {found}"),
            )),
            _ => Ok(broker),
        }
    }
}
