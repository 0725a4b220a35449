//! Looks the names of hosts up, within a time.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Returns the addresses of a name. The system bounds no lookup, so that of a name runs on a
/// thread of its own, which ends with the lookup.
///
/// # Errors
/// - [`TimedOut`](ErrorKind::TimedOut): the system has not answered within `timeout`.
/// - The errors of the system.
pub(crate) fn look_up(name: &str, port: u16, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = name.to_string();
    within(timeout, move || Ok((&*name, port).to_socket_addrs()?.collect()))
}

/// Runs a function on a thread of its own, and waits for its result.
fn within<T: Send + 'static>(
    timeout: Duration,
    run: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().name("carrot-activemq-lookup".into()).spawn(move || {
        // The caller may have given up.
        let _ = sender.send(run());
    })?;
    match receiver.recv_timeout(timeout) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(ErrorKind::TimedOut.into()),
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the lookup panicked")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    #[test]
    fn lookup_without_an_answer_ends_at_its_time() {
        let (answer, waits) = mpsc::channel::<()>();
        let ended = within(Duration::from_millis(20), move || {
            let _ = waits.recv();
            Ok(())
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(answer);
    }

    #[test]
    fn names_and_addresses_are_found() {
        let soon = Duration::from_secs(20);
        assert_eq!(look_up("::1", 7, soon).unwrap(), ["[::1]:7".parse().unwrap()]);
        let found = look_up("localhost", 7, soon).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
        assert!(!found.is_empty());
    }
}
