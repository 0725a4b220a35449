//! HTTP, by which a broker lists what AMQP cannot.

mod address;
#[cfg(feature = "management")]
mod client;
#[cfg(not(feature = "management"))]
#[path = "no_client.rs"]
mod client;

use serde_json::Value;

pub(crate) use address::is_address;
pub(crate) use client::HttpClient;

/// The longest reason of a refusal, in characters.
const LONGEST_REASON: usize = 200;

/// The status and the body of an answer.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl HttpAnswer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the body, which has to be JSON.
    ///
    /// # Errors
    /// The reason why it is none.
    pub(crate) fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body)
            .map_err(|error| format!("the answer is no JSON: {error}"))
    }

    /// Returns the reason in the body of a refusal, cut, after a colon.
    pub(crate) fn reason(&self) -> String {
        let body = serde_json::from_slice::<Value>(&self.body).unwrap_or_default();
        let reason = ["reason", "error"].iter().find_map(|name| body.get(*name)?.as_str());
        reason.map_or_else(String::new, |reason| {
            format!(": {}", reason.chars().take(LONGEST_REASON).collect::<String>())
        })
    }
}
