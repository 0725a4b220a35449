//! A broker that a test reaches over ZeroMQ's wire protocol.

use carrot::Connection;
use carrot::memory::Broker;
use carrot_backend_zeromq::BrokerHost;

/// A host for one test, which ends when dropped.
pub struct HostedBroker {
    pub host: BrokerHost,
}

impl HostedBroker {
    pub fn start() -> HostedBroker {
        HostedBroker { host: BrokerHost::bind("127.0.0.1:0", &Broker::new()).unwrap() }
    }

    pub fn connect(&self) -> Connection {
        carrot::connect(self.host.url()).unwrap()
    }
}
