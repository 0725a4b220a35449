//! Sends requests, within limits of time and size.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carrot::config::Secret;
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::exit::{CommandFailure, Result};
use crate::http::HttpAnswer;

/// The most bytes of an answer. A page of queues has about 100 KB.
const LARGEST_ANSWER: u64 = 64 << 20;

/// A client of one server.
#[derive(Debug)]
pub(crate) struct HttpClient {
    agent: Agent,
    base: String,
    /// The value of the header `Authorization`.
    authorization: Secret,
    /// Where the server usually is, for an answer that is no HTTP.
    usual: &'static str,
}

impl HttpClient {
    /// `base` is the beginning of each URL. `timeout` limits each request, from its name lookup to
    /// the end of its answer. `authorities` are files with the certificates that https: trusts, in
    /// place of those of the system.
    pub(crate) fn new(
        base: &str,
        authorization: Secret,
        usual: &'static str,
        timeout: Duration,
        authorities: &[PathBuf],
    ) -> Result<HttpClient> {
        let mut config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            // The password goes to no other host: neither to a proxy, nor after a redirect.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("carrot/", env!("CARGO_PKG_VERSION")));
        if base.starts_with("https:") {
            let mut trusted = Vec::new();
            for path in authorities {
                trusted.append(&mut certificates_of(path)?);
            }
            if authorities.is_empty() {
                let certificates = rustls_native_certs::load_native_certs().certs;
                trusted
                    .extend(certificates.iter().map(|der| Certificate::from_der(der).to_owned()));
            }
            let roots = RootCerts::Specific(Arc::new(trusted));
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let agent = config.build().new_agent();
        Ok(HttpClient { agent, base: base.into(), authorization, usual })
    }

    /// The beginning of each URL.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn get(&self, path: &str) -> Result<HttpAnswer> {
        let request = self.agent.get(format!("{}{path}", self.base));
        self.read(request.header("authorization", self.authorization.reveal()).call())
    }

    /// Sends a body of JSON.
    pub(crate) fn post(&self, path: &str, body: &str) -> Result<HttpAnswer> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = request.header("authorization", self.authorization.reveal());
        self.read(request.header("content-type", "application/json").send(body))
    }

    fn read(
        &self,
        answer: std::result::Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<HttpAnswer> {
        let mut answer = answer.map_err(|error| self.failure(&error))?;
        let body = answer.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec();
        let body = body.map_err(|error| self.failure(&error))?;
        Ok(HttpAnswer { status: answer.status().as_u16(), body })
    }

    /// The failure for an answer that is not understood.
    pub(crate) fn unexpected(&self, reason: &str) -> CommandFailure {
        CommandFailure::other(format!("{}: {}", self.base, reason))
    }

    fn failure(&self, error: &ureq::Error) -> CommandFailure {
        let mut text = format!("{}: {error}", self.base);
        if text.contains("invalid peer certificate") {
            text.push_str(
                ": the option cacertfile of the URL names the file of a private authority",
            );
        }
        match error {
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::Rustls(_)
            | ureq::Error::Tls(_) => CommandFailure::unreachable(text),
            ureq::Error::Timeout(_) => CommandFailure::late(text),
            ureq::Error::BodyExceedsLimit(_) => {
                self.unexpected(&format!("the answer has more than {} MiB", LARGEST_ANSWER >> 20))
            }
            ureq::Error::Io(error) if error.kind() == ErrorKind::TimedOut => {
                CommandFailure::late(text)
            }
            ureq::Error::Io(_) => CommandFailure::unreachable(text),
            ureq::Error::Protocol(_) | ureq::Error::Http(_) => {
                CommandFailure::other(format!("{text}: {}", self.usual))
            }
            _ => CommandFailure::other(text),
        }
    }
}

/// Reads the certificates of a file.
fn certificates_of(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let failed = |reason: &str| {
        let path = path.display();
        CommandFailure::input(format!("cacertfile {path} of the management API: {reason}"))
    };
    let pem = std::fs::read(path).map_err(|error| failed(&error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| failed("is no PEM file"))? {
            certificates.push(certificate);
        }
    }
    match certificates.is_empty() {
        true => Err(failed("has no certificate")),
        false => Ok(certificates),
    }
}
