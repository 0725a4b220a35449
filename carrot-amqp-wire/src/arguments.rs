use std::fmt;

use carrot_core::{Headers, Value};

use crate::cursor::Cursor;
use crate::error::WireError;
use crate::field_writer::FieldWriter;
use crate::raw_table::RawTable;
use crate::table::{MAX_DEPTH, TableRef};

/// A table to write, or a table that was read: arguments or headers.
///
/// Reading produces [`Arguments::Wire`]. Two tables are equal if their octets are.
#[derive(Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "a table is octets or values")]
pub enum Arguments<'a> {
    /// Octets, which are written unchanged.
    Wire(TableRef<'a>),
    /// Values.
    Headers(&'a Headers),
}

impl<'a> Arguments<'a> {
    /// Takes a table with its length, and checks the table.
    pub(crate) fn read(
        cursor: &mut Cursor<'a>,
        field: &'static str,
    ) -> Result<Arguments<'a>, WireError> {
        let octets = cursor.long(field)?;
        TableRef::checked(octets, cursor.within()).map(Arguments::Wire)
    }

    /// Appends the table with its length.
    pub(crate) fn write(
        self,
        writer: &mut FieldWriter<'_>,
        field: &'static str,
    ) -> Result<(), WireError> {
        match self {
            Arguments::Wire(table) => writer.long(table.as_bytes(), field),
            Arguments::Headers(headers) => write_table(headers, writer, field, 1),
        }
    }

    /// Returns whether the table holds no name.
    pub fn is_empty(self) -> bool {
        match self {
            Arguments::Wire(table) => table.is_empty(),
            Arguments::Headers(headers) => headers.is_empty(),
        }
    }

    /// Converts the table to the type that programs use, as [`TableRef::to_headers`] does.
    pub fn to_headers(self) -> Headers {
        match self {
            Arguments::Wire(table) => table.to_headers(),
            Arguments::Headers(headers) => headers.clone(),
        }
    }

    /// Copies the octets of the table.
    ///
    /// # Errors
    /// - [`WireError::TooLong`]: a name is longer than 255 bytes.
    /// - [`WireError::TooDeep`]: the values have more than [`MAX_DEPTH`] levels.
    pub fn to_raw(self) -> Result<RawTable, WireError> {
        match self {
            Arguments::Wire(table) => Ok(RawTable::from(table)),
            Arguments::Headers(headers) => {
                let mut octets = Vec::new();
                let mut writer = FieldWriter::new(&mut octets, "a table");
                write_entries(headers, &mut writer, 1)?;
                Ok(RawTable::from(TableRef::unchecked(&octets)))
            }
        }
    }
}

impl Default for Arguments<'_> {
    /// Returns the empty table.
    fn default() -> Self {
        Arguments::Wire(TableRef::default())
    }
}

impl PartialEq for Arguments<'_> {
    fn eq(&self, other: &Arguments<'_>) -> bool {
        match (self, other) {
            (Arguments::Wire(one), Arguments::Wire(other)) => one == other,
            _ => self.to_raw().is_ok_and(|one| other.to_raw() == Ok(one)),
        }
    }
}

impl fmt::Debug for Arguments<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arguments::Wire(table) => table.fmt(formatter),
            Arguments::Headers(headers) => headers.fmt(formatter),
        }
    }
}

impl<'a> From<&'a Headers> for Arguments<'a> {
    fn from(headers: &'a Headers) -> Arguments<'a> {
        Arguments::Headers(headers)
    }
}

impl<'a> From<TableRef<'a>> for Arguments<'a> {
    fn from(table: TableRef<'a>) -> Arguments<'a> {
        Arguments::Wire(table)
    }
}

impl<'a> From<&'a RawTable> for Arguments<'a> {
    fn from(table: &'a RawTable) -> Arguments<'a> {
        Arguments::Wire(table.as_table())
    }
}

fn write_table(
    headers: &Headers,
    writer: &mut FieldWriter<'_>,
    field: &'static str,
    depth: usize,
) -> Result<(), WireError> {
    if depth > MAX_DEPTH {
        return Err(WireError::TooDeep { within: writer.within(), limit: MAX_DEPTH });
    }
    writer.sized(field, |writer| write_entries(headers, writer, depth))
}

fn write_entries(
    headers: &Headers,
    writer: &mut FieldWriter<'_>,
    depth: usize,
) -> Result<(), WireError> {
    for (name, value) in headers.iter() {
        writer.short(name.as_bytes(), "a header name")?;
        write_value(value, writer, depth)?;
    }
    Ok(())
}

/// Appends a value with its type. Types are those of RabbitMQ.
fn write_value(value: &Value, writer: &mut FieldWriter<'_>, depth: usize) -> Result<(), WireError> {
    const FIELD: &str = "value";
    let mut tagged = |kind: u8, octets: &[u8]| {
        writer.octets(&[kind]);
        writer.octets(octets);
    };
    match value {
        Value::Void => tagged(b'V', &[]),
        Value::Bool(truth) => tagged(b't', &[u8::from(*truth)]),
        Value::I8(number) => tagged(b'b', &number.to_be_bytes()),
        Value::U8(number) => tagged(b'B', &[*number]),
        Value::I16(number) => tagged(b's', &number.to_be_bytes()),
        Value::U16(number) => tagged(b'u', &number.to_be_bytes()),
        Value::I32(number) => tagged(b'I', &number.to_be_bytes()),
        Value::U32(number) => tagged(b'i', &number.to_be_bytes()),
        Value::I64(number) => tagged(b'l', &number.to_be_bytes()),
        Value::F32(number) => tagged(b'f', &number.to_be_bytes()),
        Value::F64(number) => tagged(b'd', &number.to_be_bytes()),
        Value::Decimal { scale, value } => {
            tagged(b'D', &[*scale]);
            writer.octets(&value.to_be_bytes());
        }
        Value::Timestamp(seconds) => tagged(b'T', &seconds.to_be_bytes()),
        Value::String(text) => {
            writer.octets(b"S");
            writer.long(text.as_bytes(), FIELD)?;
        }
        Value::Bytes(bytes) => {
            writer.octets(b"x");
            writer.long(bytes, FIELD)?;
        }
        Value::Table(headers) => {
            tagged(b'F', &[]);
            write_table(headers, writer, FIELD, depth + 1)?;
        }
        Value::Array(_) if depth == MAX_DEPTH => {
            return Err(WireError::TooDeep { within: writer.within(), limit: MAX_DEPTH });
        }
        Value::Array(values) => {
            tagged(b'A', &[]);
            writer.sized(FIELD, |writer| {
                values.iter().try_for_each(|value| write_value(value, writer, depth + 1))
            })?;
        }
    }
    Ok(())
}
