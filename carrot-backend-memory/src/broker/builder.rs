//! Creates brokers with options.

use carrot_core::{Error, RabbitMqRelease, Result};

use crate::broker::Broker;
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
pub struct BrokerBuilder {
    clock: Option<ManualClock>,
    release: Option<RabbitMqRelease>,
}

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
        self.release = Some(release);
        self
    }

    /// Sets a clock that the test advances.
    ///
    /// Defaults to the real clock.
    pub fn clock(mut self, clock: &ManualClock) -> BrokerBuilder {
        self.clock = Some(clock.clone());
        self
    }

    /// Creates a broker without a name.
    pub fn build(self) -> Broker {
        Broker::create(None, self.clock.as_ref(), self.release.unwrap_or_default())
    }

    /// Returns the broker of this name in this process, or creates it with these options.
    ///
    /// # Errors
    /// [`Error::Config`]: the broker exists, and imitates another release than the one that was set;
    /// or it exists, and a clock was set, which only a new broker can have.
    pub fn named(self, name: &str) -> Result<Broker> {
        let BrokerBuilder { clock, release } = self;
        let (broker, is_new) = Broker::find_or_create(name, clock.as_ref(), release);
        if is_new {
            return Ok(broker);
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
