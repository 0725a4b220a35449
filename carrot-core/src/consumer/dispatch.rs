//! Decodes a message, and passes the value to the program's code under a guard.

use std::cell::Cell;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::consumer::failure::{Failure, FailurePolicy};
use crate::consumer::handled::{Handled, HandledAs};
use crate::consumer::handler_error::HandlerError;
use crate::consumer::message::Message;
use crate::consumer::settlement::Settlement;
use crate::error::Error;
use crate::panic_guard::{describe, drop_guarded, guard};

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

/// Decodes `message`, or returns how the message failed. Catches every panic of the program's code.
pub(crate) fn decode<T: DeserializeOwned>(
    message: &Message,
    policy: &FailurePolicy,
) -> Result<T, Handled> {
    let error = match guard(|| message.decode()) {
        Ok(Ok(payload)) => return Ok(payload),
        Ok(Err(error)) => error,
        Err(panic) => message.undecodable(Arc::new(Panicked(panic))),
    };
    Err(undecodable(message, policy, error))
}

/// Calls `receive` with a message that is not decoded. Catches every panic of the program's code.
pub(crate) fn handle_whole(
    message: &Message,
    policy: &FailurePolicy,
    receive: impl FnOnce(&Message) -> Result<Settlement, HandlerError>,
) -> Handled {
    match message.check_readable() {
        Ok(()) => outcome(guard(|| receive(message))),
        Err(error) => undecodable(message, policy, error),
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
        None => Handled::failed_with(Failure::new(describe(&error))),
    };
    drop_guarded(error);
    match failed.0 {
        HandledAs::Failed(failure) => {
            Handled::failed_with(Failure { undecodable: true, ..failure })
        }
        settled => Handled(settled),
    }
}

fn outcome(result: Result<Result<Settlement, HandlerError>, String>) -> Handled {
    match result {
        Ok(Ok(settlement)) => Handled::settled(settlement),
        Ok(Err(error)) => Handled::failed_with(error.into_failure()),
        Err(panic) => Handled::failed_with(Failure::new(panic)),
    }
}
