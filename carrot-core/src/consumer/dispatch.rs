//! Decodes a message, and passes the value to the program's code under a guard.

use std::cell::Cell;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::consumer::failure::{Failure, FailurePolicy};
use crate::consumer::handler_error::HandlerError;
use crate::consumer::message::Message;
use crate::consumer::settlement::Settlement;
use crate::error::Error;
use crate::escaping::printable;
use crate::panic_guard::{describe, drop_guarded, guard};

/// The maximum length of a handler's reason for parking, in bytes.
const LONGEST_REASON: usize = 1000;

/// The result of handling one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Handled {
    Settled(Settlement),
    Failed(Failure),
}

/// Decodes `message`, and calls `receive` with the value. Catches every panic of the program's
/// code.
pub(crate) fn handle<T: DeserializeOwned>(
    message: &Message,
    policy: &FailurePolicy,
    receive: impl FnOnce(T, &Message) -> Result<Settlement, HandlerError>,
) -> Handled {
    let decoded = Cell::new(false);
    let result = guard(|| {
        let payload = message.decode()?;
        decoded.set(true);
        Ok(receive(payload, message))
    });
    match result {
        Ok(Ok(result)) => outcome(Ok(result)),
        Ok(Err(error)) => undecodable(message, policy, error),
        Err(panic) if decoded.get() => outcome(Err(panic)),
        Err(panic) => undecodable(message, policy, message.undecodable(Arc::new(Panicked(panic)))),
    }
}

/// A panic of a `Deserialize`, as an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Panicked(String);

/// Calls the program's handler for a message that cannot be decoded, if there is one.
pub(crate) fn undecodable(message: &Message, policy: &FailurePolicy, error: Error) -> Handled {
    let failed = match &policy.settings().on_undecodable {
        Some(handler) => outcome(guard(|| (handler.0)(message, &error))),
        None => Handled::Failed(Failure::new(describe(&error))),
    };
    drop_guarded(error);
    match failed {
        Handled::Failed(failure) => Handled::Failed(Failure { undecodable: true, ..failure }),
        settled => settled,
    }
}

fn outcome(result: Result<Result<Settlement, HandlerError>, String>) -> Handled {
    let chosen = |reason: String| Failure { chosen: true, ..Failure::new(reason) };
    match result {
        Ok(Ok(Settlement::RetryAfter(pause))) => Handled::Failed(Failure {
            pause: Some(pause),
            ..chosen(format!("another attempt in {pause:?}"))
        }),
        Ok(Ok(Settlement::Park(reason))) => Handled::Failed(Failure {
            permanent: true,
            ..chosen(printable(LONGEST_REASON, reason))
        }),
        Ok(Ok(settlement)) => Handled::Settled(settlement),
        Ok(Err(error)) => Handled::Failed(error.into_failure()),
        Err(panic) => Handled::Failed(Failure::new(panic)),
    }
}
