//! A broker without advisories, which does not tell which queues exist.

use std::time::Instant;

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::Error;
use carrot_core::backend::{ChannelOptions, Connector};

use crate::process::{OwnBroker, SOON};

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn broker_without_advisories_is_named_by_connect() {
    let broker = OwnBroker::start(&[]);
    broker.configure("advisorySupport=\"true\"", "advisorySupport=\"false\"");
    let connector = ActiveMqConnector::new(&broker.options()).unwrap();
    let started = Instant::now();
    let error = connector.open(&ChannelOptions::publish(), SOON).unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error:?}");
    assert!(error.to_string().contains("set advisorySupport=\"true\""), "{error}");
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
}
