use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::given::Given;
use crate::error::{Error, Result};

/// The backend of a connection, and its transport.
///
/// Serialized as `"amqp"`, `"amqps"`, `"memory"`, `"zmq"`, `"zmqs"`, `"zmq+ipc"`, `"activemq"` or
/// `"activemq+ssl"`.
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
    /// A host of the in-process broker, by ZeroMQ over TLS, `zmqs://`.
    Zmqs,
    /// A host of the in-process broker, by ZeroMQ at a socket of the file system, `zmq+ipc://`.
    #[serde(rename = "zmq+ipc")]
    ZmqIpc,
    /// Apache ActiveMQ Classic, by OpenWire over TCP, `activemq://`.
    ActiveMq,
    /// Apache ActiveMQ Classic, by OpenWire over TLS, `activemq+ssl://`.
    #[serde(rename = "activemq+ssl")]
    ActiveMqSsl,
}

impl Scheme {
    pub(super) const ALL: [Scheme; 8] = [
        Scheme::Amqp,
        Scheme::Amqps,
        Scheme::Memory,
        Scheme::Zmq,
        Scheme::Zmqs,
        Scheme::ZmqIpc,
        Scheme::ActiveMq,
        Scheme::ActiveMqSsl,
    ];

    /// Returns the scheme of a URL, without `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Amqp => "amqp",
            Scheme::Amqps => "amqps",
            Scheme::Memory => "memory",
            Scheme::Zmq => "zmq",
            Scheme::Zmqs => "zmqs",
            Scheme::ZmqIpc => "zmq+ipc",
            Scheme::ActiveMq => "activemq",
            Scheme::ActiveMqSsl => "activemq+ssl",
        }
    }

    /// Returns the port of an address without a port: 5672, or 5671 with TLS; for ZeroMQ 5555, or
    /// 5556 with TLS; for ActiveMQ 61616, or 61617 with TLS. Returns 0 for the memory broker and
    /// for sockets of the file system, which have no port.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Amqp => 5672,
            Scheme::Amqps => 5671,
            Scheme::Memory | Scheme::ZmqIpc => 0,
            Scheme::Zmq => 5555,
            Scheme::Zmqs => 5556,
            Scheme::ActiveMq => 61616,
            Scheme::ActiveMqSsl => 61617,
        }
    }

    /// Returns whether the transport is TLS.
    pub fn has_tls(self) -> bool {
        matches!(self, Scheme::Amqps | Scheme::Zmqs | Scheme::ActiveMqSsl)
    }

    /// Returns whether the brokers of this backend have virtual hosts. Only those of AMQP have.
    ///
    /// ```
    /// use carrot::config::Scheme;
    ///
    /// assert!(Scheme::Amqps.has_vhosts());
    /// assert!(!Scheme::ActiveMq.has_vhosts());
    /// ```
    pub fn has_vhosts(self) -> bool {
        matches!(self, Scheme::Amqp | Scheme::Amqps)
    }

    /// Returns the scheme of the same backend with TLS; `amqps` if the backend has none. A path is
    /// no address of that scheme.
    pub fn with_tls(self) -> Scheme {
        match self {
            Scheme::Zmq | Scheme::Zmqs | Scheme::ZmqIpc => Scheme::Zmqs,
            Scheme::ActiveMq | Scheme::ActiveMqSsl => Scheme::ActiveMqSsl,
            Scheme::Amqp | Scheme::Amqps | Scheme::Memory => Scheme::Amqps,
        }
    }
}

impl TryFrom<Given> for Scheme {
    type Error = Error;

    fn try_from(given: Given) -> Result<Scheme> {
        let scheme = given.text("scheme")?;
        Scheme::ALL.into_iter().find(|known| known.as_str() == scheme).ok_or_else(|| {
            Error::config(
                "scheme",
                "must be amqp, amqps, memory, zmq, zmqs, zmq+ipc, activemq or activemq+ssl",
            )
        })
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
