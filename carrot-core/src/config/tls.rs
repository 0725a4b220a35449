use crate::config::secret::Pem;

/// How TLS checks the broker, and shows the client. The broker's certificate is always verified.
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
    /// Authorities to trust; if there is none, those of the platform.
    pub authorities: Vec<Pem>,
    /// The client's certificate chain, and its key.
    pub identity: Option<(Pem, Pem)>,
    /// The name that the broker's certificate must carry; `None` for the host's.
    pub server_name: Option<String>,
}

impl TlsOptions {
    /// Trust in the authorities of the platform, no client certificate.
    pub fn new() -> TlsOptions {
        TlsOptions::default()
    }

    /// Trusts the authorities in `certificates`, and those added before, instead of the platform's.
    /// Defaults to those of the platform.
    #[must_use]
    pub fn authority(mut self, certificates: Pem) -> TlsOptions {
        self.authorities.push(certificates);
        self
    }

    /// Shows the broker a certificate: its chain, the client's own first, and its private key.
    /// Defaults to none.
    #[must_use]
    pub fn identity(mut self, certificates: Pem, key: Pem) -> TlsOptions {
        self.identity = Some((certificates, key));
        self
    }

    /// Sets the name that the broker's certificate must carry, if it is not the one that is
    /// connected to. Defaults to the host's.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> TlsOptions {
        self.server_name = Some(name.into());
        self
    }
}
