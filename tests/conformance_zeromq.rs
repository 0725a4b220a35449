//! Every conformance case over ZeroMQ's wire protocol, for each release that the broker imitates,
//! and over TLS.

#[allow(dead_code, reason = "each file of tests uses a part of the support")]
#[allow(clippy::unwrap_used, reason = "tests")]
#[path = "../carrot-server/tests/support/authority.rs"]
mod authority;
#[allow(dead_code, reason = "each harness has its own features")]
mod backend_features;
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

mod tls {
    use std::sync::LazyLock;

    use carrot_backend_zeromq::ServerTls;
    use carrot_core::{Pem, TlsOptions};

    use super::*;
    use crate::authority::TestAuthority;

    /// The certificate of the authority, and the certificate of the host with its key.
    static ISSUED: LazyLock<[String; 3]> = LazyLock::new(|| {
        let authority = TestAuthority::new();
        let host = authority.server();
        [authority.certificate, host.certificate, host.key]
    });

    fn secured() -> HostedHarness<BrokerHost> {
        HostedHarness::new(
            "zeromq with TLS",
            RabbitMqRelease::default(),
            |broker| {
                let [_, certificate, key] = &*ISSUED;
                let tls = ServerTls::new(Pem::text(&**certificate), Pem::text(&**key));
                let builder = BrokerHost::builder(broker).tls(tls).user("ann", "hush");
                builder.bind("127.0.0.1:0").map(|server| {
                    let url = server.url().replace("zmqs://", "zmqs://ann:hush@");
                    (server, url)
                })
            },
            |options| {
                let tls = TlsOptions::new().authority(Pem::text(&*ISSUED[0]));
                Ok(Arc::new(ZeroMqConnector::new(&options.tls(tls))?))
            },
        )
    }

    carrot_conformance::conformance_tests!(secured());
}
