//! Defines the values of headers and arguments, and the tables that hold them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::header_table::{HeaderTable, OwnedEntries, TableEntries};
use crate::model::short_string::ShortString;

/// An AMQP field value, which a header or an argument holds.
///
/// The types are those of AMQP 0-9-1, section 4.2.5.5, with the errata of RabbitMQ. No unsigned
/// 64-bit integer exists.
///
/// Numbers, strings, booleans, byte vectors, vectors of values and tables convert with [`From`].
/// `u8`, `u16` and `u32` convert to the next larger signed type, because some clients (bunny, Java
/// 5) cannot read unsigned types. `u64` and `usize` convert to [`I64`](Value::I64), or to their
/// decimal text above `i64::MAX`. The unsigned types must be named explicitly.
///
/// ```
/// use carrot::message::{Headers, Value};
///
/// let headers = Headers::from([("format", Value::from("pdf")), ("pages", Value::from(3))]);
/// assert_eq!(headers.get("format").and_then(Value::as_str), Some("pdf"));
/// assert_eq!(headers.get("pages").and_then(Value::as_i64), Some(3));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(clippy::exhaustive_enums, reason = "AMQP 0-9-1 defines the types of fields")]
pub enum Value {
    /// No value.
    ///
    /// As a binding argument of a headers exchange, requires only that the header is present.
    #[default]
    Void,
    /// A boolean.
    Bool(bool),
    /// A signed 8-bit integer.
    I8(i8),
    /// An unsigned 8-bit integer.
    U8(u8),
    /// A signed 16-bit integer.
    I16(i16),
    /// An unsigned 16-bit integer.
    U16(u16),
    /// A signed 32-bit integer.
    I32(i32),
    /// An unsigned 32-bit integer.
    U32(u32),
    /// A signed 64-bit integer.
    I64(i64),
    /// A 32-bit floating point number.
    F32(f32),
    /// A 64-bit floating point number.
    F64(f64),
    /// `value` divided by ten to the power of `scale`.
    Decimal {
        /// The number of decimal digits after the point.
        scale: u8,
        /// The number without the decimal point.
        value: i32,
    },
    /// A UTF-8 string of up to 4 GiB (a "long string").
    String(String),
    /// Bytes, up to 4 GiB.
    Bytes(Vec<u8>),
    /// Seconds since the Unix epoch.
    Timestamp(u64),
    /// A list of values.
    Array(Vec<Value>),
    /// A nested table.
    Table(Headers),
}

impl Value {
    /// Returns the text of a [`Value::String`], and `None` for any other type.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number of an integer of any type, and `None` for any other type.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Value::I8(number) => Some(number.into()),
            Value::U8(number) => Some(number.into()),
            Value::I16(number) => Some(number.into()),
            Value::U16(number) => Some(number.into()),
            Value::I32(number) => Some(number.into()),
            Value::U32(number) => Some(number.into()),
            Value::I64(number) => Some(number),
            _ => None,
        }
    }

    /// Returns a number of any type as a float, rounded if it does not fit. Returns `None` for any
    /// other type.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::F32(number) => Some(number.into()),
            Value::F64(number) => Some(number),
            _ => self.as_i64().map(|number| number as f64),
        }
    }

    /// Returns the octets of a [`Value::Bytes`] or a [`Value::String`], and `None` for any other
    /// type.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::String(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// Returns the boolean of a [`Value::Bool`], and `None` for any other type.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// Returns the list of a [`Value::Array`], and `None` for any other type.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }

    /// Returns the table of a [`Value::Table`], and `None` for any other type.
    pub fn as_table(&self) -> Option<&Headers> {
        match self {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

/// A table of named values: the headers of a message, or the arguments of a queue, exchange,
/// binding or consumer.
///
/// Names are unique, and keep the order in which they were set. Two tables are equal if they hold
/// the same names and values, in any order. A name has at most 255 octets. By convention, the
/// prefix `x-` belongs to RabbitMQ (arguments, death records).
///
/// ```
/// use carrot::message::{Headers, Value};
///
/// let mut headers = Headers::new();
/// headers.insert("attempt", 2);
/// headers.insert("origin", "importer");
/// assert_eq!(headers.len(), 2);
/// assert_eq!(headers.get("attempt"), Some(&Value::I32(2)));
/// ```
#[derive(Clone, PartialEq, Default)]
// Boxed, because a value is as large as its largest type.
pub struct Headers(Box<HeaderTable<Value>>);

impl Headers {
    /// Creates an empty table.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Creates a table of one name.
    pub(super) fn of_one(name: ShortString, value: Value) -> Headers {
        Headers(Box::new(HeaderTable::of_one(name, value)))
    }

    /// Sets `name` to `value`, and returns the former value. A new name comes last.
    pub fn insert(
        &mut self,
        name: impl Into<ShortString>,
        value: impl Into<Value>,
    ) -> Option<Value> {
        self.0.insert(name.into(), value.into())
    }

    /// Returns the value of `name`, if it is set.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Removes `name`, and returns its value. The other names keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Returns whether `name` is set.
    pub fn contains(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether no name is set.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// Returns an iterator over all names and values, in the order in which the names were set.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.0.iter())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl<N: Into<ShortString>, V: Into<Value>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Headers {
        let mut headers = Headers::new();
        headers.extend(pairs);
        headers
    }
}

impl<N: Into<ShortString>, V: Into<Value>, const LENGTH: usize> From<[(N, V); LENGTH]> for Headers {
    fn from(pairs: [(N, V); LENGTH]) -> Headers {
        pairs.into_iter().collect()
    }
}

impl<N: Into<ShortString>, V: Into<Value>> Extend<(N, V)> for Headers {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, pairs: I) {
        for (name, value) in pairs {
            self.insert(name, value);
        }
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
        let table = indexmap::IndexMap::<ShortString, Value>::deserialize(deserializer)?;
        Ok(table.into_iter().collect())
    }
}

/// An iterator over the names and values of a table, which it owns.
#[derive(Debug)]
pub struct IntoIter(OwnedEntries<Value>);

impl Iterator for IntoIter {
    type Item = (ShortString, Value);

    fn next(&mut self) -> Option<(ShortString, Value)> {
        self.0.next()
    }
}

impl IntoIterator for Headers {
    type Item = (ShortString, Value);
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter((*self.0).into_iter())
    }
}

/// An iterator over the names and values of a table.
#[derive(Debug, Clone)]
pub struct Iter<'a>(TableEntries<'a, Value>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a ShortString, &'a Value);

    #[inline]
    fn next(&mut self) -> Option<(&'a ShortString, &'a Value)> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Headers {
    type Item = (&'a ShortString, &'a Value);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_small() {
        assert!(size_of::<Value>() <= 32, "{}", size_of::<Value>());
    }

    #[test]
    fn names_keep_their_order_and_equality_ignores_it() {
        let mut one = Headers::from([("b", 1), ("a", 2), ("c", 3)]);
        assert_eq!(one, Headers::from([("c", 3), ("a", 2), ("b", 1)]));
        let names: Vec<&str> = one.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["b", "a", "c"]);
        assert_eq!(one.insert("a", 4), Some(Value::I32(2)));
        assert_eq!(one.remove("b"), Some(Value::I32(1)));
        assert_eq!(format!("{one:?}"), r#"{"a": I32(4), "c": I32(3)}"#);
    }

    #[test]
    fn a_name_that_is_no_text_is_kept_beside_the_text_that_shows_it() {
        let mut headers = Headers::new();
        headers.insert(ShortString::from_octets(b"\xff"), 1);
        headers.insert("\u{fffd}", 2);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers.get("\u{fffd}"), Some(&Value::I32(2)));
    }
}
