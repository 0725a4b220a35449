//! The messages of a queue.

use std::sync::Arc;

use carrot_core::Properties;
use carrot_core::backend::{Content, printable};
use serde_json::{Value, json};

use crate::control::base64;
use crate::control::error::{ControlError, LONGEST_VALUE};
use crate::control::operations::call::{LONGEST_NAME, OperationCall, done};
use crate::control::operations::shown::MessageRange;
use crate::control::operations::{inspect, shown};
use crate::control::request::LARGEST_BODY;

/// Where a message of a queue is.
#[derive(Clone, Copy)]
enum MessageState {
    Ready,
    Delayed,
    Unacked,
}

const STATES: &[(&str, MessageState)] = &[
    ("ready", MessageState::Ready),
    ("delayed", MessageState::Delayed),
    ("unacked", MessageState::Unacked),
];

pub(super) fn peek(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let name = call.fields.text("queue", LONGEST_NAME)?;
    let state = call.fields.one_of_or("state", STATES, MessageState::Ready)?;
    let range = MessageRange::of(&mut call.fields)?;
    call.fields.finish()?;
    let view = call.broker.queue(&name).ok_or_else(|| inspect::no_queue(&name))?;
    let message = |content: &Arc<Content>| shown::message(content, Value::Null);
    match state {
        MessageState::Ready => shown::messages(view.ready.iter().map(message), range),
        MessageState::Delayed => shown::messages(view.delayed.iter().map(message), range),
        MessageState::Unacked => {
            let messages = view.unacked.iter().map(|unacked| {
                let holder = json!({
                    "connection": unacked.connection,
                    "channel": unacked.channel,
                    "tag": unacked.tag.0,
                });
                shown::message(&unacked.content, holder)
            });
            shown::messages(messages, range)
        }
    }
}

pub(super) fn put(mut call: OperationCall<'_>) -> Result<Value, ControlError> {
    let queue = call.fields.text("queue", LONGEST_NAME)?;
    let exchange = call.fields.optional_text("exchange", LONGEST_NAME)?.unwrap_or_default();
    let routing_key = call.fields.optional_text("routing_key", LONGEST_NAME)?;
    let properties = properties(call.fields.value("properties"))?;
    let text = call.fields.optional_text("body", LARGEST_BODY)?;
    let octets = call.fields.optional_text("body_base64", LARGEST_BODY)?;
    call.fields.finish()?;
    let body = match (text, octets) {
        (Some(_), Some(_)) => {
            let reason = "fields \"body\" and \"body_base64\": only one of them can be given";
            return Err(ControlError::new(400, reason));
        }
        (text, None) => text.unwrap_or_default().into_bytes(),
        (None, Some(octets)) => base64::decode(&octets).ok_or_else(|| {
            ControlError::field("body_base64", &octets.into(), "has to be base64 with padding")
        })?,
    };
    let routing_key = routing_key.unwrap_or_else(|| queue.clone());
    let content = Content::new(exchange, routing_key, body).with_properties(properties);
    call.broker.put(&queue, content)?;
    done()
}

fn properties(given: Option<Value>) -> Result<Properties, ControlError> {
    let Some(given) = given else { return Ok(Properties::new()) };
    if !given.is_object() {
        return Err(ControlError::field("properties", &given, "has to be a JSON object"));
    }
    serde_json::from_value(given).map_err(|error| {
        let reason = format!("field \"properties\": {}", printable(2 * LONGEST_VALUE, error));
        ControlError::new(400, reason)
    })
}
