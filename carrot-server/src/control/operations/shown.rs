//! Messages and declarations as JSON.

use carrot_backend_memory::QueueCounts;
use carrot_core::Error;
use carrot_core::backend::Content;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::control::base64;
use crate::control::error::ControlError;
use crate::control::fields::ControlFields;

/// The size of the largest body that is returned as a whole, in bytes.
const LARGEST_BODY: usize = 1 << 20;
/// The size of the most messages in a response, in bytes of JSON.
const MOST_BYTES: usize = 16 << 20;

/// Returns a value as JSON.
pub(super) fn value(value: &impl Serialize) -> Result<Value, ControlError> {
    serde_json::to_value(value).map_err(|error| {
        ControlError::new(500, format!("a value of the broker is not JSON: {error}"))
    })
}

/// Returns a message, with more fields.
pub(super) fn message(content: &Content, more: Value) -> Result<Value, ControlError> {
    message_within(content, more, LARGEST_BODY)
}

fn message_within(
    content: &Content,
    more: Value,
    largest_body: usize,
) -> Result<Value, ControlError> {
    let body: &[u8] = &content.body;
    let start = body.get(..largest_body).unwrap_or(body);
    let text = (start.len() == body.len()).then(|| std::str::from_utf8(body).ok()).flatten();
    let mut message = json!({
        "exchange": &*content.exchange,
        "routing_key": &*content.routing_key,
        "properties": value(&content.properties)?,
        "body": text,
        "body_base64": base64::encode(start),
        "body_bytes": body.len(),
    });
    if let (Value::Object(message), Value::Object(more)) = (&mut message, more) {
        message.extend(more);
    }
    Ok(message)
}

/// The part of a list of messages that a request asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct MessageRange {
    skip: usize,
    limit: usize,
}

impl MessageRange {
    /// Takes the fields `skip` and `limit`.
    pub(super) fn of(fields: &mut ControlFields) -> Result<MessageRange, ControlError> {
        const DEFAULT_LIMIT: u32 = 100;
        const MOST_MESSAGES: u32 = 10_000;
        Ok(MessageRange {
            skip: fields.number_or("skip", 0..=u32::MAX, 0)? as usize,
            limit: fields.number_or("limit", 0..=MOST_MESSAGES, DEFAULT_LIMIT)? as usize,
        })
    }
}

/// Returns the messages of a range, up to a size, and the number of all.
pub(super) fn messages(
    messages: impl ExactSizeIterator<Item = Result<Value, ControlError>>,
    range: MessageRange,
) -> Result<Value, ControlError> {
    messages_within(messages, range, MOST_BYTES)
}

fn messages_within(
    messages: impl ExactSizeIterator<Item = Result<Value, ControlError>>,
    range: MessageRange,
    most_bytes: usize,
) -> Result<Value, ControlError> {
    let total = messages.len();
    let mut size = 0;
    let mut shown = Vec::new();
    for message in messages.skip(range.skip).take(range.limit) {
        let message = message?;
        size += message.to_string().len();
        if size > most_bytes && !shown.is_empty() {
            break;
        }
        shown.push(message);
    }
    Ok(json!({ "total": total, "messages": shown }))
}

/// Returns the declaration of a queue, and its numbers.
pub(super) fn queue(counts: &QueueCounts) -> Result<Map<String, Value>, ControlError> {
    let Value::Object(mut queue) = value(&counts.definition)? else {
        return Err(Error::Backend { reason: "a queue is not a table".into(), source: None }.into());
    };
    queue.remove("passive");
    queue.insert("ready".into(), counts.ready.into());
    queue.insert("delayed".into(), counts.delayed.into());
    queue.insert("unacked".into(), counts.unacked.into());
    queue.insert("consumers".into(), counts.consumers.into());
    queue.insert("published".into(), counts.published.into());
    queue.insert("delivered".into(), counts.delivered.into());
    Ok(queue)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    #[test]
    fn large_body_is_cut_and_has_no_text() {
        let content = Content::new("", "q", "abcd");
        let whole = message_within(&content, Value::Null, 4).unwrap();
        assert_eq!((&whole["body"], &whole["body_base64"]), (&json!("abcd"), &json!("YWJjZA==")));
        let cut = message_within(&content, json!({ "tag": 7 }), 3).unwrap();
        assert_eq!((&cut["body"], &cut["body_base64"]), (&Value::Null, &json!("YWJj")));
        assert_eq!((&cut["body_bytes"], &cut["tag"]), (&json!(4), &json!(7)));
    }

    #[test]
    fn messages_are_limited_by_number_and_size_and_one_is_always_shown() {
        let shown = |skip, limit, most_bytes| {
            let messages = (0..5).map(|number| Ok(json!(number)));
            let range = MessageRange { skip, limit };
            let shown = messages_within(messages, range, most_bytes).unwrap();
            assert_eq!(shown["total"], 5);
            shown["messages"].to_string()
        };
        assert_eq!(shown(0, 9, 9), "[0,1,2,3,4]");
        assert_eq!(shown(1, 2, 9), "[1,2]");
        assert_eq!(shown(1, 9, 3), "[1,2,3]");
        assert_eq!(shown(4, 9, 0), "[4]");
        assert_eq!(shown(9, 9, 9), "[]");
    }
}
