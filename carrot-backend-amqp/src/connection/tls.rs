//! TLS through rustls.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::sync::lock;
use carrot_core::{Error, Pem, Result, TlsOptions};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Reads certificates and keys, and returns the configuration of TLS handshakes.
pub(crate) fn client_config(options: &TlsOptions) -> Result<Arc<ClientConfig>> {
    let roots = if options.authorities.is_empty() {
        platform_roots()?
    } else {
        custom_roots(&options.authorities)?
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
                certificates_of("tls identity", &identity.certificates)?,
                key_of(&identity.key)?,
            )
            .map_err(|error| Error::config("tls identity", error.to_string()))?,
    };
    Ok(Arc::new(config))
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
            "tls authorities",
            format!("no authority to trust: {reason}; name one"),
        ));
    }
    Ok(roots)
}

fn custom_roots(authorities: &[Pem]) -> Result<RootCertStore> {
    const OPTION: &str = "tls authorities";
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        for certificate in certificates_of(OPTION, authority)? {
            roots
                .add(certificate)
                .map_err(|error| Error::config(OPTION, format!("{authority:?}: {error}")))?;
        }
    }
    Ok(roots)
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
    const OPTION: &str = "tls identity";
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

pub(crate) fn server_name(options: &TlsOptions, host: &str) -> Result<ServerName<'static>> {
    let name = options.server_name.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_string())
        .map_err(|error| Error::config("tls server_name", format!("{name:?}: {error}")))
}

/// A TLS session, which the reader and the writer of a connection share. Does no I/O after the
/// handshake, so that its lock is never held for long.
pub(crate) struct TlsSession(Mutex<ClientConnection>);

impl TlsSession {
    /// Performs the handshake.
    ///
    /// Blocks at most until `deadline`.
    pub(crate) fn connect(
        socket: &mut TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        deadline: Instant,
    ) -> io::Result<TlsSession> {
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        loop {
            while session.wants_write() {
                socket.set_write_timeout(Some(time_left(deadline)?))?;
                match session.write_tls(socket) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    result => result?,
                };
            }
            if !session.is_handshaking() {
                return Ok(TlsSession(Mutex::new(session)));
            }
            socket.set_read_timeout(Some(time_left(deadline)?))?;
            match session.read_tls(socket) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if let Err(error) = session.process_new_packets() {
                // The alert holds the reason.
                let _ = session.write_tls(socket);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    /// Accepts ciphertext from the socket. Returns the octets of ciphertext that were accepted, and
    /// the octets of plaintext that were written to `buffer`. Returns no plaintext if more
    /// ciphertext is needed.
    pub(crate) fn receive(
        &self,
        mut ciphertext: &[u8],
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<usize>)> {
        let whole = ciphertext.len();
        let mut session = lock(&self.0);
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok((whole, Some(0)));
                }
                Ok(read) => return Ok((whole - ciphertext.len(), Some(read))),
                Err(error) => return Err(error),
            }
            if ciphertext.is_empty() {
                return Ok((whole, None));
            }
            if session.read_tls(&mut ciphertext)? == 0 {
                return Ok((whole - ciphertext.len(), Some(0)));
            }
            session
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Appends the records of some octets at the start of `plaintext`, and returns their number.
    /// Records that the session has to send by itself come before them.
    pub(crate) fn seal(&self, plaintext: &[u8], records: &mut Vec<u8>) -> io::Result<usize> {
        let mut session = lock(&self.0);
        let taken = session.writer().write(plaintext)?;
        while session.wants_write() {
            session.write_tls(records)?;
        }
        Ok(taken)
    }
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn option_of(error: Error) -> String {
        let Error::Config { option, .. } = error else { panic!("{error}") };
        option.into_owned()
    }

    #[test]
    fn unusable_certificates_are_named() {
        let missing = TlsOptions::new().authority(Pem::file("/nowhere/ca.pem"));
        assert_eq!(option_of(client_config(&missing).unwrap_err()), "tls authorities");
        let empty = TlsOptions::new().authority(Pem::text("nothing"));
        assert_eq!(option_of(client_config(&empty).unwrap_err()), "tls authorities");
        assert_eq!(
            option_of(server_name(&TlsOptions::new().server_name("no name"), "host").unwrap_err()),
            "tls server_name"
        );
    }

    #[test]
    fn an_unreadable_key_is_not_repeated() {
        let error = key_of(&Pem::text(
            "-----BEGIN PRIVATE KEY-----\nhush*hush\n-----END PRIVATE KEY-----\n",
        ))
        .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}
