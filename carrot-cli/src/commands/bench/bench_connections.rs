//! The connections of a bench.

use carrot::config::Scheme;
use carrot::{Connection, ConnectionOptions};

use crate::exit::Result;

/// The connections of the producers and consumers.
pub(super) struct BenchConnections {
    pub(super) first: Connection,
    pub(super) options: ConnectionOptions,
}

impl BenchConnections {
    /// Opens one more. The memory broker of a process has no sockets, and one connection is enough.
    pub(super) fn open(&self) -> Result<Connection> {
        match self.options.scheme {
            Scheme::Memory => Ok(self.first.clone()),
            _ => Ok(carrot::connect(self.options.clone())?),
        }
    }
}
