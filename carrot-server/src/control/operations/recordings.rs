//! Recordings of exchanges.

use serde_json::{Value, json};

use crate::control::error::ControlError;
use crate::control::operations::call::{LONGEST_NAME, OperationCall, done};
use crate::control::operations::shown::{self, MessageRange};
use crate::sync::lock;

pub(super) fn start(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let exchange = call.fields.text("exchange", LONGEST_NAME)?;
    call.fields.finish()?;
    let number = lock(call.recordings).start(call.broker, &exchange)?;
    Ok(json!({ "recording": number }))
}

pub(super) fn show(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let number = call.fields.number("recording", 1..=u32::MAX)?;
    let range = MessageRange::of(&mut call.fields)?;
    call.fields.finish()?;
    let messages = lock(call.recordings).find(number)?.messages();
    shown::messages(messages.iter().map(|content| shown::message(content, Value::Null)), range)
}

pub(super) fn stop(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let number = call.fields.number("recording", 1..=u32::MAX)?;
    call.fields.finish()?;
    lock(call.recordings).stop(number)?;
    done()
}
