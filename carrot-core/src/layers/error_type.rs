//! Classes of failures, for metrics and spans.

use crate::consumer::handled::Handled;
use crate::error::Error;

/// Returns the class of an error: the name of its variant in lower case.
pub(super) fn of_error(error: &Error) -> &'static str {
    match error {
        Error::Config { .. } => "config",
        Error::Connect { .. } => "connect",
        Error::Authentication { .. } => "authentication",
        Error::Disconnected { .. } => "disconnected",
        Error::Timeout { .. } => "timeout",
        Error::Blocked { .. } => "blocked",
        Error::HardError { .. } => "hard_error",
        Error::Unavailable { .. } => "unavailable",
        Error::NotFound { .. } => "not_found",
        Error::AccessRefused { .. } => "access_refused",
        Error::ResourceLocked { .. } => "resource_locked",
        Error::PreconditionFailed { .. } => "precondition_failed",
        Error::Unroutable { .. } => "unroutable",
        Error::Refused => "refused",
        Error::Stale { .. } => "stale",
        Error::Cancelled { .. } => "cancelled",
        Error::Encode { .. } => "encode",
        Error::Decode { .. } => "decode",
        Error::ContentType { .. } => "content_type",
        Error::Inflate { .. } => "inflate",
        Error::TooLarge { .. } => "too_large",
        Error::Invalid { .. } => "invalid",
        Error::Batch { .. } => "batch",
        Error::Closed { .. } => "closed",
        Error::Layer { .. } => "layer",
        Error::Backend { .. } => "backend",
        Error::Remote { .. } => "remote",
        Error::Declaration { source, .. } => of_error(source),
    }
}

/// Returns the class of a failure to handle a message. `None` if the handler settled the message,
/// or chose another attempt or parking.
pub(super) fn of_handled(handled: &Handled) -> Option<&'static str> {
    handled.failure()?;
    if handled.is_undecodable() {
        Some("undecodable")
    } else if handled.is_postponed() {
        None
    } else if handled.is_permanent() {
        Some("permanent")
    } else {
        Some("failed")
    }
}
