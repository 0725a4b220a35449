//! Every conformance case on a real broker, at the address in `CARROT_TEST_AMQP_URL`.

#[allow(dead_code, reason = "each harness has its own features")]
mod backend_features;

use std::env;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use carrot_backend_amqp::AmqpConnector;
use carrot_conformance::{Breakable, Features, Harness, Release};
use carrot_core::backend::Connector;
use carrot_core::{ConnectionOptions, Scheme};
use carrot_faults::Proxy;

struct Amqp(ConnectionOptions);

/// Returns the release that the broker announces. If the URL has TLS, returns the release that
/// `CARROT_TEST_RABBITMQ_VERSION` names.
fn release(options: &ConnectionOptions) -> Release {
    static RELEASE: OnceLock<Release> = OnceLock::new();
    *RELEASE.get_or_init(|| match options.scheme {
        Scheme::Amqp => {
            let address = options.addresses().next().expect("at least one address");
            Release::announced_by(address).expect("the broker announces its version")
        }
        _ => env::var("CARROT_TEST_RABBITMQ_VERSION")
            .expect("CARROT_TEST_RABBITMQ_VERSION names the release of a broker with TLS")
            .parse()
            .expect("CARROT_TEST_RABBITMQ_VERSION is a version"),
    })
}

impl Amqp {
    fn new() -> Amqp {
        let url = env::var("CARROT_TEST_AMQP_URL")
            .expect("CARROT_TEST_AMQP_URL names the broker to test against");
        Amqp(url.parse().expect("CARROT_TEST_AMQP_URL is a valid URL"))
    }
}

fn connector(options: &ConnectionOptions) -> Arc<dyn Connector> {
    Arc::new(AmqpConnector::new(options).expect("the options are valid"))
}

impl Harness for Amqp {
    fn name(&self) -> &str {
        "amqp"
    }

    fn features(&self) -> Features {
        backend_features::rabbitmq()
    }

    fn release(&self) -> Release {
        release(&self.0)
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

carrot_conformance::conformance_tests!(ignored: "needs a broker: run ./scripts/test", Amqp::new());
