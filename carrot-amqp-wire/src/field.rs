use crate::arguments::Arguments;
use crate::cursor::Cursor;
use crate::error::WireError;
use crate::field_writer::FieldWriter;
use crate::strings::{LongStr, SecretStr, ShortStr};
#[cfg(test)]
use crate::testing::Samples;

/// The name of reserved fields in errors.
const RESERVED: &str = "reserved";

/// A field of a method or a property, whose Rust type decides its form (AMQP 0-9-1 4.2.5).
pub(crate) trait Field<'a>: Sized + Default {
    fn read_field(cursor: &mut Cursor<'a>, field: &'static str) -> Result<Self, WireError>;
    fn write_field(
        &self,
        writer: &mut FieldWriter<'_>,
        field: &'static str,
    ) -> Result<(), WireError>;
    #[cfg(test)]
    fn sample_field(samples: &mut Samples<'a>) -> Self;

    /// Takes a reserved field, which may have any value.
    #[inline]
    fn skip_reserved(cursor: &mut Cursor<'a>) -> Result<(), WireError> {
        Self::read_field(cursor, RESERVED).map(drop)
    }

    /// Appends a reserved field, as 0 or empty.
    #[inline]
    fn write_reserved(writer: &mut FieldWriter<'_>) -> Result<(), WireError> {
        Self::default().write_field(writer, RESERVED)
    }
}

macro_rules! fields {
    ($($type:ty: $read:expr, $write:expr, $sample:expr;)*) => {$(
        impl<'a> Field<'a> for $type {
            #[inline]
            fn read_field(cursor: &mut Cursor<'a>, field: &'static str) -> Result<Self, WireError> {
                let read: fn(&mut Cursor<'a>, &'static str) -> Result<Self, WireError> = $read;
                read(cursor, field)
            }

            #[inline]
            fn write_field(
                &self,
                writer: &mut FieldWriter<'_>,
                field: &'static str,
            ) -> Result<(), WireError> {
                let write: fn(&Self, &mut FieldWriter<'_>, &'static str) -> Result<(), WireError> =
                    $write;
                write(self, writer, field)
            }

            #[cfg(test)]
            fn sample_field(samples: &mut Samples<'a>) -> Self {
                let sample: fn(&mut Samples<'a>) -> Self = $sample;
                sample(samples)
            }
        }
    )*};
}

macro_rules! number {
    ($writer:ident, $number:ident) => {{
        $writer.octets(&$number.to_be_bytes());
        Ok(())
    }};
}

fields! {
    u8: Cursor::u8, |number, writer, _| number!(writer, number), |samples| samples.number() as u8;
    u16: Cursor::u16, |number, writer, _| number!(writer, number),
        |samples| samples.number() as u16;
    u32: Cursor::u32, |number, writer, _| number!(writer, number),
        |samples| samples.number() as u32;
    u64: Cursor::u64, |number, writer, _| number!(writer, number), |samples| samples.number();
    bool: Cursor::bit, |bit, writer, _| {
        writer.bit(*bit);
        Ok(())
    }, |samples| samples.number() & (1 << 40) != 0;
    ShortStr<'a>: |cursor, field| cursor.short(field).map(ShortStr::new),
        |octets, writer, field| writer.short(octets.as_bytes(), field),
        |samples| samples.octets().into();
    LongStr<'a>: |cursor, field| cursor.long(field).map(LongStr::new),
        |octets, writer, field| writer.long(octets.as_bytes(), field),
        |samples| samples.octets().into();
    SecretStr<'a>: |cursor, field| cursor.long(field).map(SecretStr::new),
        |octets, writer, field| writer.long(octets.as_bytes(), field),
        |samples| samples.octets().into();
    Arguments<'a>: Arguments::read, |table, writer, field| table.write(writer, field),
        |samples| samples.headers().into();
}
