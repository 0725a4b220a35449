//! The effects of an error on its channel and its connection.

use crate::error::Error;

/// Returns whether a channel with this error is unusable. A timeout makes the driver close the
/// channel.
pub(crate) fn ends_channel(error: &Error) -> bool {
    error.is_channel_error()
        || ends_connection(error)
        || matches!(
            error,
            Error::Timeout { .. }
                | Error::Closed { .. }
                | Error::Backend { .. }
                | Error::Authentication { .. }
        )
}

/// Returns whether the connection of a channel with this error was lost.
pub(crate) fn ends_connection(error: &Error) -> bool {
    error.is_disconnected() || matches!(error, Error::HardError { .. })
}

/// Returns whether another attempt to open may succeed without a change in the program. A queue may
/// be locked by an own connection whose loss the broker has not noticed yet, or its node may be
/// restarting.
pub(crate) fn may_pass(error: &Error) -> bool {
    match error {
        Error::Unavailable { .. } | Error::ResourceLocked { .. } => true,
        Error::Connect { .. } | Error::Timeout { .. } | Error::Blocked { .. } => true,
        error => error.is_disconnected(),
    }
}

/// Returns whether a message may be the cause of an error that ended its channel, and can be found
/// among the others.
pub(crate) fn has_a_cause(error: &Error) -> bool {
    matches!(error, Error::HardError { .. } | Error::PreconditionFailed { .. })
        || error.hard_close().is_some()
}

/// Returns whether to try again in the background after a channel could not be opened.
pub(crate) fn is_worth_another(error: &Error) -> bool {
    may_pass(error) && error.hard_close().is_none()
}
