//! The settings of a host, complete and valid, and what its connections share.

use std::time::Duration;

use carrot_backend_memory::Broker;
use carrot_listener::{ConnectionRegistry, MemoryBudget, ServerTls, ServerTlsAcceptor, Users};

use crate::calls::event::HostTraits;
use crate::heartbeat::Heartbeat;

/// The settings of a host.
#[derive(Debug, Clone)]
pub(crate) struct HostSettings {
    pub(crate) broker: Broker,
    pub(crate) users: Users,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) max_connections: usize,
    pub(crate) max_channels: usize,
    pub(crate) max_unfinished_bytes: usize,
    /// The memory of messages above which publishers are blocked, in bytes.
    pub(crate) memory_limit: usize,
    /// The most publications of a connection that wait while publishers are blocked.
    pub(crate) max_parked_messages: usize,
    /// The most bytes of such publications.
    pub(crate) max_parked_bytes: usize,
    /// The time that a peer has until its connection is open.
    pub(crate) handshake_timeout: Duration,
}

/// The parts of a host that a connection uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostContext<'h> {
    pub(crate) settings: &'h HostSettings,
    pub(crate) tls: Option<&'h ServerTlsAcceptor>,
    pub(crate) budget: &'h MemoryBudget,
    pub(crate) registry: &'h ConnectionRegistry,
}

impl HostSettings {
    /// Returns the largest body of a message, in bytes.
    pub(crate) fn max_body(&self) -> u64 {
        self.broker.max_body_bytes() as u64
    }

    /// Returns the traits that a welcome names.
    pub(crate) fn traits(&self) -> HostTraits {
        let capabilities = self.broker.connector().capabilities();
        HostTraits { capabilities, max_body: self.max_body() }
    }
}
