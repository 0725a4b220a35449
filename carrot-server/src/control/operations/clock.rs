//! The manual clock.

use carrot_backend_memory::ManualClock;
use serde_json::{Value, json};

use crate::control::error::ControlError;
use crate::control::operations::call::OperationCall;

pub(super) fn show(call: OperationCall<'_>) -> Result<Value, ControlError> {
    call.fields.finish()?;
    let clock = call.broker.manual_clock();
    let elapsed = clock.as_ref().map(|clock| clock.elapsed().as_secs_f64());
    Ok(json!({ "manual": clock.is_some(), "elapsed_seconds": elapsed }))
}

pub(super) fn advance(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let by = call.fields.seconds("seconds")?;
    call.fields.finish()?;
    let clock = manual_clock(&call)?;
    clock.advance(by);
    Ok(json!({ "elapsed_seconds": clock.elapsed().as_secs_f64() }))
}

pub(super) fn advance_to_next(call: OperationCall<'_>) -> Result<Value, ControlError> {
    call.fields.finish()?;
    let clock = manual_clock(&call)?;
    let advanced = clock.advance_to_next().map(|by| by.as_secs_f64());
    let elapsed = clock.elapsed().as_secs_f64();
    Ok(json!({ "advanced_seconds": advanced, "elapsed_seconds": elapsed }))
}

fn manual_clock(call: &OperationCall<'_>) -> Result<ManualClock, ControlError> {
    call.broker.manual_clock().ok_or_else(|| {
        let reason = format!(
            "the broker of virtual host {:?} has the real clock; create it with a ManualClock",
            call.vhost
        );
        ControlError::new(409, reason)
    })
}
