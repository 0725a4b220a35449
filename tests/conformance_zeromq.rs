//! Every conformance case over ZeroMQ's wire protocol, for each release that the broker imitates.

mod hosted_harness;

use std::sync::Arc;

use carrot_backend_zeromq::{BrokerHost, ZeroMqConnector};
use carrot_core::RabbitMqRelease;

use crate::hosted_harness::HostedHarness;

fn hosted(release: RabbitMqRelease) -> HostedHarness<BrokerHost> {
    HostedHarness::new(
        "zeromq",
        release,
        |broker| {
            BrokerHost::bind("127.0.0.1:0", broker).map(|server| {
                let url = server.url();
                (server, url)
            })
        },
        |options| Ok(Arc::new(ZeroMqConnector::new(&options)?)),
    )
}

carrot_conformance::conformance_tests!(hosted(RabbitMqRelease::default()));

mod release_3_10 {
    use super::*;

    carrot_conformance::conformance_tests!(hosted(RabbitMqRelease::V3_10));
}
