//! A message as one line of JSON, which keeps everything that a publisher can set.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use carrot::backend::Content;
use carrot::message::Properties;
use serde::{Deserialize, Serialize};

use crate::escaping;
use crate::exit::{CommandFailure, Result};

/// A message that `consume --json` prints, and `publish --json-lines` reads.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageRecord {
    #[serde(default)]
    pub(crate) exchange: String,
    #[serde(default)]
    pub(crate) routing_key: String,
    /// Whether the message may have been delivered before. Not published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) redelivered: bool,
    #[serde(default)]
    pub(crate) properties: Properties,
    /// A body that is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// Any other body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl MessageRecord {
    pub(crate) fn of_content(content: &Content) -> MessageRecord {
        let text = str::from_utf8(&content.body).ok().map(str::to_string);
        MessageRecord {
            exchange: content.exchange.to_string(),
            routing_key: content.routing_key.to_string(),
            redelivered: false,
            properties: content.properties.clone(),
            body_base64: text.is_none().then(|| STANDARD.encode(&content.body)),
            body: text,
        }
    }

    pub(crate) fn body(&self) -> Result<Vec<u8>> {
        match (&self.body, &self.body_base64) {
            (Some(text), None) => Ok(text.as_bytes().to_vec()),
            (None, Some(text)) => STANDARD.decode(text).map_err(|error| {
                CommandFailure::input(format!("body_base64 is not Base64: {error}"))
            }),
            (None, None) => Ok(Vec::new()),
            (Some(_), Some(_)) => {
                Err(CommandFailure::input("body and body_base64 exclude each other"))
            }
        }
    }

    /// Returns the line of JSON.
    pub(crate) fn line(&self) -> Result<String> {
        let line = serde_json::to_string(self);
        line.map(|line| escaping::json(&line)).map_err(|error| {
            CommandFailure::other(format!("a message cannot be written as JSON: {error}"))
        })
    }

    /// Reads a line of JSON.
    pub(crate) fn read(line: &str) -> Result<MessageRecord> {
        serde_json::from_str(line).map_err(|error| CommandFailure::input(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    #[test]
    fn record_of_octets_that_are_no_text_is_base64() {
        let record = MessageRecord::read(r#"{"body_base64":"/wA="}"#).unwrap();
        assert_eq!(record.body().unwrap(), b"\xff\0");
        assert_eq!(MessageRecord::read(r#"{"body":"a"}"#).unwrap().body().unwrap(), b"a");
        let both = MessageRecord::read(r#"{"body":"a","body_base64":"YQ=="}"#).unwrap();
        assert!(both.body().is_err());
        let error = MessageRecord::read(r#"{"bodi":"a"}"#).unwrap_err().to_string();
        assert!(error.starts_with("unknown field `bodi`"), "{error}");
    }
}
