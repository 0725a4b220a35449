//! The fields of commands, in loose encoding.

use crate::wire::error::OpenWireError;
use crate::wire::modified_utf8;
use crate::wire::wire_reader::WireReader;

/// The longest string of two octets of length, in octets.
pub(crate) const LONGEST_TEXT: usize = u16::MAX as usize;

/// A field of a command.
pub(crate) trait WireField: Sized {
    /// Reads the field.
    fn read_field(reader: &mut WireReader<'_>, field: &'static str) -> Result<Self, OpenWireError>;

    /// Appends the field.
    fn write_field(&self, out: &mut Vec<u8>);
}

/// An object that may be nested in a field, behind the octet of its type.
pub(crate) trait WireObject: Sized {
    /// Reads the object, whose type octet was read.
    fn read_object(
        kind: u8,
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<Self, OpenWireError>;

    /// Appends the type octet and the object.
    fn write_object(&self, out: &mut Vec<u8>);
}

macro_rules! numbers {
    ($($number:ident)*) => {$(
        impl WireField for $number {
            fn read_field(
                reader: &mut WireReader<'_>,
                field: &'static str,
            ) -> Result<$number, OpenWireError> {
                reader.$number(field)
            }

            fn write_field(&self, out: &mut Vec<u8>) {
                out.extend(self.to_be_bytes());
            }
        }
    )*};
}

numbers!(u8 i32 i64);

/// A number behind an object that may have an unknown size. It is 0 if that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TailNumber(pub(crate) i32);

impl WireField for TailNumber {
    fn read_field(
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<TailNumber, OpenWireError> {
        if reader.is_skipped() { Ok(TailNumber(0)) } else { reader.i32(field).map(TailNumber) }
    }

    fn write_field(&self, out: &mut Vec<u8>) {
        self.0.write_field(out);
    }
}

impl WireField for bool {
    fn read_field(reader: &mut WireReader<'_>, field: &'static str) -> Result<bool, OpenWireError> {
        reader.bool(field)
    }

    fn write_field(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl WireField for Option<String> {
    fn read_field(
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<Option<String>, OpenWireError> {
        if reader.bool(field)? { reader.short_text(field).map(Some) } else { Ok(None) }
    }

    fn write_field(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(text) = self {
            write_text(text, out);
        }
    }
}

impl WireField for Option<Vec<u8>> {
    fn read_field(
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<Option<Vec<u8>>, OpenWireError> {
        if reader.bool(field)? {
            reader.long_octets(field).map(|octets| Some(octets.to_vec()))
        } else {
            Ok(None)
        }
    }

    fn write_field(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(octets) = self {
            write_octets(octets, out);
        }
    }
}

impl<O: WireObject> WireField for Option<O> {
    fn read_field(
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<Option<O>, OpenWireError> {
        if !reader.bool(field)? {
            return Ok(None);
        }
        let kind = reader.u8(field)?;
        O::read_object(kind, reader, field).map(Some)
    }

    fn write_field(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(object) = self {
            object.write_object(out);
        }
    }
}

impl<O: WireObject> WireObject for Box<O> {
    fn read_object(
        kind: u8,
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<Box<O>, OpenWireError> {
        O::read_object(kind, reader, field).map(Box::new)
    }

    fn write_object(&self, out: &mut Vec<u8>) {
        (**self).write_object(out);
    }
}

/// An array of objects. One without objects is written as absent.
impl<O: WireObject> WireField for Vec<O> {
    fn read_field(
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<Vec<O>, OpenWireError> {
        if !reader.bool(field)? {
            return Ok(Vec::new());
        }
        let count = reader.u16(field)?;
        let mut objects = Vec::new();
        for _ in 0..count {
            objects.extend(Option::<O>::read_field(reader, field)?);
        }
        Ok(objects)
    }

    fn write_field(&self, out: &mut Vec<u8>) {
        out.push(u8::from(!self.is_empty()));
        if self.is_empty() {
            return;
        }
        let count = u16::try_from(self.len()).unwrap_or(u16::MAX);
        out.extend(count.to_be_bytes());
        for object in self.iter().take(count.into()) {
            out.push(1);
            object.write_object(out);
        }
    }
}

/// Appends a length of two octets and a string. A longer string is cut at a character.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend([0; 2]);
    for character in text.chars() {
        let end = out.len();
        modified_utf8::encode(character.encode_utf8(&mut [0; 4]), out);
        if out.len() - start - 2 > LONGEST_TEXT {
            out.truncate(end);
            break;
        }
    }
    let length = u16::try_from(out.len() - start - 2).unwrap_or(u16::MAX);
    if let Some(prefix) = out.get_mut(start..start + 2) {
        prefix.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a length of four octets and the octets.
pub(crate) fn write_octets(octets: &[u8], out: &mut Vec<u8>) {
    // The limit of a message is far below.
    out.extend(i32::try_from(octets.len()).unwrap_or(i32::MAX).to_be_bytes());
    out.extend_from_slice(octets);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn long_string_is_cut_at_a_character() {
        let mut out = Vec::new();
        write_text(&"\u{20ac}".repeat(30_000), &mut out);
        assert_eq!(out.len(), 2 + 65_535);
        let text = WireReader::new(&out, "test").short_text("text").unwrap();
        assert_eq!(text.chars().count(), 21_845);
    }

    #[test]
    fn announced_array_takes_no_memory() {
        let octets = [1, 0xff, 0xff];
        let read = Vec::<crate::wire::ids::BrokerId>::read_field(
            &mut WireReader::new(&octets, "test"),
            "brokerPath",
        );
        assert!(matches!(read, Err(OpenWireError::Truncated { .. })), "{read:?}");
    }
}
