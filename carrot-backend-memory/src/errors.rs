//! The errors of refused operations, in RabbitMQ's words.

use std::fmt::Display;

use std::sync::Arc;

use carrot_core::backend::{DeleteIf, HardClose};
use carrot_core::{Error, Value};

use crate::value_text::{AsText, type_name};

pub(crate) fn no_queue(name: &str) -> Error {
    Error::NotFound { reason: format!("NOT_FOUND - no queue '{name}' in vhost '/'") }
}

pub(crate) fn no_exchange(name: &str) -> Error {
    Error::NotFound { reason: format!("NOT_FOUND - no exchange '{name}' in vhost '/'") }
}

pub(crate) fn access(reason: impl Display) -> Error {
    Error::AccessRefused { reason: format!("ACCESS_REFUSED - {reason}") }
}

pub(crate) fn default_exchange() -> Error {
    access("operation not permitted on the default exchange")
}

pub(crate) fn reserved(kind: &str, name: &str) -> Error {
    access(format_args!("{kind} name '{name}' contains reserved prefix 'amq.*'"))
}

pub(crate) fn exclusive_use(queue: &str) -> Error {
    Error::ResourceLocked {
        reason: format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"),
    }
}

pub(crate) fn locked(queue: &str) -> Error {
    Error::ResourceLocked {
        reason: format!(
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be originally declared on \
             another connection or the exclusive property value does not match that of the original declaration."
        ),
    }
}

pub(crate) fn precondition(reason: impl Display) -> Error {
    Error::PreconditionFailed { reason: format!("PRECONDITION_FAILED - {reason}") }
}

pub(crate) fn unknown_tag(tag: u64) -> Error {
    precondition(format_args!("unknown delivery tag {tag}"))
}

/// RabbitMQ closes the connection over a consumer tag that a consumer of the channel has.
pub(crate) fn reused_consumer_tag(tag: impl Display) -> Error {
    let reason = format!("NOT_ALLOWED - attempt to reuse consumer tag '{tag}'");
    Error::HardError { code: 530, reason }
}

/// RabbitMQ closes the connection over the deletion of a quorum queue on a condition.
pub(crate) fn conditional_delete(queue: &str, condition: DeleteIf) -> Error {
    let flag = if condition.if_unused { "if-unused" } else { "if-empty" };
    let reason = format!(
        "NOT_IMPLEMENTED - cannot delete queue '{queue}' in vhost '/'. queue.delete operations with {flag} flag set are not supported by \
         quorum queues"
    );
    Error::HardError { code: 540, reason }
}

/// RabbitMQ closes the connection over a consumer of a quorum queue on a channel with a prefetch of
/// its own.
pub(crate) fn no_channel_prefetch(queue: &str) -> Error {
    let reason =
        format!("NOT_IMPLEMENTED - queue '{queue}' in vhost '/' does not support global qos");
    Error::HardError { code: 540, reason }
}

pub(crate) fn unknown_exchange_type(kind: impl Display, closes_connection: bool) -> Error {
    let kind = kind.to_string();
    let adjective = if kind.is_empty() { "invalid" } else { "unknown" };
    let reason = format!("{adjective} exchange type '{kind}'");
    match closes_connection {
        true => Error::HardError { code: 503, reason: format!("COMMAND_INVALID - {reason}") },
        false => precondition(reason),
    }
}

/// RabbitMQ refuses basic.get on such a queue.
pub(crate) fn no_get_beside_single_active_consumer(queue: &str, kind: &str) -> Error {
    Error::ResourceLocked {
        reason: format!(
            "RESOURCE_LOCKED - cannot obtain access to locked queue '{queue}' in vhost '/'. \
             basic.get operations are not supported by {kind} queues with single active consumer"
        ),
    }
}

/// RabbitMQ closes the connection over a transaction whose queue was deleted before the commit.
pub(crate) fn undeliverable(queue: &str) -> Error {
    let reason = format!(
        "RESOURCE_ERROR - failed to deliver message: \
         {{not_found,{{resource,<<\"/\">>,queue,<<\"{queue}\">>}}}}"
    );
    Error::HardError { code: 506, reason }
}

/// RabbitMQ closes the connection over an argument that it does not permit any more.
pub(crate) fn deprecated_master_locator() -> Error {
    Error::HardError {
        code: 541,
        reason: "INTERNAL_ERROR - Feature `queue_master_locator` is deprecated.\nBy default, this \
                 feature is not permitted anymore."
            .into(),
    }
}

/// RabbitMQ fails internally, and closes the connection without naming a method.
pub(crate) fn internal_error() -> Error {
    uncertain_close(541, "INTERNAL_ERROR", 0)
}

/// Returns the first error of a channel whose call, or one of whose messages, made the broker close
/// the connection.
pub(crate) fn uncertain_close(code: u16, text: &str, messages: usize) -> Error {
    let close =
        HardClose::new(code, text, 0, 0).with_suspects(messages, usize::from(messages == 0));
    Error::Disconnected { reason: closed(code, text), source: Some(Arc::new(close)) }
}

/// Returns the first error of the other channels of a connection that ended with `error`.
pub(crate) fn for_other_channels(error: &Error) -> Error {
    match error {
        Error::HardError { code, reason } => Error::disconnected(closed(*code, reason)),
        Error::Disconnected { reason, .. } if error.hard_close().is_some() => {
            Error::disconnected(reason)
        }
        error => error.clone(),
    }
}

fn closed(code: u16, text: &str) -> String {
    format!("the broker closed the connection: {code} {text}")
}

/// A declaration differs from the existing entity in one field.
pub(crate) fn different(
    field: &str,
    kind: &str,
    name: &str,
    wanted: impl Display,
    current: impl Display,
) -> Error {
    inequivalent(field, kind, name, format_args!("received '{wanted}' but current is '{current}'"))
}

/// A declaration differs from the existing entity in one argument, which one of them may lack.
pub(crate) fn different_argument(
    name: &str,
    kind: &str,
    of: &str,
    wanted: Option<&Value>,
    current: Option<&Value>,
) -> Error {
    if let (Some(wanted), Some(current)) = (wanted, current) {
        return different(name, kind, of, AsText(wanted), AsText(current));
    }
    let show = |value: Option<&Value>| match value {
        None => "none".to_string(),
        Some(value) => format!("the value '{}' of type '{}'", AsText(value), type_name(value)),
    };
    let difference = format!("received {} but current is {}", show(wanted), show(current));
    inequivalent(name, kind, of, difference)
}

fn inequivalent(field: &str, kind: &str, name: &str, difference: impl Display) -> Error {
    precondition(format_args!(
        "inequivalent arg '{field}' for {kind} '{name}' in vhost '/': {difference}"
    ))
}
