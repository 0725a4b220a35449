//! The configuration of TLS: authorities, certificates and keys.

use std::sync::Arc;

use carrot_core::{Error, Pem, Result, TlsOptions};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

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
