//! The conformance cases on a real broker, at the address in
//! `CARROT_TEST_ACTIVEMQ_URL`.

use std::env;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_backend_activemq::ActiveMqConnector;
use carrot_conformance::{Breakable, Feature, Features, Harness};
use carrot_core::ConnectionOptions;
use carrot_core::backend::Connector;
use carrot_faults::Proxy;

use super::features::features;

struct ActiveMq(ConnectionOptions);

impl ActiveMq {
    fn new() -> ActiveMq {
        let url = env::var("CARROT_TEST_ACTIVEMQ_URL")
            .expect("CARROT_TEST_ACTIVEMQ_URL names the broker to test against");
        ActiveMq(url.parse().expect("CARROT_TEST_ACTIVEMQ_URL is a valid URL"))
    }
}

fn connector(options: &ConnectionOptions) -> Arc<dyn Connector> {
    Arc::new(ActiveMqConnector::new(options).expect("the options are valid"))
}

impl Harness for ActiveMq {
    fn name(&self) -> &str {
        "activemq"
    }

    fn features(&self) -> Features {
        // Tests with a broker of their own run the cases that restart it.
        features().without(Feature::RestartBroker)
    }

    fn connect(&self) -> Arc<dyn Connector> {
        connector(&self.0)
    }

    fn pass(&self, duration: Duration) {
        thread::sleep(duration);
    }

    fn breakable(&self) -> Option<Breakable> {
        let (proxy, options) = Proxy::in_front_of(&self.0).expect("a free local port");
        Some(Breakable { connector: connector(&options), cut: Box::new(move || proxy.cut()) })
    }
}

carrot_conformance::conformance_tests!(
    ignored: "needs ActiveMQ: run ./scripts/test",
    ActiveMq::new(),
);
