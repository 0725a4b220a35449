//! Delays while only one of the two connections can be opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use carrot::backend::{Backend, Capabilities, ChannelOptions, Clock, Connector, Event, Status};
use carrot::config::Role;
use carrot::memory::Broker;
use carrot::{Connection, Error, Result};

use crate::support::SOON;

/// The memory broker, whose connections for consumers can be refused.
#[derive(Debug)]
struct RefusingConsumers {
    connector: Arc<dyn Connector>,
    refuses: AtomicBool,
}

impl RefusingConsumers {
    fn check(&self, role: Role) -> Result<()> {
        if role == Role::Consume && self.refuses.load(Ordering::Relaxed) {
            return Err(Error::connect(self.endpoint(), "refused", Duration::ZERO, None));
        }
        Ok(())
    }
}

impl Connector for RefusingConsumers {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        self.check(options.role)?;
        self.connector.open(options, timeout)
    }

    fn connect(&self, role: Role, timeout: Duration) -> Result<()> {
        self.check(role)?;
        self.connector.connect(role, timeout)
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        self.connector.close(timeout)
    }

    fn endpoint(&self) -> String {
        self.connector.endpoint()
    }

    fn status(&self, role: Role) -> Status {
        self.connector.status(role)
    }

    fn capabilities(&self) -> Capabilities {
        self.connector.capabilities()
    }

    fn clock(&self) -> Clock {
        self.connector.clock()
    }

    fn observe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>) {
        self.connector.observe(observer);
    }
}

#[test]
fn recovery_with_a_delayed_message_in_flight_needs_no_connection_for_consumers() {
    let broker = Broker::new();
    let connector = Arc::new(RefusingConsumers {
        connector: broker.connector(),
        refuses: AtomicBool::new(false),
    });
    let connection = Connection::new(Arc::clone(&connector) as Arc<dyn Connector>);
    let publisher = connection.publisher().queue("orders").build().unwrap();
    publisher.message().delay(Duration::from_secs(2)).send("first").unwrap();
    broker.faults().lose_confirms(1);
    let delayed = publisher.message().delay(Duration::from_secs(2)).publish("second").unwrap();
    connector.refuses.store(true, Ordering::Relaxed);
    broker.faults().drop_connections();
    let started = Instant::now();
    publisher.message().timeout(2 * SOON).send("at once").unwrap();
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
    delayed.wait().unwrap();
    publisher.declare_delays(Duration::from_secs(90)).unwrap();
}
