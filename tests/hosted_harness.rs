//! The conformance harness of a memory broker that this process hosts on a port. The tests advance
//! the clock of the broker.

use std::sync::Arc;
use std::time::Duration;

use carrot_backend_memory::{Broker, ManualClock};
use carrot_conformance::{Breakable, Features, Harness, Release};
use carrot_core::backend::Connector;
use carrot_core::{ConnectionOptions, RabbitMqRelease};

use crate::backend_features;

/// A broker, the server `S` that hosts it, and how to connect to that.
pub(crate) struct HostedHarness<S> {
    name: &'static str,
    clock: ManualClock,
    broker: Broker,
    /// Hosts the broker until the end of the test.
    _server: S,
    url: String,
    connect: fn(ConnectionOptions) -> carrot_core::Result<Arc<dyn Connector>>,
}

impl<S> HostedHarness<S> {
    /// Hosts a broker that imitates a release. `host` returns the server and its URL.
    pub(crate) fn new(
        name: &'static str,
        release: RabbitMqRelease,
        host: impl FnOnce(&Broker) -> carrot_core::Result<(S, String)>,
        connect: fn(ConnectionOptions) -> carrot_core::Result<Arc<dyn Connector>>,
    ) -> HostedHarness<S> {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(&clock).imitate(release).build();
        let (server, url) = host(&broker).expect("a free local port");
        HostedHarness { name, clock, broker, _server: server, url, connect }
    }

    fn connector(&self, name: &str) -> Arc<dyn Connector> {
        let options: ConnectionOptions = self.url.parse().expect("the URL is valid");
        (self.connect)(options.name(name)).expect("the options are valid")
    }
}

impl<S: Send + Sync> Harness for HostedHarness<S> {
    fn name(&self) -> &str {
        self.name
    }

    fn features(&self) -> Features {
        backend_features::hosted()
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
