use std::collections::BTreeMap;
use std::collections::btree_map;
use std::time::SystemTime;

/// One AMQP field value: what a header or an argument can hold.
///
/// The set is that of AMQP 0-9-1 as RabbitMQ speaks it (section 4.2.5.5 of the specification, with
/// RabbitMQ's errata). It has no unsigned 64-bit integer.
///
/// Numbers, strings, booleans, byte vectors, vectors of values and tables convert with [`From`]. An
/// unsigned integer becomes the next larger signed one: the readers of some clients (bunny, Java 5)
/// end at the unsigned types, which are there for who asks for them by name.
///
/// ```
/// use carrot::message::{Headers, Value};
///
/// let headers: Headers = [("format", Value::from("pdf")), ("pages", Value::from(3))].into_iter().collect();
/// assert_eq!(headers.get("format").and_then(Value::as_str), Some("pdf"));
/// assert_eq!(headers.get("pages").and_then(Value::as_i64), Some(3));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// No value. As a binding argument of a headers exchange: the header only has to be present.
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
        /// How many decimal digits follow the point.
        scale: u8,
        /// The number without its point.
        value: u32,
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
    /// The text, if this is a [`Value::String`].
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is any of the integer types.
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

    /// The boolean, if this is a [`Value::Bool`].
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// The list, if this is a [`Value::Array`].
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The nested table, if this is a [`Value::Table`].
    pub fn as_table(&self) -> Option<&Headers> {
        match self {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),* $(,)?) => {$(
        impl From<$source> for Value {
            fn from(value: $source) -> Value {
                Value::$variant(value.into())
            }
        }
    )*};
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        Value::String(text.clone())
    }
}

/// The number, or its decimal digits as text if it is more than the largest signed 64-bit integer:
/// AMQP has no larger one.
impl From<u64> for Value {
    fn from(number: u64) -> Value {
        i64::try_from(number).map_or_else(|_| Value::String(number.to_string()), Value::I64)
    }
}

/// As from `u64`.
impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::from(number as u64)
    }
}

/// In whole seconds. A time before 1970 becomes zero.
impl From<SystemTime> for Value {
    fn from(time: SystemTime) -> Value {
        Value::Timestamp(Timestamp::from(time).0)
    }
}

/// A point in time as AMQP has it: whole seconds since the Unix epoch. Made from a number of
/// seconds, or from [`SystemTime`].
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use carrot::message::Timestamp;
///
/// assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(7_900)), Timestamp(7));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a number of seconds is all that there is")]
pub struct Timestamp(pub u64);

impl From<u64> for Timestamp {
    fn from(seconds: u64) -> Timestamp {
        Timestamp(seconds)
    }
}

/// A time before 1970 becomes zero.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Timestamp {
        Timestamp(time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

from! {
    bool => Bool, i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => I16, u16 => I32, u32 => I64, f32 => F32, f64 => F64,
    String => String, &str => String, Vec<u8> => Bytes, &[u8] => Bytes, Vec<Value> => Array, Headers => Table,
}

/// A table of named values: the headers of a message, or the arguments of a queue, exchange,
/// binding or consumer.
///
/// Names are unique and kept in alphabetical order. A name is at most 255 bytes of UTF-8; RabbitMQ
/// reserves the prefixes `x-` (arguments, death records) for itself by convention.
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Headers(BTreeMap<String, Value>);

impl Headers {
    /// An empty table.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Sets `name` to `value`; gives back what it held before.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.0.insert(name.into(), value.into())
    }

    /// The value of `name`, if it is set.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Takes `name` out of the table.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Whether `name` is set, to whatever value.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// How many names are set.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no name is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<N: Into<String>, V: Into<Value>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Headers {
        Headers(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<N: Into<String>, V: Into<Value>, const LENGTH: usize> From<[(N, V); LENGTH]> for Headers {
    fn from(pairs: [(N, V); LENGTH]) -> Headers {
        pairs.into_iter().collect()
    }
}

impl<N: Into<String>, V: Into<Value>> Extend<(N, V)> for Headers {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, pairs: I) {
        self.0.extend(pairs.into_iter().map(|(name, value)| (name.into(), value.into())));
    }
}

impl IntoIterator for Headers {
    type Item = (String, Value);
    type IntoIter = btree_map::IntoIter<String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
