//! Faults.

use std::ops::RangeInclusive;

use carrot_backend_memory::Operation;
use carrot_core::Error;
use carrot_core::backend::Content;
use serde_json::{Value, json};

use crate::control::error::ControlError;
use crate::control::fields::ControlFields;
use crate::control::operations::call::{LONGEST_NAME, OperationCall, done};

/// How often a fault can be planned, and the highest number of an operation.
const COUNTS: RangeInclusive<u32> = 1..=1_000_000_000;
/// The longest reply text, in bytes (AMQP 0-9-1 4.2.5.3).
const LONGEST_TEXT: usize = 255;
/// The longest body that messages are compared with, in bytes.
const LONGEST_BODY: usize = 64 << 10;
const DEFAULT_BLOCK_REASON: &str = "low on memory";

/// The codes that close a channel, with their names.
const CHANNEL_CODES: &[(u32, &str)] = &[
    (403, "ACCESS_REFUSED"),
    (404, "NOT_FOUND"),
    (405, "RESOURCE_LOCKED"),
    (406, "PRECONDITION_FAILED"),
];
/// The codes that close a connection, with their names.
const CONNECTION_CODES: &[(u32, &str)] = &[
    (320, "CONNECTION_FORCED"),
    (501, "FRAME_ERROR"),
    (502, "SYNTAX_ERROR"),
    (503, "COMMAND_INVALID"),
    (504, "CHANNEL_ERROR"),
    (505, "UNEXPECTED_FRAME"),
    (506, "RESOURCE_ERROR"),
    (530, "NOT_ALLOWED"),
    (540, "NOT_IMPLEMENTED"),
    (541, "INTERNAL_ERROR"),
];

const OPERATION_NAMES: &[(&str, Operation)] = &[
    ("connect", Operation::Connect),
    ("open", Operation::Open),
    ("declare", Operation::Declare),
    ("delete", Operation::Delete),
    ("publish", Operation::Publish),
    ("confirm", Operation::Confirm),
    ("get", Operation::Get),
    ("consume", Operation::Consume),
    ("next", Operation::Next),
    ("ack", Operation::Ack),
    ("reject", Operation::Reject),
    ("update_secret", Operation::UpdateSecret),
    ("any", Operation::Any),
];

pub(super) fn show(call: OperationCall<'_>) -> Result<Value, ControlError> {
    call.fields.finish()?;
    let faults = call.broker.faults();
    Ok(json!({ "outstanding": faults.outstanding(), "block_reason": faults.block_reason() }))
}

pub(super) fn drop_connections(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let name = call.fields.optional_text("name", LONGEST_NAME)?;
    call.fields.finish()?;
    match name {
        Some(name) => {
            call.broker.faults().drop_connections_named(&name)?;
        }
        None => {
            call.broker.faults().drop_connections();
        }
    }
    done()
}

pub(super) fn drop_connections_at(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let operation = operation(&mut call.fields)?;
    let nth = call.fields.number("nth", COUNTS)?;
    call.fields.finish()?;
    call.broker.faults().drop_connections_at(operation, nth);
    done()
}

pub(super) fn close_connection_at(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let operation = operation(&mut call.fields)?;
    let nth = call.fields.number("nth", COUNTS)?;
    let (code, text) = code(&mut call.fields, &[CONNECTION_CODES])?;
    call.fields.finish()?;
    call.broker.faults().close_connection_at(operation, nth, code, &text);
    done()
}

pub(super) fn refuse_connects(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let count = call.fields.number("count", COUNTS)?;
    call.fields.finish()?;
    call.broker.faults().refuse_connects(count);
    done()
}

pub(super) fn nack_publishes(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let count = call.fields.number("count", COUNTS)?;
    call.fields.finish()?;
    call.broker.faults().nack_publishes(count);
    done()
}

pub(super) fn lose_confirms(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let count = call.fields.number("count", COUNTS)?;
    call.fields.finish()?;
    call.broker.faults().lose_confirms(count);
    done()
}

pub(super) fn delay(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let operation = operation(&mut call.fields)?;
    let by = call.fields.seconds("seconds")?;
    let count = call.fields.number_or("count", COUNTS, 1)?;
    call.fields.finish()?;
    call.broker.faults().delay(operation, by, count);
    done()
}

pub(super) fn fail_next(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let operation = operation(&mut call.fields)?;
    let (code, text) = code(&mut call.fields, &[CHANNEL_CODES, CONNECTION_CODES])?;
    call.fields.finish()?;
    call.broker.faults().fail_next(operation, error(code, text));
    done()
}

pub(super) fn refuse_messages(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let (code, text) = code(&mut call.fields, &[CHANNEL_CODES, CONNECTION_CODES])?;
    let exchange = call.fields.optional_text("exchange", LONGEST_NAME)?;
    let routing_key = call.fields.optional_text("routing_key", LONGEST_NAME)?;
    let body = call.fields.optional_text("body", LONGEST_BODY)?;
    call.fields.finish()?;
    let has = |wanted: &Option<String>, found: &[u8]| {
        wanted.as_ref().is_none_or(|wanted| wanted.as_bytes() == found)
    };
    let which = move |content: &Content| {
        has(&exchange, content.exchange.as_bytes())
            && has(&routing_key, content.routing_key.as_bytes())
            && has(&body, &content.body)
    };
    call.broker.faults().refuse_messages(error(code, text), which);
    done()
}

pub(super) fn block_publishers(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let reason = call.fields.optional_text("reason", LONGEST_TEXT)?;
    call.fields.finish()?;
    call.broker.faults().block_publishers(reason.as_deref().unwrap_or(DEFAULT_BLOCK_REASON));
    done()
}

pub(super) fn unblock_publishers(call: OperationCall<'_>) -> Result<Value, ControlError> {
    call.fields.finish()?;
    call.broker.faults().unblock_publishers();
    done()
}

pub(super) fn clear(call: OperationCall<'_>) -> Result<Value, ControlError> {
    call.fields.finish()?;
    call.broker.faults().clear();
    done()
}

fn operation(fields: &mut ControlFields) -> Result<Operation, ControlError> {
    fields.one_of("operation", OPERATION_NAMES)
}

/// Takes the fields `code` and `text`. The code is one of `allowed`.
fn code(
    fields: &mut ControlFields,
    allowed: &[&[(u32, &str)]],
) -> Result<(u16, String), ControlError> {
    let given = fields.number("code", 0..=u32::from(u16::MAX))?;
    let text = fields.optional_text("text", LONGEST_TEXT)?;
    let known = || allowed.iter().flat_map(|codes| codes.iter());
    let found = known().find(|(code, _)| *code == given);
    let (Some((_, name)), Ok(code)) = (found, u16::try_from(given)) else {
        let codes: Vec<String> = known().map(|(code, _)| code.to_string()).collect();
        let limit = format!("has to be one of {}", codes.join(", "));
        return Err(ControlError::field("code", &given.into(), limit));
    };
    Ok((code, text.unwrap_or_else(|| format!("{name} - injected fault"))))
}

/// Returns the error of the broker that a peer receives as this code.
fn error(code: u16, reason: String) -> Error {
    match code {
        403 => Error::AccessRefused { reason },
        404 => Error::NotFound { reason },
        405 => Error::ResourceLocked { reason },
        406 => Error::PreconditionFailed { reason },
        code => Error::HardError { code, reason },
    }
}
