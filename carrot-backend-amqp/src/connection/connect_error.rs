//! The errors of attempts to connect.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use carrot_core::{Cause, Error};

pub(crate) fn overdue(step: &str, after: Duration) -> Error {
    Error::timeout(format!("opening a connection ({step})"), after)
}

pub(crate) fn connect_error(endpoint: &str, reason: &str, source: Option<io::Error>) -> Error {
    let source = source.map(|error| Arc::new(error) as Cause);
    Error::connect(endpoint, reason, Duration::ZERO, source)
}
