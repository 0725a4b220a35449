//! A shorter limit than the call timeout, for one caller.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use carrot_core::{Error, Result};

/// Makes a call on a thread of its own, and waits for its result for `timeout` at most. A result
/// that comes later is dropped: one caller's short timeout is no reason to cut the connection.
///
/// # Errors
/// What the call gives; [`Error::Timeout`].
pub(crate) fn within<T: Send + 'static>(
    timeout: Duration,
    what: &'static str,
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let started = Instant::now();
    let (done, result) = sync_channel(1);
    let spawned = thread::Builder::new().name("carrot-call".to_string()).spawn(move || {
        let _ = done.send(call());
    });
    if let Err(error) = spawned {
        return Err(Error::Backend {
            reason: "no thread could be started".into(),
            source: Some(Arc::new(error)),
        });
    }
    match result.recv_timeout(timeout) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(Error::timeout(what, started.elapsed())),
        Err(RecvTimeoutError::Disconnected) => {
            Err(Error::Backend { reason: format!("{what} panicked"), source: None })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_result_in_time_is_returned() {
        assert!(matches!(within(Duration::from_secs(5), "calling", || Ok(7)), Ok(7)));
    }

    #[test]
    fn a_call_that_takes_longer_is_a_timeout() {
        let (release, held) = channel::<()>();
        let late = within(Duration::from_millis(20), "calling", move || {
            let _ = held.recv();
            Ok(())
        });
        assert!(matches!(late, Err(Error::Timeout { .. })));
        drop(release);
    }
}
