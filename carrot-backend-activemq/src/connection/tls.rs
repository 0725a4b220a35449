//! TLS handshakes with brokers.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use carrot_core::{Result, TlsOptions};
use carrot_listener::PeerTls;

#[cfg(feature = "tls")]
type BrokerVerifier = carrot_tls::TlsConnector;
/// Without the feature, no value exists.
#[cfg(not(feature = "tls"))]
type BrokerVerifier = std::convert::Infallible;

/// Verifies the certificate of one broker.
pub(crate) struct BrokerTls(BrokerVerifier);

#[cfg(feature = "tls")]
impl BrokerTls {
    /// Reads certificates and keys. `host` is the name that the certificate of the broker must
    /// carry, unless the options set another.
    pub(crate) fn new(options: &TlsOptions, host: &str) -> Result<BrokerTls> {
        BrokerVerifier::new(options, host).map(BrokerTls)
    }

    /// Performs the handshake.
    ///
    /// Blocks at most until `deadline`. Leaves timeouts set on the socket.
    pub(crate) fn secure(&self, socket: &TcpStream, deadline: Instant) -> io::Result<PeerTls> {
        self.0.connect(socket, Some(deadline)).map(Into::into)
    }
}

#[cfg(not(feature = "tls"))]
impl BrokerTls {
    pub(crate) fn new(_: &TlsOptions, _: &str) -> Result<BrokerTls> {
        Err(carrot_core::Error::config("scheme", "activemq+ssl needs the feature `tls`"))
    }

    pub(crate) fn secure(&self, _: &TcpStream, _: Instant) -> io::Result<PeerTls> {
        match self.0 {}
    }
}
