use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_core::{ConnectionOptions, Error, Result};

/// The attempt to connect to all addresses, or to one of them, until a deadline.
#[derive(Clone)]
pub(crate) struct BrokerAttempt<'a> {
    pub(crate) options: &'a ConnectionOptions,
    pub(crate) endpoint: String,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) client: &'a str,
    pub(crate) started: Instant,
    pub(crate) timeout: Duration,
    pub(crate) deadline: Instant,
}

impl BrokerAttempt<'_> {
    pub(crate) fn failed(&self, reason: impl Into<String>, source: Option<io::Error>) -> Error {
        Error::Connect {
            endpoint: self.endpoint.clone(),
            reason: reason.into(),
            tried: self.started.elapsed(),
            source: source.map(|error| Arc::new(error) as _),
        }
    }

    /// Returns the time that is left.
    pub(crate) fn left(&self) -> Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.late()) } else { Ok(left) }
    }

    pub(crate) fn late(&self) -> Error {
        Error::timeout("connect", self.timeout)
    }

    /// Returns the attempt at one of `count` addresses, which share the time that is left.
    pub(crate) fn part(&self, endpoint: String, count: usize) -> BrokerAttempt<'_> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(count).unwrap_or(u32::MAX);
        BrokerAttempt { endpoint, deadline: Instant::now() + share, ..self.clone() }
    }
}
