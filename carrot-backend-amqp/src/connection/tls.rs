//! TLS through rustls.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream as StdTcpStream;
use std::sync::Arc;

use carrot_core::{Error, Pem, Result, TlsOptions};
use mio::net::TcpStream;
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
        Some((certificates, key)) => builder
            .with_client_auth_cert(certificates_of("tls identity", certificates)?, key_of(key)?)
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

/// A TLS session over a non-blocking socket.
pub(crate) struct TlsStream {
    socket: TcpStream,
    session: ClientConnection,
    /// The number of the caller's octets that rustls has accepted and that were not reported,
    /// because some of their records have not left.
    untold: usize,
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsStream").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl TlsStream {
    /// Completes the handshake. Blocks within the time-outs of the socket.
    pub(crate) fn connect(
        mut socket: StdTcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<TlsStream> {
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(TlsStream { socket: TcpStream::from_stream(socket)?, session, untold: 0 })
    }

    /// Accepts ciphertext that was read from the socket. Returns the number of octets that it took,
    /// and the number of octets of plaintext in `buffer`, or `None` if it needs more ciphertext.
    pub(crate) fn receive(
        &mut self,
        mut ciphertext: &[u8],
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<usize>)> {
        let whole = ciphertext.len();
        loop {
            match self.session.reader().read(buffer) {
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
            if self.session.read_tls(&mut ciphertext)? == 0 {
                return Ok((whole - ciphertext.len(), Some(0)));
            }
            self.session
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Accepts some of `bytes`. Fails with `WouldBlock` until their records have left, so that the
    /// caller repeats it with the same octets.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.untold == 0 {
            self.send_records()?;
            self.untold = self.session.writer().write(bytes)?;
        }
        self.send_records()?;
        Ok(std::mem::take(&mut self.untold))
    }

    fn send_records(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            if let Err(error) = self.session.write_tls(&mut self.socket) {
                let full =
                    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
                return Err(if full { error } else { self.last_words().unwrap_or(error) });
            }
        }
        Ok(())
    }

    /// Returns the alert of a peer that refuses this side. The alert may be readable although
    /// writing fails already.
    fn last_words(&mut self) -> Option<io::Error> {
        while matches!(self.session.read_tls(&mut self.socket), Ok(1..)) {
            if let Err(error) = self.session.process_new_packets() {
                return Some(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        None
    }
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
