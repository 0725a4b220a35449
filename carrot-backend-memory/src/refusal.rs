//! The errors with which the broker refuses, in RabbitMQ's words.

use std::fmt::Display;

use carrot_core::Error;
use carrot_core::backend::Condition;

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
    access(format_args!("queue '{queue}' in vhost '/' in exclusive use"))
}

pub(crate) fn locked(queue: &str) -> Error {
    Error::Locked {
        reason: format!(
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be originally declared on \
             another connection or the exclusive property value does not match that of the original declaration."
        ),
    }
}

pub(crate) fn precondition(reason: impl Display) -> Error {
    Error::Precondition { reason: format!("PRECONDITION_FAILED - {reason}") }
}

pub(crate) fn unknown_tag(tag: u64) -> Error {
    precondition(format_args!("unknown delivery tag {tag}"))
}

/// RabbitMQ closes the connection over a quorum queue that is to be deleted on a condition.
pub(crate) fn conditional_delete(queue: &str, condition: Condition) -> Error {
    let flag = if condition.if_unused { "if-unused" } else { "if-empty" };
    Error::disconnected(format!(
        "NOT_IMPLEMENTED - cannot delete queue '{queue}' in vhost '/'. queue.delete operations with {flag} flag set are not supported by \
         quorum queues"
    ))
}

/// A field on which a declaration differs from what exists.
pub(crate) fn different(field: &str, kind: &str, name: &str, wanted: impl Display, current: impl Display) -> Error {
    precondition(format_args!(
        "inequivalent arg '{field}' for {kind} '{name}' in vhost '/': received '{wanted}' but current is '{current}'"
    ))
}
