//! `carrot topology check`.

use carrot::message::Headers;
use carrot::topology::{Destination, DifferenceKind, Topology};
use carrot::{Binding, Connection};
use serde_json::{Map, Value};

use crate::broker_arguments::BrokerArguments;
use crate::exit::{CommandFailure, Result};
use crate::inspection::{EntityKind, Inspection, VhostScope, text_of};
use crate::plain_json::{is_same, plain_arguments};
use crate::printing::{counted, print_entries, print_line};

/// The longest value in a reason, in characters.
const LONGEST_VALUE: usize = 200;
/// The argument that names the type of a queue. Some releases add it to each declaration.
const QUEUE_TYPE: &str = "x-queue-type";

/// An entity of a file that differs from the broker's.
struct FoundDifference {
    entity: String,
    kind: DifferenceKind,
    reason: String,
}

/// Compares a topology with the broker, and prints the differences.
pub(super) fn run(
    broker: &BrokerArguments,
    connection: &Connection,
    topology: &Topology,
) -> Result<()> {
    // A wrong argument is found before the broker is asked.
    let inspection = broker.inspection()?;
    let check = connection.check(topology)?;
    let mut found: Vec<_> = check
        .differences
        .into_iter()
        .map(|found| FoundDifference {
            entity: found.entity,
            kind: found.kind,
            reason: found.reason,
        })
        .collect();
    let mut note = None;
    match inspection {
        Some(inspection) => {
            let scope = broker.vhosts(false)?;
            compare_arguments(&*inspection, &scope, topology, &mut found)?;
            if !check.unchecked.is_empty() {
                let bindings = inspection.list(&scope, EntityKind::Bindings, &BINDING_FIELDS)?;
                let missing = missing_bindings(&topology.bindings, &check.unchecked, &bindings);
                found.extend(missing);
            }
        }
        None if !check.unchecked.is_empty() => note = Some(note_of(check.unchecked.len())),
        None => {}
    }
    print(broker.json, &found, note.as_deref())
}

const BINDING_FIELDS: [&str; 5] =
    ["source", "destination", "destination_type", "routing_key", "arguments"];

/// Reports how many bindings were not compared.
fn note_of(unchecked: usize) -> String {
    let bindings = match unchecked {
        1 => "1 binding was".to_string(),
        number => format!("{number} bindings were"),
    };
    format!("carrot: {bindings} not checked: AMQP lists no bindings, --management and --control do")
}

fn print(json: bool, found: &[FoundDifference], note: Option<&str>) -> Result<()> {
    let entries: Vec<_> = found
        .iter()
        .map(|found| {
            let kind = found.kind.to_string();
            vec![found.entity.as_str().into(), kind.into(), found.reason.as_str().into()]
        })
        .collect();
    if !entries.is_empty() {
        print_entries(json, &["entity", "difference", "reason"], &entries)?;
    }
    if let Some(note) = note {
        note!("{note}");
    }
    match entries.len() {
        0 if json => Ok(()),
        0 => print_line("no differences"),
        number => Err(CommandFailure::different(counted(number as u64, "difference"))),
    }
}

/// Compares what a broker does not compare at a declaration: the arguments that it ignores.
fn compare_arguments(
    inspection: &dyn Inspection,
    scope: &VhostScope,
    topology: &Topology,
    found: &mut Vec<FoundDifference>,
) -> Result<()> {
    let fields = ["name", "type", "arguments"];
    let exchanges = topology.exchanges.iter().map(|exchange| {
        (format!("exchange {:?}", exchange.name), &*exchange.name, &exchange.arguments)
    });
    let queues = topology
        .queues
        .iter()
        .map(|queue| (format!("queue {:?}", queue.name), &*queue.name, &queue.arguments));
    let mut more = Vec::new();
    if !topology.exchanges.is_empty() {
        let listed = inspection.list(scope, EntityKind::Exchanges, &fields)?;
        more.extend(exchanges.filter_map(|wanted| different(wanted, &listed)));
    }
    if !topology.queues.is_empty() {
        let listed = inspection.list(scope, EntityKind::Queues, &fields)?;
        more.extend(queues.filter_map(|wanted| different(wanted, &listed)));
    }
    more.retain(|more| !found.iter().any(|found| found.entity == more.entity));
    found.append(&mut more);
    Ok(())
}

/// Returns the first argument of an entity that differs. Entities that are missing are none: the
/// broker has reported them.
fn different(
    (entity, name, arguments): (String, &str, &Headers),
    listed: &[Value],
) -> Option<FoundDifference> {
    let listed = listed.iter().find(|listed| text_of(listed, "name") == name)?;
    let wanted = plain_arguments(arguments);
    let reason = different_argument(wanted.as_object()?, listed)?;
    Some(FoundDifference { entity, kind: DifferenceKind::Different, reason })
}

fn different_argument(wanted: &Map<String, Value>, listed: &Value) -> Option<String> {
    let none = Map::new();
    let has = listed.get("arguments").and_then(Value::as_object).unwrap_or(&none);
    let has_type = listed.get("type").filter(|_| wanted.contains_key(QUEUE_TYPE));
    let value_of = |name: &str| match name {
        QUEUE_TYPE => has_type,
        name => has.get(name),
    };
    let mut names: Vec<&String> = wanted.keys().chain(has.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().find_map(|name| {
        let (broker, file) = (value_of(name), wanted.get(name));
        let same = match (broker, file) {
            (Some(broker), Some(file)) => is_same(broker, file),
            (broker, file) => broker.is_none() && file.is_none(),
        };
        let shown = |value: Option<&Value>| value.map_or_else(|| "none".into(), cut);
        (!same).then(|| {
            format!("argument {name:?}: the broker has {}, the file {}", shown(broker), shown(file))
        })
    })
}

/// Returns the bindings that the broker does not have. `names` are those of the wanted ones.
fn missing_bindings(
    wanted: &[Binding],
    names: &[String],
    listed: &[Value],
) -> Vec<FoundDifference> {
    let missing = wanted.iter().zip(names).filter_map(|(wanted, name)| {
        let reason = missing_binding(wanted, listed)?;
        Some(FoundDifference { entity: name.clone(), kind: DifferenceKind::Missing, reason })
    });
    missing.collect()
}

/// Returns the reason why a binding is missing; `None` if the broker has it.
fn missing_binding(wanted: &Binding, listed: &[Value]) -> Option<String> {
    let (kind, destination) = match &wanted.destination {
        Destination::Queue(name) => ("queue", name),
        Destination::Exchange(name) => ("exchange", name),
    };
    let mut alike = listed
        .iter()
        .filter(|listed| {
            text_of(listed, "source") == wanted.source
                && text_of(listed, "destination_type") == kind
                && text_of(listed, "destination") == destination
                && text_of(listed, "routing_key") == wanted.routing_key
        })
        .map(|listed| listed.get("arguments").cloned().unwrap_or_default())
        .peekable();
    let Some(other) = alike.peek().cloned() else {
        return Some("the broker has no such binding".into());
    };
    let arguments = plain_arguments(&wanted.arguments);
    let found = alike.any(|listed| is_same(&listed, &arguments));
    (!found).then(|| {
        let (other, file) = (cut(&other), cut(&arguments));
        format!("the broker has the binding with other arguments: {other}, the file has {file}")
    })
}

/// Returns a value as JSON, cut.
fn cut(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}... (cut)", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use serde_json::json;

    use super::*;

    #[test]
    fn binding_is_compared_with_its_arguments() {
        let wanted = Binding::queue("prices", "jobs", "a.#").argument("n", 1);
        let listed = |destination_type: &str, routing_key: &str, arguments: Value| {
            json!({"source": "prices", "destination": "jobs", "destination_type": destination_type,
                "routing_key": routing_key, "arguments": arguments})
        };
        let same = listed("queue", "a.#", json!({"n": 1}));
        let other = listed("queue", "a.#", json!({"n": 2}));
        assert_eq!(missing_binding(&wanted, &[other.clone(), same]), None);
        let reason = missing_binding(&wanted, &[other]).unwrap();
        assert!(reason.contains("{\"n\":2}") && reason.contains("{\"n\":1}"), "{reason}");
        for listed in [
            vec![],
            vec![listed("exchange", "a.#", json!({"n": 1}))],
            vec![listed("queue", "b", json!({"n": 1}))],
        ] {
            let reason = missing_binding(&wanted, &listed).unwrap();
            assert_eq!(reason, "the broker has no such binding");
        }
    }

    #[test]
    fn argument_that_differs_is_named() {
        let differs = |wanted: Value, kind: &str, has: Value| {
            let listed = json!({"type": kind, "arguments": has});
            different_argument(wanted.as_object().unwrap(), &listed)
        };
        let quorum = json!({"x-queue-type": "quorum"});
        assert_eq!(differs(json!({}), "classic", json!({})), None);
        // A virtual host can have a default type, and the broker has compared it.
        assert_eq!(differs(json!({}), "quorum", quorum.clone()), None);
        assert_eq!(differs(quorum.clone(), "quorum", quorum.clone()), None);
        assert_eq!(differs(quorum.clone(), "quorum", json!({})), None);
        assert_eq!(
            differs(quorum, "classic", json!({})).unwrap(),
            "argument \"x-queue-type\": the broker has \"classic\", the file \"quorum\""
        );
        assert_eq!(
            differs(json!({"a": 1}), "classic", json!({"a": 1, "b": "x"})).unwrap(),
            "argument \"b\": the broker has \"x\", the file none"
        );
        let long = differs(json!({"a": "é".repeat(300)}), "classic", json!({})).unwrap();
        assert!(long.ends_with("... (cut)") && long.chars().count() < 300, "{long}");
    }
}
