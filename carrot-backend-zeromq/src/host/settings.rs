//! The settings of a host, complete and valid.

use std::time::Duration;

use carrot_backend_memory::Broker;
use carrot_listener::{ServerTls, Users};

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
