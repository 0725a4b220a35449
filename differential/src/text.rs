//! Formats observations as text. The text is the same in every run of a program.

use std::fmt::Write;

use carrot_core::backend::{Content, Outcome};
use carrot_core::{Error, Headers, Value};

/// Formats the kind of an error. Its text is not compared, because each broker has its own.
pub(crate) fn error(error: &Error) -> String {
    match error {
        Error::Config { .. } => "Config".into(),
        Error::Connect { .. } => "Connect".into(),
        Error::Authentication { .. } => "Authentication".into(),
        Error::Disconnected { .. } => "Disconnected".into(),
        Error::Timeout { operation, .. } => format!("Timeout({operation})"),
        Error::Blocked { .. } => "Blocked".into(),
        Error::HardError { .. } => "HardError".into(),
        Error::Unavailable { .. } => "Unavailable".into(),
        Error::NotFound { .. } => "NotFound".into(),
        Error::AccessRefused { .. } => "AccessRefused".into(),
        Error::ResourceLocked { .. } => "ResourceLocked".into(),
        Error::PreconditionFailed { .. } => "PreconditionFailed".into(),
        Error::Refused => "Refused".into(),
        Error::Stale { source } => {
            format!("Stale({})", source.as_deref().map(self::error).unwrap_or_default())
        }
        Error::Cancelled { .. } => "Cancelled".into(),
        Error::Invalid { field, .. } => format!("Invalid({field})"),
        Error::Closed { what } => format!("Closed({what})"),
        other => format!("{other:?}"),
    }
}

/// Formats the outcome of a publication.
pub(crate) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted => "accepted".into(),
        Outcome::Refused => "refused".into(),
        Outcome::Returned { code, text } => format!("returned {code} {text}"),
        other => format!("{other:?}"),
    }
}

/// Formats a message: its body, exchange, routing key and properties.
pub(crate) fn content(content: &Content) -> String {
    let mut text =
        format!("{} exchange={:?} key={:?}", body(content), content.exchange, content.routing_key);
    let properties = &content.properties;
    for (name, value) in properties.strings() {
        let _ = write!(text, " {name}={value:?}");
    }
    if let Some(mode) = properties.delivery_mode() {
        let _ = write!(text, " mode={}", u8::from(mode));
    }
    if let Some(priority) = properties.priority() {
        let _ = write!(text, " priority={priority}");
    }
    if let Some(timestamp) = properties.timestamp() {
        let _ = write!(text, " timestamp={timestamp}");
    }
    if let Some(headers) = properties.headers() {
        let _ = write!(text, " headers={}", table(headers));
    }
    text
}

/// Formats the number of a message in its program, and the length of its padding.
pub(crate) fn body(content: &Content) -> String {
    let text = String::from_utf8_lossy(&content.body);
    let number = text.trim_end_matches('.');
    match text.len() - number.len() {
        0 => number.to_string(),
        padding => format!("{number}+{padding}"),
    }
}

/// Formats a table by name, because the AMQP driver does not keep the order of names.
fn table(headers: &Headers) -> String {
    let mut pairs: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", named_value(name, value)))
        .collect();
    pairs.sort_unstable();
    format!("{{{}}}", pairs.join(", "))
}

/// Formats a value. Replaces the time of a death, which differs between runs.
fn named_value(name: &str, value: &Value) -> String {
    match value {
        Value::Timestamp(_) if name == "time" => "_".into(),
        value => self::value(value),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Array(values) => {
            format!("[{}]", values.iter().map(self::value).collect::<Vec<_>>().join(", "))
        }
        Value::Table(headers) => table(headers),
        Value::String(text) => format!("{text:?}"),
        other => format!("{other:?}"),
    }
}
