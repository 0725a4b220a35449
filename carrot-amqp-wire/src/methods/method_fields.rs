use crate::cursor::Cursor;
use crate::error::WireError;
use crate::field_writer::FieldWriter;
#[cfg(test)]
use crate::testing::Samples;

/// The fields of a method.
pub(crate) trait MethodFields<'a>: Sized {
    fn read_fields(cursor: &mut Cursor<'a>) -> Result<Self, WireError>;
    fn write_fields(&self, writer: &mut FieldWriter<'_>) -> Result<(), WireError>;
    #[cfg(test)]
    fn sample_fields(samples: &mut Samples<'a>) -> Self;
}
