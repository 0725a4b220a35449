//! The configuration of TLS, and its handshakes.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_core::{Error, Pem, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use crate::certificate::common_name;
use crate::server_tls::ServerTls;
use crate::tls::session::ServerTlsSession;

/// Accepts TLS sessions. One for each server.
pub(crate) struct TlsAcceptor(Arc<ServerConfig>);

impl TlsAcceptor {
    /// Reads certificates and keys.
    pub(crate) fn new(options: &ServerTls) -> Result<TlsAcceptor> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = client_verifier(options, &provider)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::config("tls", error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                certificates_of("tls certificates", &options.certificates)?,
                key_of(&options.key)?,
            )
            .map_err(|error| Error::config("tls certificates", error.to_string()))?;
        Ok(TlsAcceptor(Arc::new(config)))
    }

    /// Performs the handshake.
    ///
    /// Blocks at most until `deadline`.
    pub(crate) fn accept(
        &self,
        mut socket: &TcpStream,
        deadline: Option<Instant>,
    ) -> io::Result<ServerTlsSession> {
        check_first_octet(socket, deadline)?;
        let mut session = ServerConnection::new(Arc::clone(&self.0)).map_err(io::Error::other)?;
        loop {
            while session.wants_write() {
                socket.set_write_timeout(time_left(deadline)?)?;
                match session.write_tls(&mut socket) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    result => result?,
                };
            }
            if !session.is_handshaking() {
                let certificate =
                    session.peer_certificates().and_then(|certificates| certificates.first());
                let common_name = certificate.map(|shown| common_name(shown));
                return Ok(ServerTlsSession::new(session, common_name));
            }
            socket.set_read_timeout(time_left(deadline)?)?;
            match session.read_tls(&mut socket) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            };
            if let Err(error) = session.process_new_packets() {
                // The alert holds the reason.
                let _ = session.write_tls(&mut socket);
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsAcceptor").finish_non_exhaustive()
    }
}

/// Fails if the peer begins with the header of AMQP instead of a TLS handshake.
fn check_first_octet(socket: &TcpStream, deadline: Option<Instant>) -> io::Result<()> {
    let mut first = [0];
    loop {
        socket.set_read_timeout(time_left(deadline)?)?;
        match socket.peek(&mut first) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) if first == *b"A" => {
                let reason = "the client speaks AMQP without TLS";
                return Err(io::Error::new(ErrorKind::InvalidData, reason));
            }
            result => return result.map(drop),
        }
    }
}

fn time_left(deadline: Option<Instant>) -> io::Result<Option<Duration>> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if left.is_some_and(|left| left.is_zero()) { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn client_verifier(
    options: &ServerTls,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>> {
    const OPTION: &str = "tls client_authority";
    if options.client_authorities.is_empty() {
        return match options.needs_client_certificate {
            true => Err(Error::config(OPTION, "is missing, and client certificates are required")),
            false => Ok(WebPkiClientVerifier::no_client_auth()),
        };
    }
    let mut roots = RootCertStore::empty();
    for authority in &options.client_authorities {
        for certificate in certificates_of(OPTION, authority)? {
            roots
                .add(certificate)
                .map_err(|error| Error::config(OPTION, format!("{authority:?}: {error}")))?;
        }
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = match options.needs_client_certificate {
        true => verifier,
        false => verifier.allow_unauthenticated(),
    };
    verifier.build().map_err(|error| Error::config(OPTION, error.to_string()))
}

fn certificates_of(option: &'static str, pem: &Pem) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = bytes_of(option, pem)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::config(option, format!("{pem:?}: {error}")))?;
    if certificates.is_empty() {
        return Err(Error::config(option, format!("{pem:?}: holds no certificate")));
    }
    Ok(certificates)
}

fn key_of(pem: &Pem) -> Result<PrivateKeyDer<'static>> {
    const OPTION: &str = "tls key";
    // The error of the parser may quote the key.
    PrivateKeyDer::from_pem_slice(&bytes_of(OPTION, pem)?)
        .map_err(|_| Error::config(OPTION, format!("{pem:?}: holds no private key")))
}

fn bytes_of(option: &'static str, pem: &Pem) -> Result<Vec<u8>> {
    match pem {
        Pem::Text(text) => Ok(text.reveal().as_bytes().to_vec()),
        Pem::File(path) => std::fs::read(path)
            .map_err(|error| Error::config(option, format!("{}: {error}", path.display()))),
    }
}
