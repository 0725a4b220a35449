//! The names of addresses, and the errors of attempts to connect to them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use carrot_core::{Cause, ConnectionOptions, Error};

pub(crate) fn overdue(step: &str, after: Duration) -> Error {
    Error::timeout(format!("opening a connection ({step})"), after)
}

pub(crate) fn endpoints(options: &ConnectionOptions) -> String {
    options.addresses().map(|(name, port)| endpoint(name, port)).collect::<Vec<_>>().join(", ")
}

pub(crate) fn endpoint(name: &str, port: u16) -> String {
    if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}

pub(crate) fn connect_error(endpoint: &str, reason: &str, source: Option<io::Error>) -> Error {
    let source = source.map(|error| Arc::new(error) as Cause);
    Error::connect(endpoint, reason, Duration::ZERO, source)
}
