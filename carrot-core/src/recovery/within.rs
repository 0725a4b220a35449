//! A limit for calls of a driver that know none but the call timeout.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Makes a call that takes at most `limit`, and waits for it until `until`: on a thread of its own,
/// if that is sooner. What comes later is dropped there; an impatient caller is no reason for the
/// driver to cut the connection.
///
/// # Errors
/// What the call gives; [`Error::Timeout`].
pub(crate) fn within<T: Send + 'static>(
    until: Instant,
    limit: Duration,
    what: &'static str,
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let started = Instant::now();
    if until.saturating_duration_since(started) >= limit {
        return call();
    }
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
    match result.recv_timeout(until.saturating_duration_since(started)) {
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

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn what_comes_in_time_is_given() {
        for until in [LIMIT / 2, LIMIT * 2] {
            assert!(matches!(within(Instant::now() + until, LIMIT, "calling", || Ok(7)), Ok(7)));
        }
    }

    #[test]
    fn what_takes_longer_is_left_alone() {
        let (release, held) = channel::<()>();
        let late =
            within(Instant::now() + Duration::from_millis(20), LIMIT, "calling", move || {
                let _ = held.recv();
                Ok(())
            });
        assert!(matches!(late, Err(Error::Timeout { .. })));
        drop(release);
    }
}
