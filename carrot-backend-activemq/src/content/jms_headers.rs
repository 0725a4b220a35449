//! Headers as properties of JMS, which are numbers, booleans and texts.

use carrot_core::backend::ShortString;
use carrot_core::{Headers, Value};

use crate::wire::property_map::{PropertyMap, PropertyValue};

/// The longest name of a header, in bytes.
const LONGEST_NAME: usize = 255;
/// The beginnings of names that have a meaning for the broker or for JMS.
const RESERVED: [&str; 4] = ["JMS", "AMQ", "CamelJms", super::kept_properties::NAME];

/// Adds each header that JMS can hold. Other clients read them; Carrot reads the kept ones.
pub(crate) fn add(headers: &Headers, map: &mut PropertyMap) {
    for (name, value) in headers.iter() {
        if !is_identifier(name) {
            continue;
        }
        if let Some(value) = property(value) {
            map.push(name.as_str(), value);
        }
    }
}

/// Returns whether a name is an identifier of Java without a meaning for the broker.
fn is_identifier(name: &ShortString) -> bool {
    let name = name.as_str();
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_$".contains(character);
    !name.is_empty()
        && name.chars().all(is_part)
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !RESERVED.iter().any(|reserved| name.starts_with(reserved))
}

fn property(value: &Value) -> Option<PropertyValue> {
    Some(match value {
        Value::Bool(value) => PropertyValue::Bool(*value),
        Value::I8(value) => PropertyValue::I8(*value),
        Value::I16(value) => PropertyValue::I16(*value),
        Value::I32(value) => PropertyValue::I32(*value),
        Value::I64(value) => PropertyValue::I64(*value),
        Value::U8(value) => PropertyValue::I16((*value).into()),
        Value::U16(value) => PropertyValue::I32((*value).into()),
        Value::U32(value) => PropertyValue::I64((*value).into()),
        Value::F32(value) => PropertyValue::F32(*value),
        Value::F64(value) => PropertyValue::F64(*value),
        Value::String(text) => PropertyValue::Text(text.to_string()),
        _ => return None,
    })
}

/// Returns the properties of a message of another client as headers. A name of more than 255 bytes
/// is left out.
pub(crate) fn from_properties(map: PropertyMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in map.0 {
        if name.len() <= LONGEST_NAME {
            headers.insert(name, header(value));
        }
    }
    headers
}

fn header(value: PropertyValue) -> Value {
    match value {
        PropertyValue::Null => Value::Void,
        PropertyValue::Bool(value) => Value::Bool(value),
        PropertyValue::I8(value) => Value::I8(value),
        PropertyValue::Character(unit) => {
            let unit = char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
            Value::from(unit.to_string())
        }
        PropertyValue::I16(value) => Value::I16(value),
        PropertyValue::I32(value) => Value::I32(value),
        PropertyValue::I64(value) => Value::I64(value),
        PropertyValue::F64(value) => Value::F64(value),
        PropertyValue::F32(value) => Value::F32(value),
        PropertyValue::Text(text) => Value::from(text),
        PropertyValue::Octets(octets) => Value::Bytes(octets),
        PropertyValue::Map(map) => Value::Table(from_properties(map)),
        PropertyValue::List(list) => Value::Array(list.into_iter().map(header).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_values_of_jms_are_added() {
        let mut headers = Headers::new();
        headers.insert("ok", 5_i32);
        headers.insert("x-dashed", "no identifier");
        headers.insert("AMQ_SCHEDULED_DELAY", 60_000_i64);
        headers.insert("JMSXGroupID", "g");
        headers.insert("octets", Value::Bytes(vec![1]));
        let mut map = PropertyMap::default();
        add(&headers, &mut map);
        assert_eq!(map, PropertyMap(vec![("ok".into(), PropertyValue::I32(5))]));
    }
}
