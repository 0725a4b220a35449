//! The two forms in which each test meets its peer.

#[cfg(feature = "tls")]
use std::sync::{Arc, OnceLock};

use carrot_core::ConnectionOptions;
#[cfg(feature = "tls")]
use carrot_core::{Pem, TlsOptions};
#[cfg(feature = "tls")]
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
#[cfg(feature = "tls")]
use rustls::server::WebPkiClientVerifier;
#[cfg(feature = "tls")]
use rustls::server::danger::ClientCertVerifier;
#[cfg(feature = "tls")]
use rustls::{RootCertStore, ServerConfig, ServerConnection};

/// The name of the certificate, which is the address of the peers.
pub(crate) const HOST: &str = "127.0.0.1";

/// How a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    #[cfg(feature = "tls")]
    Tls,
}

/// Runs each of these functions twice, with a plain peer and with one that speaks TLS.
macro_rules! plain_and_tls {
    ($($name:ident,)*) => {
        mod plain {
            $(
                #[test]
                fn $name() {
                    super::$name($crate::form::Form::Plain);
                }
            )*
        }

        #[cfg(feature = "tls")]
        mod tls {
            $(
                #[test]
                fn $name() {
                    super::$name($crate::form::Form::Tls);
                }
            )*
        }
    };
}

pub(crate) use plain_and_tls;

impl Form {
    /// Adds what a client needs to meet a peer of this form.
    pub(crate) fn secure(self, options: ConnectionOptions) -> ConnectionOptions {
        self.secure_with(options, &self.authority())
    }

    /// Does the same with the certificate of a peer in another process.
    #[cfg_attr(not(feature = "tls"), allow(unused_variables))]
    pub(crate) fn secure_with(
        self,
        options: ConnectionOptions,
        authority: &str,
    ) -> ConnectionOptions {
        match self {
            Form::Plain => options,
            #[cfg(feature = "tls")]
            Form::Tls => options.tls(TlsOptions::new().authority(Pem::text(authority))),
        }
    }

    /// Returns the certificate that the peer presents, in PEM.
    pub(crate) fn authority(self) -> String {
        match self {
            Form::Plain => String::new(),
            #[cfg(feature = "tls")]
            Form::Tls => identity().cert.pem(),
        }
    }

    /// Creates the session of a peer.
    #[cfg(feature = "tls")]
    pub(crate) fn session(self) -> Option<ServerConnection> {
        (self == Form::Tls).then(|| session(WebPkiClientVerifier::no_client_auth()))
    }
}

/// Creates the session of a peer that requires a certificate of the client.
#[cfg(feature = "tls")]
pub(crate) fn demanding_session() -> ServerConnection {
    let mut roots = RootCertStore::empty();
    roots.add(identity().cert.der().clone()).unwrap();
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    session(builder.build().unwrap())
}

#[cfg(feature = "tls")]
fn session(verifier: Arc<dyn ClientCertVerifier>) -> ServerConnection {
    let key = PrivatePkcs8KeyDer::from(identity().signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity().cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    let mut session = ServerConnection::new(Arc::new(config)).unwrap();
    session.set_buffer_limit(None);
    session
}

#[cfg(feature = "tls")]
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(feature = "tls")]
fn identity() -> &'static rcgen::CertifiedKey<rcgen::KeyPair> {
    static IDENTITY: OnceLock<rcgen::CertifiedKey<rcgen::KeyPair>> = OnceLock::new();
    IDENTITY.get_or_init(|| rcgen::generate_simple_self_signed([HOST.to_string()]).unwrap())
}
