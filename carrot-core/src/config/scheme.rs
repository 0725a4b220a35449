use std::fmt;

/// The backend of a connection, and its transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
