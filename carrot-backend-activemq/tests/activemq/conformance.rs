//! The conformance cases on a real broker, at the address in
//! `CARROT_TEST_ACTIVEMQ_URL`.

use std::env;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_backend_activemq::ActiveMqConnector;
use carrot_conformance::{Features, Harness};
use carrot_core::ConnectionOptions;
use carrot_core::backend::Connector;

use super::features::features;

struct ActiveMq(ConnectionOptions);

impl ActiveMq {
    fn new() -> ActiveMq {
        let url = env::var("CARROT_TEST_ACTIVEMQ_URL")
            .expect("CARROT_TEST_ACTIVEMQ_URL names the broker to test against");
        ActiveMq(url.parse().expect("CARROT_TEST_ACTIVEMQ_URL is a valid URL"))
    }
}

impl Harness for ActiveMq {
    fn name(&self) -> &str {
        "activemq"
    }

    fn features(&self) -> Features {
        features()
    }

    fn connect(&self) -> Arc<dyn Connector> {
        Arc::new(ActiveMqConnector::new(&self.0).expect("the options are valid"))
    }

    fn pass(&self, duration: Duration) {
        thread::sleep(duration);
    }
}

carrot_conformance::conformance_tests!(
    ignored: "needs ActiveMQ: run ./scripts/test",
    ActiveMq::new(),
);
