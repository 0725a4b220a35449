//! How to reach a broker: parameters as plain data.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Which backend a connection uses, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheme {
    /// AMQP over TCP, `amqp://`.
    #[default]
    Amqp,
    /// AMQP over TLS, `amqps://`.
    Amqps,
    /// The in-process broker, `memory://`.
    Memory,
}

/// One address of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub name: String,
    /// The port; `None` for the scheme's own, 5672 or 5671.
    pub port: Option<u16>,
}

/// A password, or another secret. It is never shown: `Debug` prints stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<Arc<str>>) -> Secret {
        Secret(secret.into())
    }

    /// The secret itself; for the driver that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// How the program proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user name and password (SASL PLAIN).
    Plain {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// The client certificate (SASL EXTERNAL); the broker needs a plug-in for it.
    External,
}

/// Certificates or a key in PEM form.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In a file, read at each connect.
    File(PathBuf),
    /// In memory.
    Text(Secret),
}

impl fmt::Debug for Pem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => formatter.debug_tuple("File").field(path).finish(),
            Pem::Text(_) => formatter.write_str("Text(..)"),
        }
    }
}

/// How TLS checks the broker, and shows the client. The broker's certificate is always verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TlsOptions {
    /// Authorities to trust; if there is none, those of the platform.
    pub authorities: Vec<Pem>,
    /// The client's certificate chain, and its key.
    pub identity: Option<(Pem, Pem)>,
    /// The name that the broker's certificate must carry; `None` for the host's.
    pub server_name: Option<String>,
}

/// Everything that opens a connection.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConnectionOptions {
    /// Which backend.
    pub scheme: Scheme,
    /// Where the broker is: one address, or several of one cluster. For the memory broker, its name, or none for a private one.
    pub hosts: Vec<Host>,
    /// Who connects.
    pub credentials: Credentials,
    /// The virtual host.
    pub vhost: String,
    /// How TLS works, for [`Scheme::Amqps`].
    pub tls: TlsOptions,
    /// The interval of heartbeats, in whole seconds; zero for none. A peer silent for twice as long is dead.
    pub heartbeat: Duration,
    /// The deadline for opening a connection: resolving, TCP, TLS and AMQP together, over all addresses.
    pub connect_timeout: Duration,
    /// The deadline of every other call that waits for the broker.
    pub call_timeout: Duration,
    /// The most channels on one connection; 0 leaves it to the broker.
    pub channel_max: u16,
    /// The largest frame, in bytes, that either side sends; what the broker allows may be less.
    pub frame_max: u32,
    /// A name for logs and threads.
    pub name: String,
}
