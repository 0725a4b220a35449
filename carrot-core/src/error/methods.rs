//! Classifies and creates errors.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::{Cause, Error, HardClose};

impl Error {
    /// Returns whether the same call can succeed later, without a correction by the caller.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Connect { .. }
            | Error::Disconnected { .. }
            | Error::Timeout { .. }
            | Error::Blocked { .. }
            | Error::Unavailable { .. }
            | Error::Refused => true,
            Error::Declaration { source, .. } => source.is_retryable(),
            _ => false,
        }
    }

    /// Returns whether a connection or channel was lost, through no fault of the call.
    pub fn is_disconnected(&self) -> bool {
        match self {
            Error::Disconnected { .. } | Error::Stale { .. } => true,
            Error::Declaration { source, .. } => source.is_disconnected(),
            _ => false,
        }
    }

    /// Returns whether the broker refused an operation and closed the channel.
    ///
    /// AMQP reply codes of such a refusal are 403, 404, 405 and 406.
    pub fn is_channel_error(&self) -> bool {
        matches!(
            self,
            Error::NotFound { .. }
                | Error::Unavailable { .. }
                | Error::AccessRefused { .. }
                | Error::ResourceLocked { .. }
                | Error::PreconditionFailed { .. }
        )
    }

    /// Returns the AMQP reply code of the refusal, or `None` if the error has no reply code.
    ///
    /// The code is 403, 404, 405 or 406 if the broker closed the channel: that of the variant. An
    /// [`Error::ResourceLocked`] therefore returns 405, also for an exclusive consumer, which
    /// RabbitMQ refuses with 403. The code is 312 or 313 for a returned message. A hard error has a
    /// code of its own.
    ///
    /// ```
    /// use carrot::Error;
    ///
    /// let error = Error::NotFound { reason: "NOT_FOUND - no queue 'jobs' in vhost '/'".into() };
    /// assert_eq!(error.reply_code(), Some(404));
    /// assert_eq!(Error::Refused.reply_code(), None);
    /// ```
    pub fn reply_code(&self) -> Option<u16> {
        match self {
            Error::AccessRefused { .. } => Some(403),
            Error::NotFound { .. } | Error::Unavailable { .. } => Some(404),
            Error::ResourceLocked { .. } => Some(405),
            Error::PreconditionFailed { .. } => Some(406),
            Error::HardError { code, .. } => Some(*code),
            Error::Unroutable { returned } => Some(returned.code),
            Error::Batch { source, .. } | Error::Declaration { source, .. } => source.reply_code(),
            _ => self.hard_close().map(|close| close.code),
        }
    }

    /// Returns the hard error that closed the connection, from [`Error::Disconnected`].
    ///
    /// Returns `None` if no operation in flight on the failed channel can be the cause.
    pub fn hard_close(&self) -> Option<&HardClose> {
        match self {
            Error::Disconnected { source: Some(source), .. } => source.downcast_ref(),
            _ => None,
        }
    }

    /// Creates an [`Error::Invalid`] about `field`, and shortens a long `value`.
    pub fn invalid(
        field: impl Into<Cow<'static, str>>,
        value: &str,
        limit: impl Into<Cow<'static, str>>,
    ) -> Error {
        const SHOWN: usize = 60;
        let value = match value.char_indices().nth(SHOWN) {
            Some((cut, _)) => format!("{:?}... ({} bytes)", &value[..cut], value.len()),
            None => format!("{value:?}"),
        };
        Error::Invalid { field: field.into(), value, limit: limit.into() }
    }

    /// Creates an [`Error::Config`] about `option`.
    pub fn config(option: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Error {
        Error::Config { option: option.into(), reason: reason.into() }
    }

    /// Creates an [`Error::Timeout`] of `operation`.
    pub fn timeout(operation: impl Into<Cow<'static, str>>, after: Duration) -> Error {
        Error::Timeout { operation: operation.into(), after }
    }

    /// Creates an [`Error::Connect`] after one attempt, and appends `source` to the reason.
    pub fn connect(
        endpoint: impl Into<String>,
        reason: impl Into<String>,
        tried: Duration,
        source: Option<Cause>,
    ) -> Error {
        let mut reason = reason.into();
        if let Some(source) = &source {
            reason = format!("{reason}: {source}");
        }
        Error::Connect { endpoint: endpoint.into(), reason, tried, source }
    }

    /// Creates an [`Error::Layer`] for `reason`, without a source.
    pub fn layer(reason: impl Into<String>) -> Error {
        Error::Layer { reason: reason.into(), source: None }
    }

    /// Creates an [`Error::Closed`] of `what`.
    pub fn closed(what: impl Into<Cow<'static, str>>) -> Error {
        Error::Closed { what: what.into() }
    }

    /// Creates an [`Error::Disconnected`] for `reason`, without a source.
    pub fn disconnected(reason: impl Into<String>) -> Error {
        Error::Disconnected { reason: reason.into(), source: None }
    }

    /// Returns the error for an AMQP reply code that closes a channel, and `None` for others.
    ///
    /// Only the code is compared. Where one code has several meanings, the driver must first check
    /// the reply text.
    pub fn from_channel_close(code: u16, text: &str) -> Option<Error> {
        let reason = text.to_string();
        Some(match code {
            403 => Error::AccessRefused { reason },
            404 => Error::NotFound { reason },
            405 => Error::ResourceLocked { reason },
            406 => Error::PreconditionFailed { reason },
            _ => return None,
        })
    }
}
