//! Every conformance case on the memory broker: with a clock that the tests turn, and with the real one.
#![cfg(feature = "memory")]

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_backend_memory::{Broker, ManualClock};
use carrot_conformance::{Feature, Features, Harness};
use carrot_core::backend::Connector;

struct Manual {
    clock: ManualClock,
    broker: Broker,
}

impl Manual {
    fn new() -> Manual {
        let clock = ManualClock::new();
        Manual { broker: Broker::with_clock(&clock), clock }
    }
}

impl Harness for Manual {
    fn name(&self) -> &str {
        "memory"
    }

    fn features(&self) -> Features {
        Features::rabbitmq().with(Feature::ManualClock)
    }

    fn connect(&self) -> Arc<dyn Connector> {
        self.broker.connector()
    }

    fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

struct Real(Broker);

impl Harness for Real {
    fn name(&self) -> &str {
        "memory, real clock"
    }

    fn features(&self) -> Features {
        Features::rabbitmq()
    }

    fn connect(&self) -> Arc<dyn Connector> {
        self.0.connector()
    }

    fn pass(&self, duration: Duration) {
        thread::sleep(duration);
    }
}

carrot_conformance::conformance_tests!(Manual::new());

mod real_clock {
    use super::*;

    carrot_conformance::conformance_tests!(Real(Broker::new()), Limits);
}
