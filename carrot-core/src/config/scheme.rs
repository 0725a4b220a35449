use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::given::Given;
use crate::error::{Error, Result};

/// The backend of a connection, and its transport.
///
/// Serialized as `"amqp"`, `"amqps"` or `"memory"`.
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
}

impl Scheme {
    /// Returns the scheme of a URL, without `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Amqp => "amqp",
            Scheme::Amqps => "amqps",
            Scheme::Memory => "memory",
        }
    }

    /// Returns the port of an address without a port: 5672, or 5671 with TLS; 0 for the memory
    /// broker, which has no port.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Amqp => 5672,
            Scheme::Amqps => 5671,
            Scheme::Memory => 0,
        }
    }
}

impl TryFrom<Given> for Scheme {
    type Error = Error;

    fn try_from(given: Given) -> Result<Scheme> {
        let scheme = given.text("scheme")?;
        [Scheme::Amqp, Scheme::Amqps, Scheme::Memory]
            .into_iter()
            .find(|known| known.as_str() == scheme)
            .ok_or_else(|| Error::config("scheme", "must be amqp, amqps or memory"))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
