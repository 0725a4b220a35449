//! The table as octets: the body of the table message.
//!
//! The body is a property list of AMQP 0-9-1 with these headers:
//!
//! * `version`: 1;
//! * `id`: a random number, which the table has since its creation;
//! * `revision`: the number of the change;
//! * `exchanges`: tables with `name`, `type`, `durable`, `auto-delete`, `internal`, `arguments`;
//! * `bindings`: tables with `source`, `queue` or `exchange`, `key`, `arguments`;
//! * `queues`: tables with `name` and `arguments`.
//!
//! Arguments are property lists as octets, and are left out if there are none. Unknown entries are
//! skipped. A change that older readers would misread needs another version.

use carrot_amqp_wire::PropertiesRef;
use carrot_core::{Binding, Destination, Exchange, ExchangeKind, Headers, Properties, Value};

use crate::exchanges::routing_definitions::RoutingDefinitions;

/// The version of the octets.
pub(crate) const TABLE_VERSION: i64 = 1;

/// Returns the body of a table message.
///
/// # Errors
/// The text of a limit that a definition exceeds.
pub(crate) fn write_table(definitions: &RoutingDefinitions) -> Result<Vec<u8>, String> {
    let mut exchanges = Vec::new();
    for exchange in definitions.declared_exchanges() {
        exchanges.push(exchange_value(exchange)?);
    }
    let mut bindings = Vec::new();
    for binding in definitions.bindings() {
        bindings.push(binding_value(&binding)?);
    }
    let mut queues = Vec::new();
    for (name, arguments) in &definitions.queues {
        let mut queue = Headers::from([("name", name.as_str())]);
        add_arguments(&mut queue, arguments)?;
        queues.push(Value::Table(queue));
    }
    write_headers(Headers::from([
        ("version", Value::I64(TABLE_VERSION)),
        ("id", Value::I64(definitions.id)),
        ("revision", Value::I64(definitions.revision)),
        ("exchanges", Value::Array(exchanges)),
        ("bindings", Value::Array(bindings)),
        ("queues", Value::Array(queues)),
    ]))
}

fn exchange_value(exchange: &Exchange) -> Result<Value, String> {
    let mut table = Headers::from([
        ("name", Value::from(exchange.name.as_str())),
        ("type", Value::from(exchange.kind.as_str())),
        ("durable", Value::Bool(exchange.durable)),
        ("auto-delete", Value::Bool(exchange.auto_delete)),
        ("internal", Value::Bool(exchange.internal)),
    ]);
    add_arguments(&mut table, &exchange.arguments)?;
    Ok(Value::Table(table))
}

fn binding_value(binding: &Binding) -> Result<Value, String> {
    let (kind, target) = match &binding.destination {
        Destination::Queue(name) => ("queue", name),
        Destination::Exchange(name) => ("exchange", name),
    };
    let mut table = Headers::from([
        ("source", binding.source.as_str()),
        ("key", binding.routing_key.as_str()),
        (kind, target.as_str()),
    ]);
    add_arguments(&mut table, &binding.arguments)?;
    Ok(Value::Table(table))
}

fn add_arguments(table: &mut Headers, arguments: &Headers) -> Result<(), String> {
    if !arguments.is_empty() {
        table.insert("arguments", Value::Bytes(write_headers(arguments.clone())?));
    }
    Ok(())
}

fn write_headers(headers: Headers) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let properties = Properties::new().with_headers(headers);
    PropertiesRef::from(&properties).write(&mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

/// Reads the body of a table message.
///
/// # Errors
/// The reason, without octets of the peer.
pub(crate) fn read_table(octets: &[u8]) -> Result<RoutingDefinitions, String> {
    let table = read_headers(octets)?;
    let version = table.get("version").and_then(Value::as_i64);
    if version != Some(TABLE_VERSION) {
        let version = version.map_or("no version".into(), |number| format!("the version {number}"));
        return Err(format!("it has {version}, and this program reads version {TABLE_VERSION}"));
    }
    let number = |name| table.get(name).and_then(Value::as_i64).unwrap_or_default();
    let (id, revision) = (number("id"), number("revision"));
    let mut definitions = RoutingDefinitions { id, revision, ..RoutingDefinitions::default() };
    for exchange in entries(&table, "exchanges") {
        let exchange = read_exchange(exchange)?;
        if !definitions.add_exchange(exchange) {
            return Err("an exchange has an unknown type".into());
        }
    }
    for binding in entries(&table, "bindings") {
        // A binding of an exchange that does not exist leads nowhere.
        let _ = definitions.routing.bind_named(&read_binding(binding)?);
    }
    for queue in entries(&table, "queues") {
        definitions.queues.insert(text(queue, "name")?, read_arguments(queue)?);
    }
    Ok(definitions)
}

fn entries<'t>(table: &'t Headers, name: &str) -> impl Iterator<Item = &'t Headers> {
    let entries = table.get(name).and_then(Value::as_array).unwrap_or_default();
    entries.iter().filter_map(Value::as_table)
}

fn read_exchange(table: &Headers) -> Result<Exchange, String> {
    let flag = |name| table.get(name) == Some(&Value::Bool(true));
    let kind = ExchangeKind::from(&*text(table, "type")?);
    let mut exchange = Exchange::new(text(table, "name")?, kind);
    exchange.durable = flag("durable");
    exchange.auto_delete = flag("auto-delete");
    exchange.internal = flag("internal");
    exchange.arguments = read_arguments(table)?;
    Ok(exchange)
}

fn read_binding(table: &Headers) -> Result<Binding, String> {
    let (source, key) = (text(table, "source")?, text(table, "key")?);
    let mut binding = match text(table, "queue") {
        Ok(queue) => Binding::queue(source, queue, key),
        Err(_) => Binding::exchange(source, text(table, "exchange")?, key),
    };
    binding.arguments = read_arguments(table)?;
    Ok(binding)
}

fn read_arguments(table: &Headers) -> Result<Headers, String> {
    match table.get("arguments") {
        None => Ok(Headers::new()),
        Some(Value::Bytes(octets)) => read_headers(octets),
        Some(_) => Err("arguments are no octets".into()),
    }
}

fn read_headers(octets: &[u8]) -> Result<Headers, String> {
    let properties = PropertiesRef::read(octets).map_err(|error| error.to_string())?;
    Ok(properties.to_properties().headers().cloned().unwrap_or_default())
}

fn text(table: &Headers, name: &str) -> Result<String, String> {
    let text = table.get(name).and_then(Value::as_str).map(String::from);
    text.ok_or_else(|| format!("a definition has no {name}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn example() -> RoutingDefinitions {
        let numbers = RoutingDefinitions { id: 7, revision: 12, ..RoutingDefinitions::default() };
        let mut definitions = numbers;
        definitions.add_exchange(Exchange::topic("events").transient().alternate_exchange("lost"));
        definitions.add_exchange(Exchange::headers("é").internal().auto_delete());
        let matching = Binding::queue("é", "q", "").argument("x-match", "any");
        for binding in [
            Binding::queue("events", "q", "a.#"),
            Binding::exchange("events", "é", ""),
            matching,
            Binding::queue("amq.topic", "q", "#"),
        ] {
            definitions.routing.bind_named(&binding).unwrap();
        }
        let arguments = Headers::from([("x-message-ttl", Value::I64(5)), ("x-note", "é".into())]);
        definitions.queues.insert("q".into(), arguments);
        definitions
    }

    fn sorted_bindings(definitions: &RoutingDefinitions) -> Vec<String> {
        let mut bindings: Vec<_> =
            definitions.bindings().map(|binding| format!("{binding:?}")).collect();
        bindings.sort();
        bindings
    }

    #[test]
    fn table_is_read_as_written() {
        let written = example();
        let read = read_table(&write_table(&written).unwrap()).unwrap();
        assert_eq!((read.id, read.revision), (7, 12));
        assert_eq!(read.declared_exchanges(), written.declared_exchanges());
        assert_eq!(sorted_bindings(&read), sorted_bindings(&written));
        assert_eq!(sorted_bindings(&read).len(), 4);
        assert_eq!(read.queues, written.queues);
    }

    #[test]
    fn every_cut_is_refused() {
        let written = write_table(&example()).unwrap();
        for end in 0..written.len() {
            assert!(read_table(&written[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn other_version_is_refused_with_both_numbers() {
        let other = write_headers(Headers::from([("version", Value::I64(2))])).unwrap();
        let reason = read_table(&other).unwrap_err();
        assert_eq!(reason, "it has the version 2, and this program reads version 1");
        assert!(
            read_table(&write_headers(Headers::new()).unwrap()).unwrap_err().contains("no version")
        );
    }
}
