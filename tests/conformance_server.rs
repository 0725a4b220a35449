//! Every conformance case with Carrot's AMQP driver on Carrot's server, for each release that the
//! broker imitates.

#[allow(dead_code, reason = "each harness has its own features")]
mod backend_features;
mod hosted_harness;

use std::sync::Arc;

use carrot_backend_amqp::AmqpConnector;
use carrot_core::RabbitMqRelease;
use carrot_server::Server;

use crate::hosted_harness::HostedHarness;

fn hosted(release: RabbitMqRelease) -> HostedHarness<Server> {
    HostedHarness::new(
        "server",
        release,
        |broker| {
            Server::bind("127.0.0.1:0", broker).map(|server| {
                let url = server.url();
                (server, url)
            })
        },
        |options| Ok(Arc::new(AmqpConnector::new(&options)?)),
    )
}

carrot_conformance::conformance_tests!(hosted(RabbitMqRelease::default()));

mod release_3_10 {
    use super::*;

    carrot_conformance::conformance_tests!(hosted(RabbitMqRelease::V3_10));
}
