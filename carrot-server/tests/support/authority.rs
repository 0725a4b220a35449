//! Certificates for tests.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// An authority that signs certificates.
pub(crate) struct TestAuthority {
    pub(crate) certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, in PEM.
pub(crate) struct TestIdentity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl TestAuthority {
    pub(crate) fn new() -> TestAuthority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap().pem();
        TestAuthority { certificate, issuer: Issuer::new(params, key) }
    }

    /// Issues the certificate of a server at 127.0.0.1.
    pub(crate) fn server(&self) -> TestIdentity {
        self.server_named("127.0.0.1")
    }

    /// Issues the certificate of a server at 127.0.0.1 that has expired.
    pub(crate) fn expired_server(&self) -> TestIdentity {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_string()]).unwrap();
        (params.not_before, params.not_after) =
            (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues the certificate of a server of this name.
    pub(crate) fn server_named(&self, name: &str) -> TestIdentity {
        let params = CertificateParams::new(vec![name.to_string()]).unwrap();
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues the certificate of a client with this common name.
    pub(crate) fn client(&self, name: &str) -> TestIdentity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "the shop");
        params.distinguished_name.push(DnType::CommonName, name);
        self.issue(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> TestIdentity {
        let key = KeyPair::generate().unwrap();
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        TestIdentity { certificate, key: key.serialize_pem() }
    }
}
