//! Connections, queues, exchanges and bindings.

use std::time::{Duration, Instant};

use carrot_core::Error;
use serde_json::{Value, json};

use crate::control::error::ControlError;
use crate::control::operations::call::{LONGEST_NAME, OperationCall, done};
use crate::control::operations::shown;

/// The longest wait for idle queues.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const DEFAULT_WAIT: Duration = Duration::from_secs(10);
/// The time after which a wait looks whether the interface ends.
const WAIT_SLICE: Duration = Duration::from_millis(100);

pub(super) fn connections(call: OperationCall<'_>) -> Result<Value, ControlError> {
    call.fields.finish()?;
    let connections = call.broker.connections();
    let connections: Vec<Value> = connections
        .iter()
        .map(|connection| {
            let channels: Vec<Value> = connection
                .channels
                .iter()
                .map(|channel| json!({ "channel": channel.channel, "unacked": channel.unacked }))
                .collect();
            json!({ "name": connection.name, "user": connection.user, "channels": channels })
        })
        .collect();
    Ok(json!({ "connections": connections }))
}

pub(super) fn queues(call: OperationCall<'_>) -> Result<Value, ControlError> {
    call.fields.finish()?;
    let names = call.broker.queues();
    let counts = names.iter().filter_map(|name| call.broker.queue_counts(name));
    let queues = counts.map(|counts| shown::queue(&counts)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "queues": queues }))
}

pub(super) fn queue(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let name = call.fields.text("queue", LONGEST_NAME)?;
    call.fields.finish()?;
    let view = call.broker.queue(&name).ok_or_else(|| no_queue(&name))?;
    let counts = call.broker.queue_counts(&name).ok_or_else(|| no_queue(&name))?;
    let mut queue = shown::queue(&counts)?;
    let consumers: Vec<Value> = view
        .consumers
        .iter()
        .map(|consumer| {
            json!({
                "channel": consumer.channel,
                "priority": consumer.priority,
                "room": consumer.room,
                "manual": consumer.manual,
                "active": consumer.active,
            })
        })
        .collect();
    queue.insert("consumer_details".into(), consumers.into());
    Ok(queue.into())
}

pub(super) fn exchanges(call: OperationCall<'_>) -> Result<Value, ControlError> {
    call.fields.finish()?;
    let names = call.broker.exchanges();
    let found = names.iter().filter_map(|name| call.broker.exchange(name));
    let exchanges = found
        .map(|exchange| {
            let mut exchange = shown::value(&exchange)?;
            if let Value::Object(fields) = &mut exchange {
                fields.remove("passive");
            }
            Ok(exchange)
        })
        .collect::<Result<Vec<Value>, ControlError>>()?;
    Ok(json!({ "exchanges": exchanges }))
}

pub(super) fn bindings(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let exchange = call.fields.optional_text("exchange", LONGEST_NAME)?;
    call.fields.finish()?;
    let bindings = match exchange {
        Some(exchange) if call.broker.exchange(&exchange).is_none() => {
            return Err(ControlError::new(404, format!("no exchange {exchange:?}")));
        }
        Some(exchange) => call.broker.bindings(&exchange),
        None => {
            let exchanges = call.broker.exchanges();
            exchanges.iter().flat_map(|exchange| call.broker.bindings(exchange)).collect()
        }
    };
    Ok(json!({ "bindings": shown::value(&bindings)? }))
}

pub(super) fn statistics(call: OperationCall<'_>) -> Result<Value, ControlError> {
    call.fields.finish()?;
    let broker = call.broker;
    let connections = broker.connections();
    let channels: usize = connections.iter().map(|connection| connection.channels.len()).sum();
    let names = broker.queues();
    let (mut ready, mut delayed, mut unacked, mut consumers) = (0, 0, 0, 0);
    for counts in names.iter().filter_map(|name| broker.queue_counts(name)) {
        ready += counts.ready;
        delayed += counts.delayed;
        unacked += counts.unacked;
        consumers += counts.consumers;
    }
    Ok(json!({
        "release": broker.release().to_string(),
        "connections": connections.len(),
        "channels": channels,
        "exchanges": broker.exchanges().len(),
        "queues": names.len(),
        "ready": ready,
        "delayed": delayed,
        "unacked": unacked,
        "consumers": consumers,
    }))
}

pub(super) fn wait_until_idle(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let timeout = call.fields.seconds_or("timeout_seconds", LONGEST_WAIT, DEFAULT_WAIT)?;
    call.fields.finish()?;
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match call.broker.wait_until_idle(left.min(WAIT_SLICE)) {
            Ok(()) => return done(),
            Err(Error::Timeout { operation, .. }) if left.is_zero() => {
                return Err(Error::Timeout { operation, after: timeout }.into());
            }
            Err(Error::Timeout { .. }) if !(call.is_stopping)() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

pub(super) fn no_queue(name: &str) -> ControlError {
    ControlError::new(404, format!("no queue {name:?}"))
}
