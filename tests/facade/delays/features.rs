//! Delays on backends with other features than RabbitMQ.

use std::sync::Arc;
use std::time::Duration;

use carrot::backend::{Backend, Capabilities, ChannelOptions, Clock, Connector, Event, Status};
use carrot::config::Role;
use carrot::memory::Broker;
use carrot::{Connection, Error, Result};

/// The memory broker, with other features.
#[derive(Debug)]
struct WithFeatures(Arc<dyn Connector>, Capabilities);

impl Connector for WithFeatures {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        self.0.open(options, timeout)
    }

    fn connect(&self, role: Role, timeout: Duration) -> Result<()> {
        self.0.connect(role, timeout)
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        self.0.close(timeout)
    }

    fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    fn status(&self, role: Role) -> Status {
        self.0.status(role)
    }

    fn update_secret(&self, secret: &str, reason: &str, timeout: Duration) -> Result<()> {
        self.0.update_secret(secret, reason, timeout)
    }

    fn capabilities(&self) -> Capabilities {
        self.1
    }

    fn clock(&self) -> Clock {
        self.0.clock()
    }

    fn observe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>) {
        self.0.observe(observer);
    }
}

/// Returns why a delayed message is invalid.
fn limit_of_delay(capabilities: Capabilities) -> String {
    let connector = WithFeatures(Broker::new().connector(), capabilities);
    let connection = Connection::new(Arc::new(connector));
    let publisher = connection.publisher().queue("orders").build().unwrap();
    match publisher.message().delay(Duration::from_millis(300)).send("x") {
        Err(Error::Invalid { field, value, limit }) => {
            assert_eq!((&*field, &*value), ("delay", "300ms"));
            limit.into_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn delay_without_any_feature_is_invalid() {
    let limit = limit_of_delay(Capabilities::default());
    assert!(limit.contains("no waiting queues") && limit.contains("schedulerSupport"), "{limit}");
}

#[test]
fn delay_is_passed_to_a_backend_that_delays_by_itself() {
    let mut capabilities = Capabilities::default();
    capabilities.delayed_publish = true;
    capabilities.waiting_queues = true;
    // The memory broker refuses the exact delay that it receives.
    assert_eq!(limit_of_delay(capabilities), "no delay, which this backend does not support");
}
