//! The body and the properties of a message, as arguments.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use carrot::message::{DeliveryMode, Properties, Value};
use clap::Args;

use crate::broker_arguments::seconds;
use crate::exit::{CommandFailure, Result};

/// A header or an argument with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamedValue {
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// Parses `NAME=TEXT`, or `NAME:=JSON` for other types.
pub(crate) fn named_value(text: &str) -> std::result::Result<NamedValue, String> {
    let (name, value) = text.split_once('=').ok_or("has no =")?;
    let (name, value) = match name.strip_suffix(':') {
        Some(name) => {
            let value = serde_json::from_str(value).map_err(|error| format!("is no JSON: {error}"));
            (name, value?)
        }
        None => (name, Value::from(value)),
    };
    if name.is_empty() || name.len() > 255 {
        return Err(format!("the name has {} bytes, and needs 1 to 255", name.len()));
    }
    Ok(NamedValue { name: name.into(), value })
}

/// Parses the name of a queue or an exchange.
pub(crate) fn entity_name(text: &str) -> std::result::Result<String, String> {
    match text.len() {
        1..=255 => Ok(text.into()),
        length => Err(format!("the name has {length} bytes, and needs 1 to 255")),
    }
}

/// The body of one message.
#[derive(Debug, Clone, Args)]
pub(crate) struct BodyArguments {
    /// Body of the message. Defaults to the standard input. A body that is read has at most as many
    /// bytes as the option max_message_size of the URL allows: 134217728 (128 MiB) by default
    pub(crate) body: Option<String>,
    /// File with the body
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    pub(crate) file: Option<PathBuf>,
}

impl BodyArguments {
    /// Returns the body. A file or the standard input is read up to the limit in bytes.
    ///
    /// # Errors
    /// The body cannot be read, or exceeds the limit.
    pub(crate) fn read(&self, limit: u64) -> Result<Vec<u8>> {
        if let Some(body) = &self.body {
            return Ok(body.clone().into_bytes());
        }
        let (name, read) = match &self.file {
            Some(path) => {
                let read = File::open(path).map_err(|error| error.to_string());
                (format!("--file {}", path.display()), read.and_then(|file| read_body(file, limit)))
            }
            None => ("the standard input".into(), read_body(io::stdin().lock(), limit)),
        };
        read.map_err(|reason| CommandFailure::input(format!("{name}: {reason}")))
    }
}

/// Reads a body up to its limit.
fn read_body(input: impl Read, limit: u64) -> std::result::Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let read = input.take(limit.saturating_add(1)).read_to_end(&mut body);
    read.map_err(|error| error.to_string())?;
    if body.len() as u64 > limit {
        return Err(format!(
            "the body has more than {limit} bytes, the option max_message_size of the URL"
        ));
    }
    Ok(body)
}

/// The properties of each message.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Properties")]
pub(crate) struct PropertyArguments {
    /// Header: NAME=TEXT, or NAME:=JSON. Can be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = named_value)]
    headers: Vec<NamedValue>,
    /// MIME type of the body
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Identifier of the message. Defaults to a random one
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// Identifier that an answer repeats
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// Queue for answers
    #[arg(long, value_name = "QUEUE")]
    reply_to: Option<String>,
    /// Type of the message
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Name of the application
    #[arg(long, value_name = "NAME")]
    app_id: Option<String>,
    /// Priority, 0 to 255
    #[arg(long)]
    priority: Option<u8>,
    /// Seconds after which the message expires in its queue
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    expiration: Option<Duration>,
    /// The message ends with the broker. Messages are persistent otherwise
    #[arg(long)]
    transient: bool,
}

impl PropertyArguments {
    /// Sets the properties that were given.
    pub(crate) fn apply(&self, mut properties: Properties) -> Properties {
        for header in &self.headers {
            properties = properties.with_header(header.name.as_str(), header.value.clone());
        }
        type Set = fn(Properties, &str) -> Properties;
        let strings: [(&Option<String>, Set); 6] = [
            (&self.content_type, |properties, text| properties.with_content_type(text)),
            (&self.message_id, |properties, text| properties.with_message_id(text)),
            (&self.correlation_id, |properties, text| properties.with_correlation_id(text)),
            (&self.reply_to, |properties, text| properties.with_reply_to(text)),
            (&self.kind, |properties, text| properties.with_kind(text)),
            (&self.app_id, |properties, text| properties.with_app_id(text)),
        ];
        for (value, set) in strings {
            if let Some(value) = value {
                properties = set(properties, value);
            }
        }
        if let Some(priority) = self.priority {
            properties = properties.with_priority(priority);
        }
        if let Some(expiration) = self.expiration {
            properties = properties.with_expiration(expiration.as_millis().to_string());
        }
        if self.transient {
            properties = properties.with_delivery_mode(DeliveryMode::Transient);
        }
        properties
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_read_up_to_its_limit() {
        let read = |text: &str| read_body(text.as_bytes(), 3).map(|body| body.len());
        assert_eq!(read(""), Ok(0));
        assert_eq!(read("abc"), Ok(3));
        let reason = "the body has more than 3 bytes, the option max_message_size of the URL";
        assert_eq!(read("abcd"), Err(reason.into()));
    }

    #[test]
    fn named_value_is_text_or_json() {
        let value = |text| named_value(text).map(|named| (named.name, named.value));
        assert_eq!(value("a=1"), Ok(("a".into(), Value::from("1"))));
        assert_eq!(value("a:=1"), Ok(("a".into(), Value::from(1))));
        assert_eq!(value("a="), Ok(("a".into(), Value::from(""))));
        assert_eq!(value("a=b=c"), Ok(("a".into(), Value::from("b=c"))));
        for wrong in ["a", "=1", ":=1", "a:=soon", &format!("{}=1", "x".repeat(256))] {
            assert!(named_value(wrong).is_err(), "{wrong}");
        }
    }
}
