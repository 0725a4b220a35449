//! The entries of a control interface in the form of RabbitMQ's management API.

use serde_json::{Map, Value, json};

use crate::inspection::text_of;
use crate::plain_json::untagged;

/// Returns a queue.
pub(super) fn queue(entry: &Value) -> Value {
    let mut queue = kept(entry, &["name", "durable", "exclusive", "auto_delete", "arguments"]);
    let kind = entry.pointer("/arguments/x-queue-type").cloned();
    queue.insert("type".into(), kind.unwrap_or_else(|| "classic".into()));
    for (name, of_control) in [
        ("messages_ready", "ready"),
        ("messages_unacknowledged", "unacked"),
        ("consumers", "consumers"),
    ] {
        queue.insert(name.into(), field(entry, of_control));
    }
    let counts =
        json!({ "publish": field(entry, "published"), "deliver_get": field(entry, "delivered") });
    queue.insert("message_stats".into(), counts);
    queue.into()
}

/// Returns an exchange.
pub(super) fn exchange(entry: &Value) -> Value {
    let fields = ["name", "type", "durable", "auto_delete", "internal", "arguments"];
    kept(entry, &fields).into()
}

/// Returns a binding.
pub(super) fn binding(entry: &Value) -> Value {
    let mut binding = kept(entry, &["source", "routing_key", "arguments"]);
    let (kind, destination) = match entry.pointer("/destination/exchange") {
        Some(exchange) => ("exchange", exchange.clone()),
        None => ("queue", entry.pointer("/destination/queue").cloned().unwrap_or_default()),
    };
    binding.insert("destination".into(), destination);
    binding.insert("destination_type".into(), kind.into());
    binding.into()
}

/// Returns a connection. Its name is that of its client: the interface has no other.
pub(super) fn connection(entry: &Value) -> Value {
    let channels = entry.get("channels").and_then(Value::as_array).map(Vec::len);
    json!({
        "user_provided_name": text_of(entry, "name"),
        "user": field(entry, "user"),
        "channels": channels,
    })
}

fn kept(entry: &Value, fields: &[&str]) -> Map<String, Value> {
    let kept = fields.iter().map(|name| ((*name).to_string(), untagged(field(entry, name))));
    kept.collect()
}

fn field(entry: &Value, name: &str) -> Value {
    entry.get(name).cloned().unwrap_or_default()
}
