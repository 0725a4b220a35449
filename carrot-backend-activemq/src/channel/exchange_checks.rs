//! Checks of exchanges and bindings, with the errors of RabbitMQ.

use carrot_core::{Binding, Destination, Error, Exchange, Result};
use carrot_routing::{ExchangeBehaviour, HeaderMatch, NumberMatch, RoutingError};

use crate::channel::queues::no_queue;
use crate::exchanges::queue_rules::{compare_arguments, inequivalent};
use crate::exchanges::routing_definitions::RoutingDefinitions;

/// The arguments of exchanges that are compared.
const COMPARED: [&str; 1] = ["alternate-exchange"];
/// The most `#` in the pattern of a binding, as of RabbitMQ 4.3.
const MOST_HASHES: usize = 2;

/// Returns whether an equal exchange exists.
///
/// # Errors
/// - [`Error::PreconditionFailed`]: an exchange of the name exists, and differs.
pub(crate) fn is_equal(table: &RoutingDefinitions, wanted: &Exchange) -> Result<bool> {
    let Some(current) = table.routing.exchange(&wanted.name) else { return Ok(false) };
    let (name, current) = (&*wanted.name, current.definition());
    let differs = |field, wanted: String, current: String| {
        Err(inequivalent(field, "exchange", name, wanted, current))
    };
    if wanted.kind != current.kind {
        return differs("type", wanted.kind.to_string(), current.kind.to_string());
    }
    for (field, wanted, current) in [
        ("durable", wanted.durable, current.durable),
        ("auto_delete", wanted.auto_delete, current.auto_delete),
        ("internal", wanted.internal, current.internal),
    ] {
        if wanted != current {
            return differs(field, wanted.to_string(), current.to_string());
        }
    }
    compare_arguments("exchange", name, &COMPARED, &wanted.arguments, &current.arguments)?;
    Ok(true)
}

pub(crate) fn check_exchange(exchange: &Exchange) -> Result<()> {
    if ExchangeBehaviour::of(&exchange.kind).is_none() {
        return Err(precondition(&format!("unknown exchange type '{}'", exchange.kind)));
    }
    let alternate = exchange.arguments.get("alternate-exchange");
    if alternate.is_some_and(|alternate| alternate.as_str().is_none()) {
        let name = &exchange.name;
        let reason = format!("invalid arg 'alternate-exchange' for exchange '{name}': no string");
        return Err(precondition(&reason));
    }
    Ok(())
}

/// Refuses the default exchange.
pub(crate) fn check_ends(binding: &Binding) -> Result<()> {
    let is_default =
        binding.source.is_empty() || binding.destination == Destination::Exchange(String::new());
    if is_default { Err(default_exchange()) } else { Ok(()) }
}

/// Checks the exchanges and the arguments of a binding.
pub(crate) fn check_binding(table: &RoutingDefinitions, binding: &Binding) -> Result<()> {
    let source = table.routing.exchange(&binding.source);
    let source = source.ok_or_else(|| no_exchange(&binding.source))?;
    if let Destination::Exchange(target) = &binding.destination
        && table.routing.exchange(target).is_none()
    {
        return Err(no_exchange(target));
    }
    let key = &binding.routing_key;
    let hashes = key.split('.').filter(|word| *word == "#").count();
    if source.behaviour() == ExchangeBehaviour::Topic && hashes > MOST_HASHES {
        let reason = format!(
            "topic binding key '{key}' has {hashes} '#', at most {MOST_HASHES} are allowed"
        );
        return Err(precondition(&reason));
    }
    if source.behaviour() == ExchangeBehaviour::Headers {
        let checked = HeaderMatch::new(&binding.arguments, NumberMatch::WithinKinds);
        checked.map_err(|error| routing_error(error.into()))?;
    }
    Ok(())
}

pub(crate) fn routing_error(error: RoutingError) -> Error {
    match error {
        RoutingError::NoExchange(name) => no_exchange(&name),
        RoutingError::NoQueue(name) => no_queue(&name),
        other => precondition(&other.to_string()),
    }
}

pub(crate) fn no_exchange(name: &str) -> Error {
    Error::NotFound { reason: format!("NOT_FOUND - no exchange '{name}'") }
}

pub(crate) fn access(reason: &str) -> Error {
    Error::AccessRefused { reason: format!("ACCESS_REFUSED - {reason}") }
}

pub(crate) fn precondition(reason: &str) -> Error {
    Error::PreconditionFailed { reason: format!("PRECONDITION_FAILED - {reason}") }
}

pub(crate) fn default_exchange() -> Error {
    access("operation not permitted on the default exchange")
}
