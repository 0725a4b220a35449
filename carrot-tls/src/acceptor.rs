//! The side of a server.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use carrot_core::{Error, Pem, Result};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ServerConfig, ServerConnection};

use crate::handshake;
use crate::pem::{certificates_of, key_of, roots_of};
use crate::session::TlsSession;

const CERTIFICATES: &str = "tls certificates";
const AUTHORITY: &str = "tls client_authority";

/// Accepts TLS sessions. One for each server.
pub struct TlsAcceptor(Arc<ServerConfig>);

/// Whether a server asks clients for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCertificates<'a> {
    /// Clients are not asked.
    NotAsked,
    /// Clients may show a certificate of these authorities.
    Optional(&'a [Pem]),
    /// Clients have to show a certificate of these authorities.
    Required(&'a [Pem]),
}

impl TlsAcceptor {
    /// Reads the certificate of the server, with its chain, its key, and the authorities of
    /// clients.
    ///
    /// # Errors
    /// - [`Error::Config`]: a file cannot be read, or holds no usable certificate or key; clients
    ///   are asked for a certificate, and no authority is named.
    pub fn new(
        certificates: &Pem,
        key: &Pem,
        clients: ClientCertificates<'_>,
    ) -> Result<TlsAcceptor> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = client_verifier(clients, &provider)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::config("tls", error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates_of(CERTIFICATES, certificates)?, key_of("tls key", key)?)
            .map_err(|error| Error::config(CERTIFICATES, error.to_string()))?;
        Ok(TlsAcceptor(Arc::new(config)))
    }

    /// Performs the handshake.
    ///
    /// Blocks at most until `deadline`. Leaves timeouts set on the socket.
    ///
    /// # Errors
    /// - [`TimedOut`](io::ErrorKind::TimedOut) or [`WouldBlock`](io::ErrorKind::WouldBlock): the
    ///   deadline has passed.
    /// - [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): the client has closed the socket.
    /// - [`InvalidData`](io::ErrorKind::InvalidData): the client speaks no TLS, a certificate was
    ///   not accepted, or the handshake failed otherwise.
    /// - The errors of the socket.
    pub fn accept(&self, socket: &TcpStream, deadline: Option<Instant>) -> io::Result<TlsSession> {
        let connection = ServerConnection::new(Arc::clone(&self.0)).map_err(io::Error::other)?;
        handshake::perform(connection.into(), socket, deadline)
    }
}

fn client_verifier(
    clients: ClientCertificates<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>> {
    let (authorities, is_required) = match clients {
        ClientCertificates::NotAsked => return Ok(WebPkiClientVerifier::no_client_auth()),
        ClientCertificates::Optional(authorities) => (authorities, false),
        ClientCertificates::Required(authorities) => (authorities, true),
    };
    if authorities.is_empty() {
        return Err(Error::config(AUTHORITY, "is missing, and clients are asked for certificates"));
    }
    let roots = roots_of(AUTHORITY, authorities)?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = if is_required { verifier } else { verifier.allow_unauthenticated() };
    verifier.build().map_err(|error| Error::config(AUTHORITY, error.to_string()))
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsAcceptor").finish_non_exhaustive()
    }
}
