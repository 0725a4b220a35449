//! The reason why there is no connection, as an error of the calls that need one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::recovery::backoff::Backoff;

/// The state of a connection, as its attempts to connect show it.
#[derive(Debug)]
pub(crate) struct Outage {
    /// Whether there was an attempt to connect.
    pub(crate) was_needed: bool,
    /// The time since the loss or the first failure, if there is no connection.
    pub(crate) since: Option<Duration>,
    /// The last loss or failed attempt, also if there is a connection.
    pub(crate) last_failure: Option<Error>,
}

impl Backoff {
    /// Records the reason why there is no connection, without a pause.
    pub(crate) fn note(&self, error: &Error) {
        let mut state = self.lock();
        state.cause = Some(error.clone());
        state.last_failure = Some(error.clone());
        state.failing_since.get_or_insert_with(Instant::now);
    }

    /// Converts a refusal to a retryable error if the same options were accepted before.
    pub(super) fn retryable_after_success(&self, error: Error) -> Error {
        match error {
            Error::Authentication { .. } | Error::Config { .. }
                if self.reached.load(Ordering::Acquire) =>
            {
                Error::Connect {
                    endpoint: self.endpoint.clone(),
                    reason: error.to_string(),
                    tried: Duration::ZERO,
                    source: Some(Arc::new(error)),
                }
            }
            error => error,
        }
    }

    /// Returns the error of a call that tried to connect for `tried` without success. Names the
    /// address and the last failure.
    pub(crate) fn outage(&self, error: Error, tried: Duration) -> Error {
        let cause = match error {
            Error::Timeout { .. } => self.lock().cause.clone().unwrap_or(error),
            error => error,
        };
        match cause {
            // The search for the cause needs the hard close.
            error if error.hard_close().is_some() => error,
            Error::Connect { endpoint, reason, source, .. } => {
                Error::Connect { endpoint, reason, tried, source }
            }
            Error::Disconnected { reason, source } => Error::Connect {
                endpoint: self.endpoint.clone(),
                reason: format!("the connection was lost: {reason}"),
                tried,
                source,
            },
            Error::Timeout { operation, .. } => Error::Connect {
                endpoint: self.endpoint.clone(),
                reason: format!("{operation} did not finish in time"),
                tried,
                source: None,
            },
            other => other,
        }
    }

    /// Returns whether the last attempt failed, or the connection was lost after it.
    pub(crate) fn is_failing(&self) -> bool {
        self.lock().cause.is_some()
    }

    /// Returns the state of the connection as its attempts show it.
    pub(crate) fn outage_now(&self) -> Outage {
        let state = self.lock();
        Outage {
            was_needed: state.dialing || state.cause.is_some() || state.connected_at.is_some(),
            since: state.failing_since.map(|since| since.elapsed()),
            last_failure: state.last_failure.clone(),
        }
    }

    /// Returns the reason why there is no connection, and for how long.
    pub(crate) fn absence(&self) -> Error {
        let state = self.lock();
        let since = state.failing_since.map_or(Duration::ZERO, |since| since.elapsed());
        let cause = state.cause.clone();
        drop(state);
        let opening = || Error::connect(&self.endpoint, "the channel is not open yet", since, None);
        self.outage(cause.unwrap_or_else(opening), since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: &dyn Fn() -> bool = &|| false;

    fn backoff() -> Backoff {
        Backoff::new("here".into(), &Arc::default())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn an_outage_names_the_address_the_time_and_the_last_failure() {
        let backoff = backoff();
        let waited = || {
            backoff
                .outage(Error::timeout("opening a channel", Duration::ZERO), Duration::from_secs(5))
                .to_string()
        };
        assert_eq!(
            waited(),
            "could not connect to here within 5.0 s: opening a channel did not finish in time"
        );
        backoff.note(&Error::connect(
            "there",
            "TCP failed",
            Duration::ZERO,
            Some(Arc::new(std::io::Error::other("refused"))),
        ));
        assert_eq!(waited(), "could not connect to there within 5.0 s: TCP failed: refused");
        assert!(backoff.attempt(soon(), NEVER, |_| Ok(())).is_ok());
        assert!(!waited().contains("refused"));
    }

    #[test]
    fn a_refusal_after_a_success_is_retryable() {
        let backoff = backoff();
        let refuse = || {
            backoff
                .attempt(soon(), NEVER, |_| Err::<(), _>(Error::config("tls", "half a file")))
                .err()
        };
        assert!(refuse().is_some_and(|error| !error.is_retryable()));
        assert!(backoff.attempt(soon(), NEVER, |_| Ok(())).is_ok());
        assert!(
            refuse().is_some_and(
                |error| error.is_retryable() && error.to_string().contains("half a file")
            )
        );
    }
}
