//! Serializes values, with the name of the type where the format would lose the type.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::short_string::ShortString;
use crate::model::value::{Headers, Value};

const I8: &str = "!i8";
const U8: &str = "!u8";
const I16: &str = "!i16";
const U16: &str = "!u16";
const U32: &str = "!u32";
const I64: &str = "!i64";
const F32: &str = "!f32";
const F32_TEXT: &str = "!f32_text";
const F64_TEXT: &str = "!f64_text";
const DECIMAL: &str = "!decimal";
const BYTES: &str = "!bytes";
const TIMESTAMP: &str = "!timestamp";
const TABLE: &str = "!table";
/// The names that a map has instead of those of a table.
const TAGS: [&str; 13] =
    [I8, U8, I16, U16, U32, I64, F32, F32_TEXT, F64_TEXT, DECIMAL, BYTES, TIMESTAMP, TABLE];

fn tagged<S: Serializer, T: Serialize + ?Sized>(
    serializer: S,
    tag: &'static str,
    value: &T,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(tag, value)?;
    map.end()
}

/// Serializes a value directly, or as a map that names the type.
///
/// Writes void, booleans, strings, lists and tables directly. Writes as a number a 32-bit integer,
/// a 64-bit integer beyond 32 bits, and a 64-bit floating point number. Writes any other value as a
/// map with one name: `!i8`, `!u8`, `!i16`, `!u16`, `!u32`, `!i64`, `!f32`, `!decimal` (scale and
/// value), `!bytes` or `!timestamp`. Writes a table whose first name is one of these in a map with
/// the name `!table`. Writes a floating point number that JSON does not have as text, such as
/// `{"!f64_text": "inf"}` and `{"!f32_text": "NaN"}`.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Void => serializer.serialize_unit(),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::I32(number) => serializer.serialize_i32(*number),
            Value::I64(number) if i32::try_from(*number).is_err() => {
                serializer.serialize_i64(*number)
            }
            Value::F64(number) if number.is_finite() => serializer.serialize_f64(*number),
            Value::F64(number) => tagged(serializer, F64_TEXT, &number.to_string()),
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(values) => values.serialize(serializer),
            Value::Table(table) if has_name_of_type(table) => tagged(serializer, TABLE, table),
            Value::Table(table) => table.serialize(serializer),
            Value::I8(number) => tagged(serializer, I8, number),
            Value::U8(number) => tagged(serializer, U8, number),
            Value::I16(number) => tagged(serializer, I16, number),
            Value::U16(number) => tagged(serializer, U16, number),
            Value::U32(number) => tagged(serializer, U32, number),
            Value::I64(number) => tagged(serializer, I64, number),
            Value::F32(number) if number.is_finite() => tagged(serializer, F32, number),
            Value::F32(number) => tagged(serializer, F32_TEXT, &number.to_string()),
            Value::Decimal { scale, value } => tagged(serializer, DECIMAL, &(scale, value)),
            Value::Bytes(bytes) => tagged(serializer, BYTES, bytes),
            Value::Timestamp(seconds) => tagged(serializer, TIMESTAMP, seconds),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value of a header or an argument")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Void)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Void)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(i32::try_from(number).map_or(Value::I64(number), Value::I32))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        let number = i64::try_from(number);
        number
            .map_err(|_| E::custom("AMQP has no unsigned 64-bit integer"))
            .and_then(|number| self.visit_i64(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::F64(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_string()))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(bytes.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut table = Headers::new();
        while let Some(name) = map.next_key::<ShortString>()? {
            if table.is_empty()
                && let Some(value) = typed_value(&name, &mut map)?
            {
                if map.next_key::<ShortString>()?.is_some() {
                    return Err(A::Error::custom(format!("{name:?} must be alone in its map")));
                }
                return Ok(value);
            }
            table.insert(name, map.next_value::<Value>()?);
        }
        Ok(Value::Table(table))
    }
}

/// Reads the value if `name` is the name of a type, and returns `None` otherwise.
fn typed_value<'de, A: MapAccess<'de>>(name: &str, map: &mut A) -> Result<Option<Value>, A::Error> {
    Ok(Some(match name {
        I8 => Value::I8(map.next_value()?),
        U8 => Value::U8(map.next_value()?),
        I16 => Value::I16(map.next_value()?),
        U16 => Value::U16(map.next_value()?),
        U32 => Value::U32(map.next_value()?),
        I64 => Value::I64(map.next_value()?),
        F32 => Value::F32(map.next_value()?),
        F32_TEXT => Value::F32(number_of(&map.next_value::<String>()?)?),
        F64_TEXT => Value::F64(number_of(&map.next_value::<String>()?)?),
        TABLE => Value::Table(map.next_value()?),
        BYTES => Value::Bytes(map.next_value()?),
        TIMESTAMP => Value::Timestamp(map.next_value()?),
        DECIMAL => {
            let (scale, value) = map.next_value()?;
            Value::Decimal { scale, value }
        }
        _ => return Ok(None),
    }))
}

/// Returns whether a reader would take the table for a value with the name of its type.
fn has_name_of_type(table: &Headers) -> bool {
    table.iter().next().is_some_and(|(name, _)| TAGS.iter().any(|tag| **name == **tag))
}

fn number_of<N: FromStr, E: Error>(text: &str) -> Result<N, E> {
    text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &"a number"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn every_kind_of_value_survives_json() {
        let inner = Headers::from([("z", Value::Void), ("a", Value::Bool(true))]);
        let values = Value::Array(vec![
            Value::Void,
            Value::Bool(false),
            Value::I8(-8),
            Value::U8(8),
            Value::I16(-16),
            Value::U16(16),
            Value::I32(-32),
            Value::U32(u32::MAX),
            Value::I64(64),
            Value::I64(i64::MIN),
            Value::F32(1.5),
            Value::F64(-0.1),
            Value::Decimal { scale: 2, value: 314 },
            Value::String("text".into()),
            Value::Bytes(vec![0, 255]),
            Value::Timestamp(7),
            Value::Array(vec![Value::I32(1)]),
            Value::Table(inner),
        ]);
        let written = serde_json::to_string(&values).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), values);
        assert!(written.starts_with(r#"[null,false,{"!i8":-8}"#), "{written}");
    }

    #[test]
    fn numbers_that_json_does_not_have_survive() {
        for number in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            for value in [Value::F64(number), Value::F32(number as f32)] {
                let written = serde_json::to_string(&value).unwrap();
                let read: Value = serde_json::from_str(&written).unwrap();
                assert_eq!(format!("{read:?}"), format!("{value:?}"), "{written}");
            }
        }
        assert_eq!(serde_json::from_str::<Value>(r#"{"!f32": 0.1}"#).unwrap(), Value::F32(0.1));
        for wrong in [r#"{"!f64_text": "much"}"#, r#"{"!f32": null}"#] {
            assert!(serde_json::from_str::<Value>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn table_with_the_name_of_a_type_survives() {
        for name in TAGS {
            let table = Headers::from([(name, Value::I32(1)), ("other", Value::Void)]);
            let table = Headers::from([(name, Value::Table(table))]);
            let value = Value::Array(vec![Value::Table(table)]);
            let written = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value, "{written}");
        }
    }

    #[test]
    fn a_number_without_a_type_becomes_the_smallest_value_that_holds_it() {
        let json = r#"{"x-max-length": 100, "x-big": 5000000000, "x-rate": 0.5, "x": {"a": [1]}}"#;
        let headers: Headers = serde_json::from_str(json).unwrap();
        assert_eq!(headers.get("x-max-length"), Some(&Value::I32(100)));
        assert_eq!(headers.get("x-big"), Some(&Value::I64(5_000_000_000)));
        assert_eq!(headers.get("x-rate"), Some(&Value::F64(0.5)));
        let same = Value::from(serde_json::from_str::<serde_json::Value>(json).unwrap());
        assert_eq!(same, Value::Table(headers));
    }

    #[test]
    fn a_type_with_another_name_beside_it_is_refused() {
        assert!(serde_json::from_str::<Value>(r#"{"!i8": 1, "b": 2}"#).is_err());
        assert!(serde_json::from_str::<Value>(r#"{"!i8": 1000}"#).is_err());
        assert!(serde_json::from_str::<Value>("18446744073709551615").is_err());
    }
}
