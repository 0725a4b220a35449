//! The side of a client.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use carrot_core::{Error, Result, TlsOptions};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::handshake;
use crate::pem::{certificates_of, key_of, roots_of};
use crate::session::TlsSession;

const AUTHORITIES: &str = "tls authorities";
const IDENTITY: &str = "tls identity";

/// Connects to one server. The certificate of the server is always verified.
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
}

impl TlsConnector {
    /// Reads certificates and keys. `host` is the name that the certificate of the server must
    /// carry, unless the options set another.
    ///
    /// # Errors
    /// - [`Error::Config`]: a file cannot be read, or holds no usable certificate or key; no
    ///   authority is named, and the platform has none; the name of the server is malformed.
    pub fn new(options: &TlsOptions, host: &str) -> Result<TlsConnector> {
        let roots = match &*options.authorities {
            [] => platform_roots()?,
            authorities => roots_of(AUTHORITIES, authorities)?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::config("tls", error.to_string()))?
            .with_root_certificates(roots);
        let config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(
                    certificates_of(IDENTITY, &identity.certificates)?,
                    key_of(IDENTITY, &identity.key)?,
                )
                .map_err(|error| Error::config(IDENTITY, error.to_string()))?,
        };
        let server_name = options.server_name.as_deref().unwrap_or(host);
        let server_name = ServerName::try_from(server_name.to_string()).map_err(|error| {
            Error::config("tls server_name", format!("{server_name:?}: {error}"))
        })?;
        Ok(TlsConnector { config: Arc::new(config), server_name })
    }

    /// Performs the handshake.
    ///
    /// Blocks at most until `deadline`. Leaves timeouts set on the socket.
    ///
    /// # Errors
    /// - [`TimedOut`](io::ErrorKind::TimedOut) or [`WouldBlock`](io::ErrorKind::WouldBlock): the
    ///   deadline has passed.
    /// - [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): the server has closed the socket.
    /// - [`InvalidData`](io::ErrorKind::InvalidData): the server speaks no TLS, a certificate was
    ///   not accepted, or the handshake failed otherwise.
    /// - The errors of the socket.
    pub fn connect(&self, socket: &TcpStream, deadline: Option<Instant>) -> io::Result<TlsSession> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.server_name.clone())
            .map_err(io::Error::other)?;
        handshake::perform(connection.into(), socket, deadline)
    }
}

fn platform_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found
            .errors
            .first()
            .map_or_else(|| "the platform has none".to_string(), ToString::to_string);
        return Err(Error::config(
            AUTHORITIES,
            format!("no authority to trust: {reason}; name one"),
        ));
    }
    Ok(roots)
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsConnector")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

    use carrot_core::Pem;

    use super::*;

    fn option_of(options: &TlsOptions) -> String {
        let Err(Error::Config { option, .. }) = TlsConnector::new(options, "host") else {
            panic!("the options were accepted")
        };
        option.into_owned()
    }

    #[test]
    fn unusable_options_are_named() {
        let certificate =
            rcgen::generate_simple_self_signed(["host".to_string()]).unwrap().cert.pem();
        let missing = TlsOptions::new().authority(Pem::file("/nowhere/ca.pem"));
        assert_eq!(option_of(&missing), "tls authorities");
        let trusting = TlsOptions::new().authority(Pem::text(certificate.clone()));
        let keyless = trusting.clone().identity(Pem::text(certificate.clone()), Pem::text("none"));
        assert_eq!(option_of(&keyless), "tls identity");
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let of_another = trusting.clone().identity(Pem::text(certificate), Pem::text(other));
        assert_eq!(option_of(&of_another), "tls identity");
        assert_eq!(option_of(&trusting.server_name("no name")), "tls server_name");
    }
}
