//! What an error means for the channel and the connection that gave it.

use crate::error::Error;

/// Whether a channel that gave this error is of no more use. A call that timed out makes the driver
/// close the channel.
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

/// Whether the connection below a channel that gave this error was lost.
pub(crate) fn ends_connection(error: &Error) -> bool {
    error.is_disconnected() || matches!(error, Error::HardError { .. })
}

/// Whether another attempt to open may do better with nothing changed on our side. A queue can be
/// held by a connection of our own that the broker has not found dead yet, or be on a node that is
/// about to come back.
pub(crate) fn may_pass(error: &Error) -> bool {
    match error {
        Error::Unavailable { .. } | Error::ResourceLocked { .. } => true,
        Error::Connect { .. } | Error::Timeout { .. } | Error::Blocked { .. } => true,
        error => error.is_disconnected(),
    }
}

/// Whether a message may be the cause of an error that ended its channel, and can be told from the
/// others.
pub(crate) fn has_a_cause(error: &Error) -> bool {
    matches!(error, Error::HardError { .. } | Error::PreconditionFailed { .. })
        || error.hard_close().is_some()
}

/// Whether a channel that could not be opened in the background is to be tried there again.
pub(crate) fn is_worth_another(error: &Error) -> bool {
    may_pass(error) && error.hard_close().is_none()
}
