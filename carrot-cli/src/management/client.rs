//! Asks a management API.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::exit::{CommandFailure, Result};
use crate::http::{HttpAnswer, HttpClient};
use crate::inspection::{EntityKind, Inspection, VhostScope};
use crate::management::ManagementUrl;

/// The entries of one page, the most that RabbitMQ 4 allows.
const PAGE: usize = 500;
/// The most entries of a listing.
const MOST_ENTRIES: usize = 1_000_000;
const USUAL: &str = "the port of the management API is usually 15672";

/// A client of a management API, as one user.
#[derive(Debug)]
pub(crate) struct ManagementClient {
    http: HttpClient,
    user: String,
}

impl ManagementClient {
    /// `timeout` limits each request.
    pub(crate) fn new(url: ManagementUrl, timeout: Duration) -> Result<ManagementClient> {
        let login = format!("{}:{}", url.user, url.password.reveal());
        let authorization = format!("Basic {}", STANDARD.encode(login)).into();
        let http = HttpClient::new(&url.base, authorization, USUAL, timeout, &url.authorities)?;
        Ok(ManagementClient { http, user: url.user })
    }

    pub(crate) fn base(&self) -> &str {
        self.http.base()
    }

    /// Returns the JSON at a path behind `/api/`. `scope` is named in a refusal.
    pub(crate) fn look(&self, scope: &VhostScope, path: &str) -> Result<Value> {
        let answer = self.http.get(&format!("/api/{path}"))?;
        self.json_of(scope, &answer)
    }

    /// Returns the status and the body at a path behind `/api/`.
    pub(crate) fn ask(&self, path: &str) -> Result<HttpAnswer> {
        self.http.get(&format!("/api/{path}"))
    }

    /// Returns the pages of a listing.
    fn pages(&self, scope: &VhostScope, path: &str, columns: &str) -> Result<Vec<Value>> {
        let mut entries = Vec::new();
        for page in 1.. {
            let query = format!("?page={page}&page_size={PAGE}&columns={columns}");
            let answer = self.ask(&format!("{path}{query}"))?;
            if page > 1 && answer.status == 400 {
                // Entries were deleted meanwhile, and this page with them.
                break;
            }
            match self.json_of(scope, &answer)? {
                // Bindings have no pages.
                Value::Array(all) => entries = all,
                Value::Object(mut answer) => {
                    let pages = answer.get("page_count").and_then(Value::as_u64);
                    let Some(Value::Array(items)) = answer.remove("items") else {
                        return Err(self.http.unexpected("the answer has no items"));
                    };
                    let is_last = items.is_empty() || pages.is_none_or(|pages| pages <= page);
                    entries.extend(items);
                    if !is_last && entries.len() < MOST_ENTRIES {
                        continue;
                    }
                }
                _ => return Err(self.http.unexpected("the answer is no list")),
            }
            break;
        }
        if entries.len() >= MOST_ENTRIES {
            let reason = format!("the listing has over {MOST_ENTRIES} entries");
            return Err(self.http.unexpected(&reason));
        }
        Ok(entries)
    }

    /// Returns the JSON of an answer that has to be a success.
    pub(crate) fn json_of(&self, scope: &VhostScope, answer: &HttpAnswer) -> Result<Value> {
        if !answer.is_success() {
            return Err(self.refusal(scope, answer));
        }
        answer.json().map_err(|reason| self.http.unexpected(&reason))
    }

    /// The failure for an answer with another status.
    fn refusal(&self, scope: &VhostScope, answer: &HttpAnswer) -> CommandFailure {
        let user = &self.user;
        let base = self.base();
        let reason = answer.reason();
        let (vhost, on_vhost) = match scope {
            VhostScope::One(vhost) => {
                let on_vhost = format!(", or permissions on virtual host {vhost:?}");
                (format!("has no virtual host {vhost:?}, or "), on_vhost)
            }
            VhostScope::All => Default::default(),
        };
        match answer.status {
            401 => CommandFailure::refused(format!(
                "{base} refuses user {user:?}: the password is wrong, or the user lacks a tag \
                 such as monitoring{on_vhost}{reason}"
            )),
            403 => CommandFailure::refused(format!("{base} refuses user {user:?}{reason}")),
            404 => CommandFailure::different(format!("{base} {vhost}is no management API{reason}")),
            status => self.http.unexpected(&format!("the status is {status}{reason}")),
        }
    }
}

impl Inspection for ManagementClient {
    fn list(&self, scope: &VhostScope, kind: EntityKind, fields: &[&str]) -> Result<Vec<Value>> {
        let listing = match kind {
            EntityKind::Queues => "queues",
            EntityKind::Exchanges => "exchanges",
            EntityKind::Bindings => "bindings",
            EntityKind::Connections => "connections",
        };
        let path = match (scope, kind) {
            (VhostScope::All, _) => listing.to_string(),
            (VhostScope::One(vhost), EntityKind::Connections) => {
                format!("vhosts/{}/connections", in_path(vhost))
            }
            (VhostScope::One(vhost), _) => format!("{listing}/{}", in_path(vhost)),
        };
        let vhost = matches!(scope, VhostScope::All).then_some("vhost");
        let columns: Vec<_> = fields.iter().copied().chain(vhost).collect();
        self.pages(scope, &path, &columns.join(","))
    }

    fn definitions(&self, scope: &VhostScope) -> Result<Map<String, Value>> {
        let VhostScope::One(vhost) = scope else {
            let overview = self.look(scope, "overview?columns=rabbitmq_version")?;
            let mut vhosts = self.look(scope, "vhosts")?;
            for vhost in vhosts.as_array_mut().into_iter().flatten() {
                if let Value::Object(vhost) = vhost {
                    // The other fields are statistics. The metadata has the default queue type.
                    vhost.retain(|name, _| matches!(&**name, "name" | "metadata"));
                }
            }
            return Ok(Map::from_iter([
                ("rabbit_version".into(), overview.get("rabbitmq_version").cloned().into()),
                ("vhosts".into(), vhosts),
                ("policies".into(), self.look(scope, "policies")?),
            ]));
        };
        let definitions = self.look(scope, &format!("definitions/{}", in_path(vhost)))?;
        let kept = ["rabbit_version", "policies"]
            .map(|name| (name.into(), definitions.get(name).cloned().unwrap_or(json!(null))));
        Ok(kept.into_iter().collect())
    }
}

/// Returns a name as a part of a path.
pub(crate) fn in_path(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}
