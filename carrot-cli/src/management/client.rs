//! Asks a management API over HTTP.

use std::io::ErrorKind;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::escaping;
use crate::exit::{CommandFailure, Result};
use crate::management::ManagementUrl;

/// The entries of one page, the most that RabbitMQ 4 allows.
const PAGE: usize = 500;
/// The most bytes of an answer. A page of queues has about 100 KB.
const LARGEST_ANSWER: u64 = 64 << 20;
/// The most entries of a listing.
const MOST_ENTRIES: usize = 1_000_000;

/// A client of one virtual host.
#[derive(Debug)]
pub(crate) struct ManagementClient {
    agent: Agent,
    url: ManagementUrl,
    vhost: String,
}

impl ManagementClient {
    /// `timeout` limits each request, from its name lookup to the end of its answer.
    pub(crate) fn new(
        url: ManagementUrl,
        vhost: &str,
        timeout: Duration,
    ) -> Result<ManagementClient> {
        let mut config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            // The password goes to no other host: neither to a proxy, nor after a redirect.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("carrot/", env!("CARGO_PKG_VERSION")));
        if url.base.starts_with("https:") {
            let certificates = rustls_native_certs::load_native_certs().certs;
            let certificates = certificates.iter().map(|der| Certificate::from_der(der).to_owned());
            let roots = RootCerts::Specific(std::sync::Arc::new(certificates.collect()));
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let agent = config.build().new_agent();
        Ok(ManagementClient { agent, url, vhost: vhost.into() })
    }

    /// Returns all entries of a listing of the virtual host, with these columns.
    pub(crate) fn list(&self, listing: &str, columns: &[&str]) -> Result<Vec<Value>> {
        let vhost = utf8_percent_encode(&self.vhost, NON_ALPHANUMERIC);
        let path = match listing {
            "connections" => format!("/api/vhosts/{vhost}/connections"),
            _ => format!("/api/{listing}/{vhost}"),
        };
        let columns = columns.join(",");
        let mut entries = Vec::new();
        for page in 1.. {
            let query = format!("?page={page}&page_size={PAGE}&columns={columns}");
            let (status, body) = self.ask(&format!("{path}{query}"))?;
            if page > 1 && status == StatusCode::BAD_REQUEST {
                // Entries were deleted meanwhile, and this page with them.
                break;
            }
            match self.answer(status, &body)? {
                // Bindings have no pages.
                Value::Array(all) => entries = all,
                Value::Object(mut answer) => {
                    let pages = answer.get("page_count").and_then(Value::as_u64);
                    let Some(Value::Array(items)) = answer.remove("items") else {
                        return Err(self.unexpected("the answer has no items"));
                    };
                    let is_last = items.is_empty() || pages.is_none_or(|pages| pages <= page);
                    entries.extend(items);
                    if !is_last && entries.len() < MOST_ENTRIES {
                        continue;
                    }
                }
                _ => return Err(self.unexpected("the answer is no list")),
            }
            break;
        }
        if entries.len() >= MOST_ENTRIES {
            return Err(self.unexpected(&format!("the listing has over {MOST_ENTRIES} entries")));
        }
        Ok(entries)
    }

    /// Returns the definitions of the virtual host.
    pub(crate) fn definitions(&self) -> Result<Value> {
        let vhost = utf8_percent_encode(&self.vhost, NON_ALPHANUMERIC);
        let (status, body) = self.ask(&format!("/api/definitions/{vhost}"))?;
        self.answer(status, &body)
    }

    /// Returns the status and the body.
    fn ask(&self, path: &str) -> Result<(StatusCode, Vec<u8>)> {
        let login = format!("{}:{}", self.url.user, self.url.password.reveal());
        let mut answer = self
            .agent
            .get(format!("{}{path}", self.url.base))
            .header("authorization", format!("Basic {}", STANDARD.encode(login)))
            .call()
            .map_err(|error| self.failure(&error))?;
        let body = answer.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec();
        Ok((answer.status(), body.map_err(|error| self.failure(&error))?))
    }

    fn answer(&self, status: StatusCode, body: &[u8]) -> Result<Value> {
        if !status.is_success() {
            return Err(self.refusal(status, &reason_of(body)));
        }
        serde_json::from_slice(body)
            .map_err(|error| self.unexpected(&format!("the answer is no JSON: {error}")))
    }

    /// The failure for an answer with another status.
    fn refusal(&self, status: StatusCode, reason: &str) -> CommandFailure {
        let user = escaping::line(&self.url.user);
        let vhost = escaping::line(&self.vhost);
        let base = &self.url.base;
        match status {
            StatusCode::UNAUTHORIZED => CommandFailure::refused(format!(
                "{base} refuses user \"{user}\": the password is wrong, or the user lacks a tag \
                 such as monitoring, or permissions on virtual host \"{vhost}\"{reason}"
            )),
            StatusCode::FORBIDDEN => {
                CommandFailure::refused(format!("{base} refuses user \"{user}\"{reason}"))
            }
            StatusCode::NOT_FOUND => CommandFailure::different(format!(
                "{base} has no virtual host \"{vhost}\", or is no management API{reason}"
            )),
            _ => self.unexpected(&format!("the status is {status}{reason}")),
        }
    }

    fn unexpected(&self, reason: &str) -> CommandFailure {
        CommandFailure::other(format!("{}: {}", self.url.base, escaping::line(reason)))
    }

    fn failure(&self, error: &ureq::Error) -> CommandFailure {
        let text = format!("{}: {}", self.url.base, escaping::line(&error.to_string()));
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
            ureq::Error::Protocol(_) | ureq::Error::Http(_) => CommandFailure::other(format!(
                "{text}: the port of the management API is usually 15672"
            )),
            _ => CommandFailure::other(text),
        }
    }
}

/// The reason in the body of a refusal, cut and escaped, after a colon.
fn reason_of(body: &[u8]) -> String {
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    match body.get("reason").and_then(Value::as_str) {
        Some(reason) => {
            format!(": {}", escaping::line(&reason.chars().take(200).collect::<String>()))
        }
        None => String::new(),
    }
}
