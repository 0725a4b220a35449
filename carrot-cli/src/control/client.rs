//! Asks a control interface.

use std::time::Duration;

use carrot::config::Secret;
use serde_json::{Map, Value, json};

use crate::control::{ControlUrl, entries};
use crate::exit::{CommandFailure, Result};
use crate::http::{HttpAnswer, HttpClient};
use crate::inspection::{EntityKind, Inspection, VhostScope};

const USUAL: &str = "carrot serve prints the URL of its control interface";

/// A client of the control interface of a hosted broker.
#[derive(Debug)]
pub(crate) struct HostedControl {
    http: HttpClient,
}

impl HostedControl {
    /// `timeout` limits each request.
    pub(crate) fn new(
        url: &ControlUrl,
        token: &Secret,
        timeout: Duration,
    ) -> Result<HostedControl> {
        let authorization = format!("Bearer {}", token.reveal()).into();
        Ok(HostedControl { http: HttpClient::new(&url.base, authorization, USUAL, timeout, &[])? })
    }

    /// Carries out an operation, and returns one field of its result.
    fn call(&self, operation: &str, vhost: Option<&str>, field: &str) -> Result<Value> {
        let fields = vhost.map_or(json!({}), |vhost| json!({ "vhost": vhost }));
        let answer = self.http.post(&format!("/{operation}"), &fields.to_string())?;
        if !answer.is_success() {
            return Err(self.refusal(vhost, &answer));
        }
        let mut result = answer.json().map_err(|reason| self.http.unexpected(&reason))?;
        match result.get_mut(field).map(Value::take) {
            Some(value) => Ok(value),
            None => Err(self.http.unexpected(&format!("the answer has no {field}"))),
        }
    }

    /// Carries out an operation that returns a list of the same name.
    fn entries(&self, operation: &str, vhost: Option<&str>) -> Result<Vec<Value>> {
        match self.call(operation, vhost, operation)? {
            Value::Array(entries) => Ok(entries),
            _ => Err(self.http.unexpected("the answer is no list")),
        }
    }

    fn vhosts(&self) -> Result<Vec<String>> {
        let vhosts = self.entries("vhosts", None)?;
        Ok(vhosts.iter().filter_map(Value::as_str).map(str::to_string).collect())
    }

    fn refusal(&self, vhost: Option<&str>, answer: &HttpAnswer) -> CommandFailure {
        let base = self.http.base();
        let reason = answer.reason();
        match (answer.status, vhost) {
            (401, _) => CommandFailure::refused(format!(
                "{base} refuses the token: each start of the broker has a token of its own{reason}"
            )),
            (404, Some(vhost)) => CommandFailure::different(format!(
                "{base} has no virtual host {vhost:?}, or is no control interface{reason}"
            )),
            (status, _) => self.http.unexpected(&format!(
                "the status is {status}, which a control interface does not have here{reason}"
            )),
        }
    }

    fn list_of(&self, vhost: &str, kind: EntityKind) -> Result<Vec<Value>> {
        let (operation, form): (_, fn(&Value) -> Value) = match kind {
            EntityKind::Queues => ("queues", entries::queue),
            EntityKind::Exchanges => ("exchanges", entries::exchange),
            EntityKind::Bindings => ("bindings", entries::binding),
            EntityKind::Connections => ("connections", entries::connection),
        };
        Ok(self.entries(operation, Some(vhost))?.iter().map(form).collect())
    }
}

impl Inspection for HostedControl {
    fn list(&self, scope: &VhostScope, kind: EntityKind, _: &[&str]) -> Result<Vec<Value>> {
        let vhosts = match scope {
            VhostScope::One(vhost) => return self.list_of(vhost, kind),
            VhostScope::All => self.vhosts()?,
        };
        let mut all = Vec::new();
        for vhost in vhosts {
            let mut entries = self.list_of(&vhost, kind)?;
            for entry in &mut entries {
                entry["vhost"] = vhost.as_str().into();
            }
            all.append(&mut entries);
        }
        Ok(all)
    }

    fn definitions(&self, scope: &VhostScope) -> Result<Map<String, Value>> {
        let mut definitions = Map::new();
        let vhost = match scope {
            VhostScope::One(vhost) => Some(vhost.clone()),
            VhostScope::All => {
                let vhosts = self.vhosts()?;
                let named: Vec<_> = vhosts.iter().map(|name| json!({ "name": name })).collect();
                definitions.insert("vhosts".into(), named.into());
                vhosts.into_iter().next()
            }
        };
        let release = self.call("statistics", vhost.as_deref(), "release")?;
        definitions.insert("rabbit_version".into(), release);
        definitions.insert("policies".into(), json!([]));
        Ok(definitions)
    }
}
