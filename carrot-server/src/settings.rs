//! The settings of a server.

use std::collections::BTreeMap;
use std::time::Duration;

use carrot_backend_memory::Broker;
use carrot_core::RabbitMqRelease;
use carrot_listener::{ServerTls, Users};

/// The smallest `frame_max` of AMQP 0-9-1, in bytes.
pub(crate) const FRAME_MIN: u32 = 4096;

/// The settings of a server, complete and valid.
#[derive(Debug, Clone)]
pub(crate) struct ServerSettings {
    pub(crate) vhosts: BTreeMap<String, Broker>,
    pub(crate) users: Users,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) channel_max: u16,
    pub(crate) frame_max: u32,
    /// The heartbeat interval that the server proposes, in seconds; 0 for none.
    pub(crate) heartbeat: u16,
    pub(crate) max_connections: usize,
    pub(crate) max_unfinished_bytes: usize,
    /// The memory of messages above which publishers are blocked, in bytes.
    pub(crate) memory_limit: usize,
    /// The time that a peer has until its connection is open.
    pub(crate) handshake_timeout: Duration,
}

impl ServerSettings {
    /// Returns the release that the server imitates.
    pub(crate) fn release(&self) -> RabbitMqRelease {
        self.vhosts.values().next().map(Broker::release).unwrap_or_default()
    }

    /// Returns the smallest `frame_max` that a peer may choose, in bytes. It is the limit until the
    /// peer has chosen.
    pub(crate) fn least_frame_max(&self) -> u32 {
        let least = match self.release() {
            release if release >= RabbitMqRelease::V4_3 => 2 * FRAME_MIN,
            _ => FRAME_MIN,
        };
        least.min(self.frame_max)
    }
}
