use serde::{Deserialize, Serialize};

use crate::config::given::Given;
use crate::config::secret::Pem;
use crate::error::{Error, Result};

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
///
/// Serialized as a table with the fields `authorities`, `identity` and `server_name`, all of them
/// optional. The identity is a table with the fields `certificates` and `key`. Each certificate or
/// key has the form of [`Pem`], so serializing PEM text fails.
///
/// ```
/// use carrot::config::{Pem, TlsOptions};
///
/// let tls: TlsOptions = serde_json::from_str(
///     r#"{"authorities": ["ca.pem"], "identity": {"certificates": "c.pem", "key": "k.pem"}}"#,
/// )?;
/// let built = TlsOptions::new()
///     .authority(Pem::file("ca.pem"))
///     .identity(Pem::file("c.pem"), Pem::file("k.pem"));
/// assert_eq!(tls, built);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Given")]
#[non_exhaustive]
pub struct TlsOptions {
    /// The trusted authorities; those of the platform if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<Pem>,
    /// The client's certificate and its key; `None` if the client shows none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<TlsIdentity>,
    /// The name that the broker's certificate must carry; `None` for the host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
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
        self.identity = Some(TlsIdentity { certificates, key });
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

/// The certificate that a client shows to the broker, with its private key.
///
/// ```
/// use carrot::config::{Pem, TlsOptions};
///
/// let tls = TlsOptions::new().identity(Pem::file("client.pem"), Pem::file("client.key"));
/// let identity = tls.identity.expect("was set");
/// assert_eq!(identity.certificates, Pem::file("client.pem"));
/// assert_eq!(identity.key, Pem::file("client.key"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TlsIdentity {
    /// The chain of certificates, the client's own certificate first.
    pub certificates: Pem,
    /// The private key of the first certificate.
    pub key: Pem,
}

impl TryFrom<Given> for TlsOptions {
    type Error = Error;

    fn try_from(given: Given) -> Result<TlsOptions> {
        let mut fields =
            given.fields("tls", &["authorities", "identity", "server_name"], "must be a table")?;
        let authorities = fields.read("authorities", |given, authorities| {
            given
                .list(authorities)?
                .into_iter()
                .map(|given| Pem::read(given, authorities))
                .collect()
        })?;
        let identity = fields.read("identity", |given, identity| {
            let mut fields = given.fields(
                identity,
                &["certificates", "key"],
                "must be a table with certificates and key",
            )?;
            Ok(TlsIdentity {
                certificates: fields.require("certificates", Pem::read)?,
                key: fields.require("key", Pem::read)?,
            })
        })?;
        Ok(TlsOptions {
            authorities: authorities.unwrap_or_default(),
            identity,
            server_name: fields.read("server_name", Given::text)?,
        })
    }
}
