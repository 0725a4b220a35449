//! The entities of a broker that a topology can hold.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::exit::Result;
use crate::inspection::{EntityKind, Inspection, VhostScope, text_of};
use crate::name_pattern::matches_any;

/// Returns the lists of definitions with everything that AMQP can declare.
///
/// RabbitMQ's own definitions lack internal exchanges, from 4.0 on.
pub(super) fn listed(
    inspection: &dyn Inspection,
    scope: &VhostScope,
) -> Result<Map<String, Value>> {
    let exchanges = ["name", "type", "durable", "auto_delete", "internal", "arguments"];
    let queues = ["name", "durable", "auto_delete", "exclusive", "arguments"];
    let bindings = ["source", "destination", "destination_type", "routing_key", "arguments"];
    let list = |kind, fields: &[&str]| -> Result<Vec<Value>> {
        let mut entries = inspection.list(scope, kind, fields)?;
        entries.iter_mut().for_each(|entry| keep(entry, fields));
        Ok(entries)
    };
    Ok(declarable(
        list(EntityKind::Exchanges, &exchanges)?,
        list(EntityKind::Queues, &queues)?,
        list(EntityKind::Bindings, &bindings)?,
    ))
}

/// Removes all fields but these and the virtual host.
fn keep(entry: &mut Value, fields: &[&str]) {
    if let Value::Object(entry) = entry {
        entry.retain(|name, _| name == "vhost" || fields.contains(&&**name));
    }
}

/// Leaves out entities of the broker and of single connections, and their bindings.
fn declarable(
    mut exchanges: Vec<Value>,
    mut queues: Vec<Value>,
    mut bindings: Vec<Value>,
) -> Map<String, Value> {
    let name = |entry: &Value| text_of(entry, "name").to_string();
    let in_vhost = |entry: &Value, field| {
        (text_of(entry, "vhost").to_string(), text_of(entry, field).to_string())
    };
    let is_own = |name: &str| name.starts_with("amq.") || name.is_empty();
    // Those of the broker are in every virtual host, so bindings can name them.
    let all_exchanges: HashSet<_> = exchanges.iter().map(|entry| in_vhost(entry, "name")).collect();
    exchanges.retain(|exchange| !is_own(&name(exchange)));
    queues.retain(|queue| {
        let is_exclusive = queue.get("exclusive").and_then(Value::as_bool).unwrap_or(false);
        !is_exclusive && !is_own(&name(queue))
    });
    for queue in &mut queues {
        if let Value::Object(fields) = queue {
            fields.remove("exclusive");
        }
    }
    let kept_queues: HashSet<_> = queues.iter().map(|entry| in_vhost(entry, "name")).collect();
    bindings.retain(|binding| {
        let (source, destination) = (in_vhost(binding, "source"), in_vhost(binding, "destination"));
        let has_destination = match text_of(binding, "destination_type") {
            "queue" => kept_queues.contains(&destination),
            _ => all_exchanges.contains(&destination),
        };
        !source.1.is_empty() && all_exchanges.contains(&source) && has_destination
    });
    let lists = [("exchanges", exchanges), ("queues", queues), ("bindings", bindings)];
    lists.into_iter().map(|(name, entries)| (name.to_string(), entries.into())).collect()
}

/// Keeps the queues whose names match, the bindings that lead to them, also through other
/// exchanges, and the exchanges of these bindings. Keeps everything without patterns.
pub(super) fn leading_to(mut lists: Map<String, Value>, patterns: &[String]) -> Map<String, Value> {
    if patterns.is_empty() {
        return lists;
    }
    let mut entries = |name: &str| match lists.remove(name) {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    };
    let (mut exchanges, mut queues) = (entries("exchanges"), entries("queues"));
    let mut bindings = entries("bindings");
    queues.retain(|queue| matches_any(patterns, text_of(queue, "name")));
    let id = |entry: &Value, kind: &str, field: &str| {
        (kind.to_string(), text_of(entry, "vhost").to_string(), text_of(entry, field).to_string())
    };
    let mut reached: HashSet<_> = queues.iter().map(|queue| id(queue, "queue", "name")).collect();
    let mut kept = Vec::new();
    loop {
        let is_reached = |binding: &Value| {
            reached.contains(&id(binding, text_of(binding, "destination_type"), "destination"))
        };
        let (new, others): (Vec<_>, Vec<_>) = bindings.into_iter().partition(is_reached);
        bindings = others;
        if new.is_empty() {
            break;
        }
        reached.extend(new.iter().map(|binding| id(binding, "exchange", "source")));
        kept.extend(new);
    }
    exchanges.retain(|exchange| reached.contains(&id(exchange, "exchange", "name")));
    let lists = [("exchanges", exchanges), ("queues", queues), ("bindings", kept)];
    lists.into_iter().map(|(name, entries)| (name.to_string(), entries.into())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entities_of_the_broker_and_of_connections_are_left_out() {
        let binding = |source: &str, destination: &str, kind: &str| json!({"source": source, "destination": destination, "destination_type": kind});
        let lists = declarable(
            vec![json!({"name": ""}), json!({"name": "amq.topic"}), json!({"name": "own"})],
            vec![
                json!({"name": "jobs", "exclusive": false}),
                json!({"name": "private", "exclusive": true}),
                json!({"name": "amq.gen-x"}),
            ],
            vec![
                binding("", "jobs", "queue"),
                binding("amq.topic", "jobs", "queue"),
                binding("own", "amq.topic", "exchange"),
                binding("own", "private", "queue"),
                binding("own", "amq.gen-x", "queue"),
                binding("own", "gone", "exchange"),
                binding("gone", "jobs", "queue"),
            ],
        );
        assert_eq!(lists["exchanges"], json!([{"name": "own"}]));
        assert_eq!(lists["queues"], json!([{"name": "jobs"}]));
        let kept = [binding("amq.topic", "jobs", "queue"), binding("own", "amq.topic", "exchange")];
        assert_eq!(lists["bindings"], json!(kept));
    }

    #[test]
    fn names_of_other_virtual_hosts_are_no_destinations() {
        let binding = |vhost: &str| json!({"vhost": vhost, "source": "own", "destination": "jobs", "destination_type": "queue"});
        let lists = declarable(
            vec![json!({"vhost": "a", "name": "own"}), json!({"vhost": "b", "name": "own"})],
            vec![json!({"vhost": "b", "name": "jobs"})],
            vec![binding("a"), binding("b")],
        );
        assert_eq!(lists["bindings"], json!([binding("b")]));
        assert_eq!(lists["queues"], json!([{"vhost": "b", "name": "jobs"}]));
    }

    #[test]
    fn queues_are_kept_with_what_leads_to_them() {
        let named = |names: &[&str]| -> Value {
            names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>().into()
        };
        let binding = |source: &str, destination: &str, kind: &str| json!({"source": source, "destination": destination, "destination_type": kind});
        let all = json!({
            "exchanges": named(&["first", "inner", "other", "jobs"]),
            "queues": named(&["jobs", "jobs.dead", "mail"]),
            "bindings": [
                binding("first", "inner", "exchange"), binding("inner", "first", "exchange"),
                binding("inner", "jobs", "queue"), binding("other", "mail", "queue"),
                binding("other", "jobs", "exchange"),
            ],
        });
        let Value::Object(all) = all else { return };
        let kept = leading_to(all.clone(), &["jobs".into()]);
        assert_eq!(kept["exchanges"], named(&["first", "inner"]));
        assert_eq!(kept["queues"], named(&["jobs"]));
        assert_eq!(kept["bindings"].as_array().map(Vec::len), Some(3));
        let kept = leading_to(all.clone(), &["jobs*".into()]);
        assert_eq!(kept["queues"], named(&["jobs", "jobs.dead"]));
        assert_eq!(leading_to(all.clone(), &[]), all);
    }
}
