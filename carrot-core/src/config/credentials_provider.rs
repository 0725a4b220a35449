use std::error::Error as StdError;
use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::secret::Secret;
use crate::config::strings::validate_plain;
use crate::deadline;
use crate::error::{Error, Result};
use crate::panic_guard::{describe, drop_guarded, guard};

/// The error of a function that provides credentials.
type Failure = Box<dyn StdError + Send + Sync>;
type Provide = dyn Fn() -> Result<(String, Secret), Failure> + Send + Sync;

/// A function of the program that provides the user name and the password for each connection.
///
/// Suits passwords that rotate and OAuth 2 tokens that expire. Created by
/// [`ConnectionOptions::credentials_provider`](crate::ConnectionOptions::credentials_provider),
/// which describes when the function is called.
///
/// Two providers are equal if one is a clone of the other. `Debug` shows nothing of the function.
#[derive(Clone)]
pub struct CredentialsProvider(Arc<ProviderState>);

struct ProviderState {
    provide: Box<Provide>,
    /// Whether a call of the function is in flight.
    is_called: Mutex<bool>,
    returned: Condvar,
}

impl CredentialsProvider {
    /// Wraps a function that returns a user name and a password or token.
    pub fn new<U: Into<String>, S: Into<Secret>>(
        provide: impl Fn() -> Result<(U, S), Failure> + Send + Sync + 'static,
    ) -> CredentialsProvider {
        CredentialsProvider(Arc::new(ProviderState {
            provide: Box::new(move || provide().map(|(user, secret)| (user.into(), secret.into()))),
            is_called: Mutex::new(false),
            returned: Condvar::new(),
        }))
    }

    /// Calls the function on a thread of its own, and returns the user name and the password.
    pub(super) fn provide(&self, endpoint: &str, timeout: Duration) -> Result<(String, Secret)> {
        let started = Instant::now();
        let deadline = deadline::after(timeout);
        let overdue = || Error::timeout("calling the credentials provider", timeout);
        let failed = |reason: String| Error::connect(endpoint, reason, started.elapsed(), None);
        let call = ProviderCall::begin(&self.0, deadline).ok_or_else(overdue)?;
        let (done, provided) = sync_channel(1);
        let spawned = thread::Builder::new().name("carrot-credentials".into()).spawn(move || {
            let result = call.run();
            drop(call);
            let _ = done.send(result);
        });
        spawned.map_err(|error| {
            failed(format!("no thread for the credentials provider could be started: {error}"))
        })?;
        match provided.recv_timeout(deadline::left(deadline)) {
            Ok(Ok((user, secret))) => match validate_plain(&user, &secret) {
                Ok(()) => Ok((user, secret)),
                Err(error) => Err(failed(format!(
                    "the credentials provider returned invalid credentials: {error}"
                ))),
            },
            Ok(Err(reason)) => Err(failed(format!("the credentials provider failed: {reason}"))),
            Err(RecvTimeoutError::Timeout) => Err(overdue()),
            Err(RecvTimeoutError::Disconnected) => {
                Err(failed("the credentials provider ended without a result".into()))
            }
        }
    }
}

/// The call of a function that is in flight. A provider has one at a time, so a function that
/// hangs keeps one thread, for any number of attempts to connect.
struct ProviderCall(Arc<ProviderState>);

impl ProviderCall {
    /// Waits until no other call is in flight. Returns `None` if `deadline` passes first.
    fn begin(shared: &Arc<ProviderState>, deadline: Instant) -> Option<ProviderCall> {
        let mut is_called = shared.lock();
        while *is_called {
            let left = deadline::left(deadline);
            if left.is_zero() {
                return None;
            }
            let waited = shared.returned.wait_timeout(is_called, left);
            is_called = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *is_called = true;
        drop(is_called);
        Some(ProviderCall(Arc::clone(shared)))
    }

    /// Calls the function, and returns its error or its panic as text.
    fn run(&self) -> Result<(String, Secret), String> {
        guard(|| (self.0.provide)()).and_then(|provided| {
            provided.map_err(|error| {
                let reason = describe(&*error);
                drop_guarded(error);
                reason
            })
        })
    }
}

impl Drop for ProviderCall {
    fn drop(&mut self) {
        *self.0.lock() = false;
        self.0.returned.notify_all();
    }
}

impl ProviderState {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_called.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for CredentialsProvider {
    fn eq(&self, other: &CredentialsProvider) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CredentialsProvider {}

impl fmt::Debug for CredentialsProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CredentialsProvider(..)")
    }
}

#[cfg(test)]
#[path = "credentials_provider_tests.rs"]
mod tests;
