//! TLS handshakes with hosts.

use std::io;
use std::time::Instant;

use carrot_core::{Result, TlsOptions};

use crate::stream::ZmtpStream;

#[cfg(feature = "tls")]
type Verifier = carrot_tls::TlsConnector;
/// Without the feature, no value exists.
#[cfg(not(feature = "tls"))]
type Verifier = std::convert::Infallible;

/// Verifies the certificate of one host.
pub(crate) struct ClientTls(Verifier);

#[cfg(feature = "tls")]
impl ClientTls {
    /// Reads certificates and keys. `host` is the name that the certificate of the host must carry,
    /// unless the options set another.
    pub(crate) fn new(options: &TlsOptions, host: &str) -> Result<ClientTls> {
        Verifier::new(options, host).map(ClientTls)
    }

    /// Performs the handshake.
    ///
    /// Blocks at most until `deadline`. Leaves timeouts set on the socket.
    pub(crate) fn secure(&self, stream: &ZmtpStream, deadline: Instant) -> io::Result<()> {
        stream.secure(|socket| self.0.connect(socket, Some(deadline)).map(Into::into))
    }
}

#[cfg(not(feature = "tls"))]
impl ClientTls {
    pub(crate) fn new(_: &TlsOptions, _: &str) -> Result<ClientTls> {
        Err(carrot_core::Error::config("scheme", "zmqs needs the feature `tls`"))
    }

    pub(crate) fn secure(&self, _: &ZmtpStream, _: Instant) -> io::Result<()> {
        match self.0 {}
    }
}
