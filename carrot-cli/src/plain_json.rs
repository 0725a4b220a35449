//! Arguments as RabbitMQ's management API shows them: without the types of numbers.

use serde_json::{Map, Value};

/// Removes the tags that carrot gives to values whose type JSON would lose, such as
/// `{"!i64": 9}`. Octets become text.
pub(crate) fn untagged(value: Value) -> Value {
    match value {
        Value::Object(fields) => match tagged(&fields) {
            Some(value) => value,
            None => fields
                .into_iter()
                .map(|(name, value)| (name, untagged(value)))
                .collect::<Map<_, _>>()
                .into(),
        },
        Value::Array(values) => values.into_iter().map(untagged).collect(),
        other => other,
    }
}

/// Returns the value behind the tag of a number, a time or octets.
fn tagged(fields: &Map<String, Value>) -> Option<Value> {
    let mut all = fields.iter();
    let (Some((tag, value)), None) = (all.next(), all.next()) else { return None };
    match &**tag {
        "!i8" | "!u8" | "!i16" | "!u16" | "!u32" | "!i64" | "!f32" | "!timestamp" => {
            Some(value.clone())
        }
        "!bytes" => {
            let octets = value.as_array()?.iter().map(|octet| octet.as_u64()?.try_into().ok());
            let octets: Vec<u8> = octets.collect::<Option<_>>()?;
            Some(String::from_utf8_lossy(&octets).into())
        }
        _ => None,
    }
}
