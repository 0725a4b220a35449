//! TLS handshakes with brokers.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use carrot_core::{Result, TlsOptions};
use carrot_listener::PeerTls;
use carrot_tls::TlsConnector;

/// Verifies the certificate of one broker.
#[derive(Debug)]
pub(crate) struct ClientTls(TlsConnector);

impl ClientTls {
    /// Reads certificates and keys. `host` is the name that the certificate of the broker must
    /// carry, unless the options set another.
    pub(crate) fn new(options: &TlsOptions, host: &str) -> Result<ClientTls> {
        TlsConnector::new(options, host).map(ClientTls)
    }

    /// Performs the handshake.
    ///
    /// Blocks at most until `deadline`. Leaves timeouts set on the socket.
    pub(crate) fn secure(&self, socket: &TcpStream, deadline: Instant) -> io::Result<PeerTls> {
        self.0.connect(socket, Some(deadline)).map(Into::into)
    }
}
