use crate::config::secret::Pem;

/// The TLS options: trusted authorities and the client's certificate. The broker's certificate is
/// always verified.
///
/// ```
/// use carrot::{ConnectionOptions, config::{Pem, TlsOptions}};
///
/// let tls = TlsOptions::new()
///     .authority(Pem::file("/etc/shop/ca.pem"))
///     .identity(Pem::file("/etc/shop/client.pem"), Pem::file("/etc/shop/client.key"));
/// let options = ConnectionOptions::new().host("mq.example").tls(tls);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TlsOptions {
    /// The trusted authorities; those of the platform if empty.
    pub authorities: Vec<Pem>,
    /// The client's certificate chain and its key.
    pub identity: Option<(Pem, Pem)>,
    /// The name that the broker's certificate must carry; `None` for the host's name.
    pub server_name: Option<String>,
}

impl TlsOptions {
    /// Creates options that trust the authorities of the platform, without a client certificate.
    pub fn new() -> TlsOptions {
        TlsOptions::default()
    }

    /// Trusts the authorities in `certificates` and those added before, instead of the platform's.
    ///
    /// Defaults to the authorities of the platform.
    #[must_use]
    pub fn authority(mut self, certificates: Pem) -> TlsOptions {
        self.authorities.push(certificates);
        self
    }

    /// Sets the client's certificate: its chain, the client's own certificate first, and its
    /// private key.
    ///
    /// Defaults to none.
    #[must_use]
    pub fn identity(mut self, certificates: Pem, key: Pem) -> TlsOptions {
        self.identity = Some((certificates, key));
        self
    }

    /// Sets the name that the broker's certificate must carry, if it differs from the host's name.
    ///
    /// Defaults to the host's name.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> TlsOptions {
        self.server_name = Some(name.into());
        self
    }
}
