//! Converts Rust and JSON types to [`Value`].

use std::time::SystemTime;

use crate::model::timestamp::Timestamp;
use crate::model::value::{Headers, Value};

macro_rules! from {
    ($($source:ty => $variant:ident),* $(,)?) => {$(
        impl From<$source> for Value {
            fn from(value: $source) -> Value {
                Value::$variant(value.into())
            }
        }
    )*};
}

/// Converts null to [`Value::Void`], and a number to the smallest of [`Value::I32`],
/// [`Value::I64`] and [`Value::F64`] that holds it.
impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Void,
            serde_json::Value::Bool(truth) => Value::Bool(truth),
            serde_json::Value::String(text) => Value::String(text),
            serde_json::Value::Array(values) => {
                Value::Array(values.into_iter().map(Value::from).collect())
            }
            serde_json::Value::Object(object) => Value::Table(object.into_iter().collect()),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => i32::try_from(number).map_or(Value::I64(number), Value::I32),
                (None, Some(number)) => Value::from(number),
                (None, None) => Value::F64(number.as_f64().unwrap_or(f64::NAN)),
            },
        }
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        Value::String(text.clone())
    }
}

/// Converts to [`Value::I64`], or to decimal digits if the number exceeds [`i64::MAX`].
///
/// AMQP has no larger integer.
impl From<u64> for Value {
    fn from(number: u64) -> Value {
        i64::try_from(number).map_or_else(|_| Value::String(number.to_string()), Value::I64)
    }
}

/// Converts like `u64`.
impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::from(number as u64)
    }
}

/// Converts to whole seconds; a time before 1970 becomes zero.
impl From<SystemTime> for Value {
    fn from(time: SystemTime) -> Value {
        Value::Timestamp(Timestamp::from(time).0)
    }
}

from! {
    bool => Bool, i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => I16, u16 => I32, u32 => I64,
    f32 => F32, f64 => F64, String => String, &str => String, Vec<u8> => Bytes, &[u8] => Bytes,
    Vec<Value> => Array, Headers => Table,
}
