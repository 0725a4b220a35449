//! The conformance cases that restart the broker.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_backend_activemq::ActiveMqConnector;
use carrot_conformance::{Case, Feature, Features, Harness, cases};
use carrot_core::backend::Connector;

use crate::features::features;
use crate::process::OwnBroker;

impl Harness for OwnBroker {
    fn name(&self) -> &str {
        "activemq"
    }

    fn features(&self) -> Features {
        features().without(Feature::CutConnection)
    }

    fn connect(&self) -> Arc<dyn Connector> {
        Arc::new(ActiveMqConnector::new(&self.options()).expect("the options are valid"))
    }

    fn pass(&self, duration: Duration) {
        thread::sleep(duration);
    }

    fn restart(&self) -> bool {
        OwnBroker::restart(self);
        true
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn cases_that_restart_the_broker_pass() {
    let restarts = |case: &&Case| case.needs.contains(&Feature::RestartBroker);
    let runs = |case: &&Case| case.needs.iter().all(|need| features().contains(*need));
    let broker = OwnBroker::start(&[]);
    let mut names = Vec::new();
    for case in cases().iter().filter(restarts).filter(runs) {
        case.run(&broker);
        names.push(case.name);
    }
    let expected = [
        "a_persistent_message_in_a_durable_queue_is_kept_over_a_restart",
        "durable_exchanges_and_bindings_are_kept_over_a_restart",
    ];
    assert_eq!(names, expected);
}
