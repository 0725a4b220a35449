//! Lists of what a broker has, whichever interface it has for them.

use serde_json::{Map, Value};

use crate::exit::Result;

/// The kinds of entities that are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntityKind {
    Queues,
    Exchanges,
    Bindings,
    Connections,
}

/// The virtual hosts of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VhostScope {
    One(String),
    /// All that the user sees.
    All,
}

/// An interface that lists what AMQP cannot.
///
/// The entries are objects with the fields of RabbitMQ's management API. A field that an interface
/// does not have is missing. Each entry names its `vhost` if all virtual hosts are listed. The
/// message statistics of a queue have a rate (`publish_details.rate`), or a count since the
/// declaration (`publish`).
pub(crate) trait Inspection: Send {
    /// Returns all entities of a kind, with these fields at least. A dot leads into a field.
    fn list(&self, scope: &VhostScope, kind: EntityKind, fields: &[&str]) -> Result<Vec<Value>>;

    /// Returns the fields of definitions that are no exchanges, queues or bindings: the release,
    /// the policies, and the names of all virtual hosts if all are listed.
    fn definitions(&self, scope: &VhostScope) -> Result<Map<String, Value>>;
}

/// Returns a field that is a string. An empty string stands for a missing one.
pub(crate) fn text_of<'e>(entry: &'e Value, field: &str) -> &'e str {
    entry.get(field).and_then(Value::as_str).unwrap_or_default()
}
