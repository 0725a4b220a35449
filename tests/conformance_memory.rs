//! Every conformance case on the memory broker, for each release that it imitates: with a clock
//! that the tests advance, and with the real clock.

#[allow(dead_code, reason = "each harness has its own features")]
mod backend_features;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_backend_memory::{Broker, ManualClock};
use carrot_conformance::{Breakable, Features, Harness, Release};
use carrot_core::backend::Connector;
use carrot_core::{ConnectionOptions, RabbitMqRelease};

struct Manual {
    clock: ManualClock,
    broker: Broker,
}

impl Manual {
    fn new(release: RabbitMqRelease) -> Manual {
        let clock = ManualClock::new();
        Manual { broker: Broker::builder().clock(&clock).imitate(release).build(), clock }
    }
}

impl Harness for Manual {
    fn name(&self) -> &str {
        "memory"
    }

    fn features(&self) -> Features {
        backend_features::memory()
    }

    fn release(&self) -> Release {
        self.broker.release().into()
    }

    fn connect(&self) -> Arc<dyn Connector> {
        self.broker.connector()
    }

    fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    fn breakable(&self) -> Option<Breakable> {
        let options = ConnectionOptions::memory().name("breakable");
        let broker = self.broker.clone();
        let cut = move || {
            broker.faults().drop_connections_named("breakable").map(drop).unwrap_or_default();
        };
        Some(Breakable {
            connector: self.broker.connector_with(&options).ok()?,
            cut: Box::new(cut),
        })
    }

    fn block(&self, blocked: bool) -> bool {
        let faults = self.broker.faults();
        if blocked {
            faults.block_publishers("low on memory")
        } else {
            faults.unblock_publishers()
        };
        true
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

    fn release(&self) -> Release {
        self.0.release().into()
    }

    fn connect(&self) -> Arc<dyn Connector> {
        self.0.connector()
    }

    fn pass(&self, duration: Duration) {
        thread::sleep(duration);
    }
}

carrot_conformance::conformance_tests!(Manual::new(RabbitMqRelease::default()));

mod real_clock {
    use super::*;

    carrot_conformance::conformance_tests!(Real(Broker::new()), Limits);
}

mod release_3_10 {
    use super::*;

    carrot_conformance::conformance_tests!(Manual::new(RabbitMqRelease::V3_10));
}
