//! The TLS options of a server.

use carrot_core::Pem;

/// The TLS options of a server or of a host of ZeroMQ: its certificate, and the authorities of
/// client certificates.
///
/// The names are those of the client's [`TlsOptions`](carrot_core::TlsOptions).
///
/// ```no_run
/// use carrot::config::Pem;
/// use carrot::memory::Broker;
/// use carrot::server::{Server, ServerTls};
///
/// let tls = ServerTls::new(Pem::file("server.pem"), Pem::file("server.key"))
///     .client_authority(Pem::file("clients-ca.pem"));
/// let server = Server::builder(&Broker::new())
///     .tls(tls)
///     .user("ann", "hush")
///     .certificate_user("worker")
///     .bind("127.0.0.1:5671")?;
/// assert_eq!(server.url(), "amqps://guest:guest@127.0.0.1:5671/%2f");
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only TLS reads the options"))]
pub struct ServerTls {
    pub(crate) certificates: Pem,
    pub(crate) key: Pem,
    pub(crate) client_authorities: Vec<Pem>,
    pub(crate) needs_client_certificate: bool,
}

impl ServerTls {
    /// Creates options with the certificate of the server: its chain, the server's own certificate
    /// first, and its private key. Files are read when the server is bound.
    pub fn new(certificates: Pem, key: Pem) -> ServerTls {
        ServerTls {
            certificates,
            key,
            client_authorities: Vec::new(),
            needs_client_certificate: false,
        }
    }

    /// Asks clients for a certificate, and accepts those of the authorities in `certificates` and
    /// of the authorities added before.
    ///
    /// A client may show none. A client of `carrot::server` that shows one may log in with the
    /// mechanism EXTERNAL, as the user that the common name of its certificate names; see
    /// `ServerBuilder::certificate_user`. A client of a host of ZeroMQ logs in as without one.
    ///
    /// Defaults to no authority. The server then asks for no certificate, and offers no EXTERNAL.
    #[must_use]
    pub fn client_authority(mut self, certificates: Pem) -> ServerTls {
        self.client_authorities.push(certificates);
        self
    }

    /// Refuses clients without a certificate in the TLS handshake.
    ///
    /// Defaults to `false`: clients without a certificate log in with a password.
    #[must_use]
    pub fn require_client_certificate(mut self) -> ServerTls {
        self.needs_client_certificate = true;
        self
    }
}
