//! Every conformance case over ZeroMQ's wire protocol, for each release that the broker imitates.
//! The tests advance the clock of the hosted broker.

use std::sync::Arc;
use std::time::Duration;

use carrot_backend_memory::{Broker, ManualClock};
use carrot_backend_zeromq::{BrokerHost, ZeroMqConnector};
use carrot_conformance::{Breakable, Feature, Features, Harness, Release};
use carrot_core::backend::Connector;
use carrot_core::{ConnectionOptions, RabbitMqRelease};

struct Hosted {
    clock: ManualClock,
    broker: Broker,
    host: BrokerHost,
}

impl Hosted {
    fn new(release: RabbitMqRelease) -> Hosted {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(&clock).imitate(release).build();
        let host = BrokerHost::bind("127.0.0.1:0", &broker).expect("a free local port");
        Hosted { clock, broker, host }
    }

    fn connector(&self, name: &str) -> Arc<dyn Connector> {
        let url: ConnectionOptions = self.host.url().parse().expect("the URL is valid");
        Arc::new(ZeroMqConnector::new(&url.name(name)).expect("the options are valid"))
    }
}

impl Harness for Hosted {
    fn name(&self) -> &str {
        "zeromq"
    }

    fn features(&self) -> Features {
        Features::rabbitmq()
            .with(Feature::ManualClock)
            .with(Feature::CutConnection)
            .with(Feature::BlockBroker)
    }

    fn release(&self) -> Release {
        self.broker.release().into()
    }

    fn connect(&self) -> Arc<dyn Connector> {
        self.connector("")
    }

    fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    fn breakable(&self) -> Option<Breakable> {
        let broker = self.broker.clone();
        let cut = move || {
            // The driver opens a connection for each role, and may have opened one.
            for role in ["publish", "consume"] {
                let _ = broker.faults().drop_connections_named(&format!("breakable ({role})"));
            }
        };
        Some(Breakable { connector: self.connector("breakable"), cut: Box::new(cut) })
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

carrot_conformance::conformance_tests!(Hosted::new(RabbitMqRelease::default()));

mod release_3_10 {
    use super::*;

    carrot_conformance::conformance_tests!(Hosted::new(RabbitMqRelease::V3_10));
}
