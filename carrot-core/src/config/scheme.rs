use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::given::Given;
use crate::error::{Error, Result};

/// The backend of a connection, and its transport.
///
/// Serialized as `"amqp"`, `"amqps"`, `"memory"`, `"zmq"` or `"zmq+ipc"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "Given")]
#[non_exhaustive]
pub enum Scheme {
    /// AMQP over TCP, `amqp://`.
    #[default]
    Amqp,
    /// AMQP over TLS, `amqps://`.
    Amqps,
    /// The in-process broker, `memory://`.
    Memory,
    /// A host of the in-process broker, by ZeroMQ over TCP, `zmq://`.
    Zmq,
    /// A host of the in-process broker, by ZeroMQ at a socket of the file system, `zmq+ipc://`.
    #[serde(rename = "zmq+ipc")]
    ZmqIpc,
}

impl Scheme {
    pub(super) const ALL: [Scheme; 5] =
        [Scheme::Amqp, Scheme::Amqps, Scheme::Memory, Scheme::Zmq, Scheme::ZmqIpc];

    /// Returns the scheme of a URL, without `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Amqp => "amqp",
            Scheme::Amqps => "amqps",
            Scheme::Memory => "memory",
            Scheme::Zmq => "zmq",
            Scheme::ZmqIpc => "zmq+ipc",
        }
    }

    /// Returns the port of an address without a port: 5672, or 5671 with TLS, and 5555 for ZeroMQ.
    /// Returns 0 for the memory broker and for sockets of the file system, which have no port.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Amqp => 5672,
            Scheme::Amqps => 5671,
            Scheme::Memory | Scheme::ZmqIpc => 0,
            Scheme::Zmq => 5555,
        }
    }
}

impl TryFrom<Given> for Scheme {
    type Error = Error;

    fn try_from(given: Given) -> Result<Scheme> {
        let scheme = given.text("scheme")?;
        Scheme::ALL
            .into_iter()
            .find(|known| known.as_str() == scheme)
            .ok_or_else(|| Error::config("scheme", "must be amqp, amqps, memory, zmq or zmq+ipc"))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
