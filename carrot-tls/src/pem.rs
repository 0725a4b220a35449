//! Certificates and keys from PEM.

use carrot_core::{Error, Pem, Result};
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Reads one certificate or more.
pub(crate) fn certificates_of(
    option: &'static str,
    pem: &Pem,
) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = bytes_of(option, pem)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::config(option, format!("{pem:?}: {}", reason(&error))))?;
    if certificates.is_empty() {
        return Err(Error::config(option, format!("{pem:?}: holds no certificate")));
    }
    Ok(certificates)
}

/// Reads the first private key.
pub(crate) fn key_of(option: &'static str, pem: &Pem) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&bytes_of(option, pem)?).map_err(|error| {
        let reason = match error {
            PemError::NoItemsFound => "holds no private key",
            error => reason(&error),
        };
        Error::config(option, format!("{pem:?}: {reason}"))
    })
}

/// Reads authorities to trust.
pub(crate) fn roots_of(option: &'static str, authorities: &[Pem]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        for certificate in certificates_of(option, authority)? {
            roots
                .add(certificate)
                .map_err(|error| Error::config(option, format!("{authority:?}: {error}")))?;
        }
    }
    Ok(roots)
}

/// Returns the reason why PEM could not be read. The words of the parser quote lines, and files of
/// certificates often hold a key, too.
fn reason(error: &PemError) -> &'static str {
    match error {
        PemError::MissingSectionEnd { .. } => "a section has no line that ends it",
        PemError::IllegalSectionStart { .. } => "the first line of a section is malformed",
        PemError::Base64Decode(_) => "a section is malformed base64",
        PemError::SectionTooLarge => "a section is too large",
        _ => "is malformed PEM",
    }
}

fn bytes_of(option: &'static str, pem: &Pem) -> Result<Vec<u8>> {
    match pem {
        Pem::Text(text) => Ok(text.reveal().as_bytes().to_vec()),
        Pem::File(path) => std::fs::read(path)
            .map_err(|error| Error::config(option, format!("{}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

    use super::*;

    /// A key as some environments pass it on, with its lines joined.
    const JOINED: &str = "-----BEGIN PRIVATE KEY hush1hush";
    const BROKEN: &str = "-----BEGIN PRIVATE KEY-----\nhush*hush\n-----END PRIVATE KEY-----\n";
    const UNENDED: &str = "-----BEGIN PRIVATE KEY-----\nhushhush\n";

    /// The octets of `hush`, as `Debug` shows them.
    const HUSH: &str = "104, 117, 115, 104";

    fn reason_of(error: &Error) -> (&str, &str) {
        let Error::Config { option, reason, .. } = error else { panic!("{error}") };
        (option, reason)
    }

    #[test]
    fn malformed_pem_is_never_repeated() {
        let malformed = [
            (JOINED, "Text(..): the first line of a section is malformed"),
            (BROKEN, "Text(..): a section is malformed base64"),
            (UNENDED, "Text(..): a section has no line that ends it"),
        ];
        for (text, expected) in malformed {
            let pem = Pem::text(text);
            let errors = [
                certificates_of("tls certificates", &pem).unwrap_err(),
                key_of("tls certificates", &pem).unwrap_err(),
                roots_of("tls certificates", std::slice::from_ref(&pem)).unwrap_err(),
            ];
            for error in errors {
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains("hush") && !shown.contains(HUSH), "{shown}");
                assert_eq!(reason_of(&error), ("tls certificates", expected));
            }
        }
    }

    #[test]
    fn missing_item_is_named() {
        let none = Pem::text("nothing");
        let error = certificates_of("tls identity", &none).unwrap_err();
        assert_eq!(reason_of(&error), ("tls identity", "Text(..): holds no certificate"));
        let error = key_of("tls key", &none).unwrap_err();
        assert_eq!(reason_of(&error), ("tls key", "Text(..): holds no private key"));
    }

    #[test]
    fn unreadable_file_is_named() {
        let missing = Pem::file("/nowhere/ca.pem");
        for error in [
            certificates_of("tls key", &missing).unwrap_err(),
            key_of("tls key", &missing).unwrap_err(),
        ] {
            let (option, reason) = reason_of(&error);
            assert_eq!(option, "tls key");
            assert!(reason.starts_with("/nowhere/ca.pem: "), "{reason}");
        }
    }

    #[test]
    fn certificate_that_is_no_authority_is_named() {
        let text = "-----BEGIN CERTIFICATE-----\naHVzaA==\n-----END CERTIFICATE-----\n";
        let error = roots_of("tls authorities", &[Pem::text(text)]).unwrap_err();
        let (option, reason) = reason_of(&error);
        assert_eq!(option, "tls authorities");
        assert!(reason.starts_with("Text(..): ") && !reason.contains("hush"), "{reason}");
    }
}
