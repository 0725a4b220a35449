//! Tables as octets, which are checked once and converted on demand.

use std::fmt;

use carrot_core::{Headers, Value};

use crate::cursor::Cursor;
use crate::error::WireError;
use crate::strings::{LongStr, ShortStr};

/// The maximum number of levels of nested tables and arrays. The outermost table is the first.
///
/// Checks and conversions call themselves for each level. The limit bounds their stack.
pub const MAX_DEPTH: usize = 128;

/// The octets of a table, borrowed and checked (AMQP 0-9-1 4.2.5.5).
///
/// Checking allocates nothing. Lengths, types and depth are correct afterwards. Names and strings
/// may be any octets.
///
/// A name may occur more than once. [`get`](TableRef::get) and [`to_headers`](TableRef::to_headers)
/// take the first occurrence, as RabbitMQ does when it reads a header or an argument.
///
/// ```
/// use carrot_amqp_wire::{RawValue, TableRef};
///
/// let table = TableRef::new(b"\x01aI\0\0\0\x07\x01bV")?;
/// assert_eq!(table.get("a"), Some(RawValue::I32(7)));
/// assert_eq!(table.to_headers().len(), 2);
/// # Ok::<(), carrot_amqp_wire::WireError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct TableRef<'a>(&'a [u8]);

impl<'a> TableRef<'a> {
    /// Checks the octets of a table, which follow its length.
    ///
    /// # Errors
    /// - [`WireError::Truncated`]: the octets end within a name or a value.
    /// - [`WireError::ValueKind`]: a value has an unknown type.
    /// - [`WireError::TooDeep`]: the table has more than [`MAX_DEPTH`] levels.
    pub fn new(octets: &'a [u8]) -> Result<TableRef<'a>, WireError> {
        TableRef::checked(octets, "a table")
    }

    /// Checks the octets of a table, for errors with this name.
    pub(crate) fn checked(
        octets: &'a [u8],
        within: &'static str,
    ) -> Result<TableRef<'a>, WireError> {
        check_table(octets, within, 1)?;
        Ok(TableRef(octets))
    }

    pub(crate) fn unchecked(octets: &'a [u8]) -> TableRef<'a> {
        TableRef(octets)
    }

    /// Returns the octets, without the length before them.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns whether the table holds no name.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Returns an iterator over the names and values as they arrived, duplicate names included.
    pub fn iter(self) -> TableIter<'a> {
        TableIter(Cursor::new(self.0, "a table"))
    }

    /// Returns the first value of `name`. Compares octets.
    pub fn get<'n>(self, name: impl Into<ShortStr<'n>>) -> Option<RawValue<'a>> {
        let name = name.into();
        self.iter().find(|(found, _)| found.as_bytes() == name.as_bytes()).map(|(_, value)| value)
    }

    /// Returns the octets of the table with its names in ascending order, each once, with its first
    /// value. Tables inside stay as they are. RabbitMQ 4 forwards headers in this form.
    pub fn sorted_by_name(self) -> Vec<u8> {
        let mut entries = self.entries();
        entries.sort_by_key(|(name, _)| *name);
        entries.dedup_by_key(|(name, _)| *name);
        entries.into_iter().flat_map(|(_, octets)| octets).copied().collect()
    }

    /// Returns the octets of the table without the values of `name`.
    pub fn without(self, name: &str) -> Vec<u8> {
        let mut entries = self.entries();
        entries.retain(|(found, _)| *found != name.as_bytes());
        entries.into_iter().flat_map(|(_, octets)| octets).copied().collect()
    }

    /// Returns each name, with the octets of the name and its value.
    fn entries(self) -> Vec<(&'a [u8], &'a [u8])> {
        let mut cursor = Cursor::new(self.0, "a table");
        let mut entries = Vec::new();
        loop {
            let before = cursor.rest();
            let Ok(name) = cursor.short(NAME) else { break };
            if RawValue::read(&mut cursor).is_err() {
                break;
            }
            let length = before.len() - cursor.rest().len();
            entries.push((name, before.get(..length).unwrap_or_default()));
        }
        entries
    }

    /// Converts the table to the type that programs use.
    ///
    /// Names keep their octets and their order. Of a duplicate name, the first value is taken. The
    /// result takes up to 60 times the memory of the octets, if they hold very many small values.
    pub fn to_headers(self) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in self.iter() {
            let name = name.to_short_string();
            // A name keeps its place when its value is set again.
            if let Some(first) = headers.insert(name.clone(), value.to_value()) {
                headers.insert(name, first);
            }
        }
        headers
    }
}

impl From<TableRef<'_>> for Headers {
    fn from(table: TableRef<'_>) -> Headers {
        table.to_headers()
    }
}

impl fmt::Debug for TableRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for TableRef<'a> {
    type Item = (ShortStr<'a>, RawValue<'a>);
    type IntoIter = TableIter<'a>;

    fn into_iter(self) -> TableIter<'a> {
        self.iter()
    }
}

/// An iterator over the names and values of a [`TableRef`].
#[derive(Debug, Clone)]
pub struct TableIter<'a>(Cursor<'a>);

impl<'a> Iterator for TableIter<'a> {
    type Item = (ShortStr<'a>, RawValue<'a>);

    fn next(&mut self) -> Option<(ShortStr<'a>, RawValue<'a>)> {
        let name = self.0.short(NAME).ok()?;
        Some((ShortStr::new(name), RawValue::read(&mut self.0).ok()?))
    }
}

/// The octets of an array in a [`TableRef`], borrowed and checked (AMQP 0-9-1 4.2.5.5).
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ArrayRef<'a>(&'a [u8]);

impl<'a> ArrayRef<'a> {
    pub(crate) fn unchecked(octets: &'a [u8]) -> ArrayRef<'a> {
        ArrayRef(octets)
    }

    /// Returns whether the array holds no value.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Returns an iterator over the values.
    pub fn iter(self) -> ArrayIter<'a> {
        ArrayIter(Cursor::new(self.0, "an array"))
    }
}

impl fmt::Debug for ArrayRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for ArrayRef<'a> {
    type Item = RawValue<'a>;
    type IntoIter = ArrayIter<'a>;

    fn into_iter(self) -> ArrayIter<'a> {
        self.iter()
    }
}

/// An iterator over the values of an [`ArrayRef`].
#[derive(Debug, Clone)]
pub struct ArrayIter<'a>(Cursor<'a>);

impl<'a> Iterator for ArrayIter<'a> {
    type Item = RawValue<'a>;

    fn next(&mut self) -> Option<RawValue<'a>> {
        RawValue::read(&mut self.0).ok()
    }
}

/// A value of a [`TableRef`], which borrows its octets.
///
/// The types are those of [`Value`](carrot_core::Value). The type octets are those of RabbitMQ. `l`
/// and `L` are both signed 64-bit integers, and `s` and `U` are both signed 16-bit integers.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "AMQP 0-9-1 defines the types of fields")]
pub enum RawValue<'a> {
    /// No value (`V`).
    Void,
    /// A boolean (`t`). Any octet other than 0 is true.
    Bool(bool),
    /// A signed 8-bit integer (`b`).
    I8(i8),
    /// An unsigned 8-bit integer (`B`).
    U8(u8),
    /// A signed 16-bit integer (`s` or `U`).
    I16(i16),
    /// An unsigned 16-bit integer (`u`).
    U16(u16),
    /// A signed 32-bit integer (`I`).
    I32(i32),
    /// An unsigned 32-bit integer (`i`).
    U32(u32),
    /// A signed 64-bit integer (`l` or `L`).
    I64(i64),
    /// A 32-bit floating point number (`f`).
    F32(f32),
    /// A 64-bit floating point number (`d`).
    F64(f64),
    /// `value` divided by ten to the power of `scale` (`D`).
    Decimal {
        /// The number of decimal digits after the point.
        scale: u8,
        /// The number without the decimal point.
        value: i32,
    },
    /// A long string, which need not be UTF-8 (`S`).
    LongString(LongStr<'a>),
    /// Bytes (`x`).
    Bytes(LongStr<'a>),
    /// Seconds since the Unix epoch (`T`).
    Timestamp(u64),
    /// A list of values (`A`).
    Array(ArrayRef<'a>),
    /// A nested table (`F`).
    Table(TableRef<'a>),
}

const FIELD: &str = "value";

impl<'a> RawValue<'a> {
    /// Takes a value, without a look at the values inside.
    #[inline]
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<RawValue<'a>, WireError> {
        Ok(match cursor.u8("value type")? {
            b'S' => RawValue::LongString(LongStr::new(cursor.long(FIELD)?)),
            b'I' => RawValue::I32(cursor.array(FIELD).map(i32::from_be_bytes)?),
            b't' => RawValue::Bool(cursor.u8(FIELD)? != 0),
            b'l' | b'L' => RawValue::I64(cursor.array(FIELD).map(i64::from_be_bytes)?),
            b'F' => RawValue::Table(TableRef::unchecked(cursor.long(FIELD)?)),
            b'A' => RawValue::Array(ArrayRef::unchecked(cursor.long(FIELD)?)),
            b'V' => RawValue::Void,
            b'T' => RawValue::Timestamp(cursor.u64(FIELD)?),
            b'd' => RawValue::F64(cursor.array(FIELD).map(f64::from_be_bytes)?),
            b'f' => RawValue::F32(cursor.array(FIELD).map(f32::from_be_bytes)?),
            b'b' => RawValue::I8(cursor.array(FIELD).map(i8::from_be_bytes)?),
            b'B' => RawValue::U8(cursor.u8(FIELD)?),
            b's' | b'U' => RawValue::I16(cursor.array(FIELD).map(i16::from_be_bytes)?),
            b'u' => RawValue::U16(cursor.u16(FIELD)?),
            b'i' => RawValue::U32(cursor.u32(FIELD)?),
            b'D' => RawValue::Decimal {
                scale: cursor.u8(FIELD)?,
                value: cursor.u32(FIELD)?.cast_signed(),
            },
            b'x' => RawValue::Bytes(LongStr::new(cursor.long(FIELD)?)),
            kind => return Err(WireError::ValueKind { within: cursor.within(), kind }),
        })
    }

    /// Converts the value to the type that programs use.
    ///
    /// A long string that is not UTF-8 converts to [`Value::Bytes`](carrot_core::Value::Bytes).
    ///
    /// ```
    /// use carrot_amqp_wire::{LongStr, RawValue};
    /// use carrot_core::Value;
    ///
    /// let latin_1 = RawValue::LongString(LongStr::new(b"caf\xe9"));
    /// assert_eq!(latin_1.to_value(), Value::Bytes(b"caf\xe9".to_vec()));
    /// ```
    pub fn to_value(self) -> Value {
        match self {
            RawValue::Void => Value::Void,
            RawValue::Bool(truth) => Value::Bool(truth),
            RawValue::I8(number) => Value::I8(number),
            RawValue::U8(number) => Value::U8(number),
            RawValue::I16(number) => Value::I16(number),
            RawValue::U16(number) => Value::U16(number),
            RawValue::I32(number) => Value::I32(number),
            RawValue::U32(number) => Value::U32(number),
            RawValue::I64(number) => Value::I64(number),
            RawValue::F32(number) => Value::F32(number),
            RawValue::F64(number) => Value::F64(number),
            RawValue::Decimal { scale, value } => Value::Decimal { scale, value },
            RawValue::LongString(octets) => match octets.as_str() {
                Some(text) => Value::String(text.into()),
                None => Value::Bytes(octets.as_bytes().into()),
            },
            RawValue::Bytes(octets) => Value::Bytes(octets.as_bytes().into()),
            RawValue::Timestamp(seconds) => Value::Timestamp(seconds),
            RawValue::Array(values) => {
                Value::Array(values.iter().map(RawValue::to_value).collect())
            }
            RawValue::Table(table) => Value::Table(Headers::from(table)),
        }
    }
}

const NAME: &str = "name";

fn check_table(octets: &[u8], within: &'static str, depth: usize) -> Result<(), WireError> {
    let mut cursor = Cursor::new(octets, within);
    while !cursor.is_empty() {
        cursor.short(NAME)?;
        check_value(&mut cursor, depth)?;
    }
    Ok(())
}

fn check_array(octets: &[u8], within: &'static str, depth: usize) -> Result<(), WireError> {
    let mut cursor = Cursor::new(octets, within);
    while !cursor.is_empty() {
        check_value(&mut cursor, depth)?;
    }
    Ok(())
}

#[inline]
fn check_value(cursor: &mut Cursor<'_>, depth: usize) -> Result<(), WireError> {
    match RawValue::read(cursor)? {
        RawValue::Table(_) | RawValue::Array(_) if depth == MAX_DEPTH => {
            Err(WireError::TooDeep { within: cursor.within(), limit: MAX_DEPTH })
        }
        RawValue::Table(TableRef(octets)) => check_table(octets, cursor.within(), depth + 1),
        RawValue::Array(ArrayRef(octets)) => check_array(octets, cursor.within(), depth + 1),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
