//! The properties of messages and wire formats, which Java calls a primitive map.

use crate::wire::error::OpenWireError;
use crate::wire::modified_utf8;
use crate::wire::wire_field::{write_octets, write_text};
use crate::wire::wire_reader::WireReader;

/// The most levels of nested maps and lists.
const DEPTH: usize = 32;
/// Above this number of characters, Java writes a string with a length of four octets.
const LONG_STRING: usize = 8191;

const NULL: u8 = 0;
const BOOLEAN: u8 = 1;
const BYTE: u8 = 2;
const CHARACTER: u8 = 3;
const SHORT: u8 = 4;
const INTEGER: u8 = 5;
const LONG: u8 = 6;
const DOUBLE: u8 = 7;
const FLOAT: u8 = 8;
const STRING: u8 = 9;
const OCTETS: u8 = 10;
const MAP: u8 = 11;
const LIST: u8 = 12;
const BIG_STRING: u8 = 13;

/// A value of a property map.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PropertyValue {
    Null,
    Bool(bool),
    I8(i8),
    Character(u16),
    I16(i16),
    I32(i32),
    I64(i64),
    F64(f64),
    F32(f32),
    Text(String),
    Octets(Vec<u8>),
    Map(PropertyMap),
    List(Vec<PropertyValue>),
}

/// Names and values, in the order of the wire.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct PropertyMap(pub(crate) Vec<(String, PropertyValue)>);

impl PropertyMap {
    /// Returns the last value of a name, as Java does.
    pub(crate) fn get(&self, name: &str) -> Option<&PropertyValue> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(crate) fn push(&mut self, name: impl Into<String>, value: PropertyValue) {
        self.0.push((name.into(), value));
    }

    /// Returns a whole number.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        match *self.get(name)? {
            PropertyValue::I8(number) => Some(number.into()),
            PropertyValue::I16(number) => Some(number.into()),
            PropertyValue::I32(number) => Some(number.into()),
            PropertyValue::I64(number) => Some(number),
            _ => None,
        }
    }

    /// Reads a map that fills its octets. No octets are a map without values.
    pub(crate) fn read(octets: &[u8], within: &'static str) -> Result<PropertyMap, OpenWireError> {
        if octets.is_empty() {
            return Ok(PropertyMap::default());
        }
        read_map(&mut WireReader::new(octets, within), DEPTH)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend(i32::try_from(self.0.len()).unwrap_or(i32::MAX).to_be_bytes());
        for (name, value) in &self.0 {
            write_text(name, out);
            value.write(out);
        }
    }
}

fn read_map(reader: &mut WireReader<'_>, depth: usize) -> Result<PropertyMap, OpenWireError> {
    let levels = deeper(reader, depth)?;
    let count = reader.i32("the number of values")?;
    let mut map = PropertyMap::default();
    // Java writes -1 for no map.
    for _ in 0..count.max(0) {
        let name = reader.short_text("the name of a value")?;
        map.0.push((name, read_value(reader, levels)?));
    }
    Ok(map)
}

fn read_list(
    reader: &mut WireReader<'_>,
    depth: usize,
) -> Result<Vec<PropertyValue>, OpenWireError> {
    let levels = deeper(reader, depth)?;
    let count = reader.i32("the number of values")?;
    let mut list = Vec::new();
    for _ in 0..count.max(0) {
        list.push(read_value(reader, levels)?);
    }
    Ok(list)
}

fn deeper(reader: &WireReader<'_>, depth: usize) -> Result<usize, OpenWireError> {
    let within = reader.within();
    depth.checked_sub(1).ok_or(OpenWireError::TooDeep { within, limit: DEPTH })
}

fn read_value(reader: &mut WireReader<'_>, depth: usize) -> Result<PropertyValue, OpenWireError> {
    const FIELD: &str = "a value";
    Ok(match reader.u8("the type of a value")? {
        NULL => PropertyValue::Null,
        BOOLEAN => PropertyValue::Bool(reader.bool(FIELD)?),
        BYTE => PropertyValue::I8(i8::from_be_bytes(reader.array(FIELD)?)),
        CHARACTER => PropertyValue::Character(reader.u16(FIELD)?),
        SHORT => PropertyValue::I16(i16::from_be_bytes(reader.array(FIELD)?)),
        INTEGER => PropertyValue::I32(reader.i32(FIELD)?),
        LONG => PropertyValue::I64(reader.i64(FIELD)?),
        DOUBLE => PropertyValue::F64(f64::from_be_bytes(reader.array(FIELD)?)),
        FLOAT => PropertyValue::F32(f32::from_be_bytes(reader.array(FIELD)?)),
        STRING => PropertyValue::Text(reader.short_text(FIELD)?),
        OCTETS => PropertyValue::Octets(reader.long_octets(FIELD)?.to_vec()),
        MAP => PropertyValue::Map(read_map(reader, depth)?),
        LIST => PropertyValue::List(read_list(reader, depth)?),
        BIG_STRING => PropertyValue::Text(reader.long_text(FIELD)?),
        kind => return Err(OpenWireError::ValueKind { within: reader.within(), kind }),
    })
}

impl PropertyValue {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            PropertyValue::Null => out.push(NULL),
            PropertyValue::Bool(value) => out.extend([BOOLEAN, u8::from(*value)]),
            PropertyValue::I8(value) => tagged(BYTE, &value.to_be_bytes(), out),
            PropertyValue::Character(value) => tagged(CHARACTER, &value.to_be_bytes(), out),
            PropertyValue::I16(value) => tagged(SHORT, &value.to_be_bytes(), out),
            PropertyValue::I32(value) => tagged(INTEGER, &value.to_be_bytes(), out),
            PropertyValue::I64(value) => tagged(LONG, &value.to_be_bytes(), out),
            PropertyValue::F64(value) => tagged(DOUBLE, &value.to_be_bytes(), out),
            PropertyValue::F32(value) => tagged(FLOAT, &value.to_be_bytes(), out),
            PropertyValue::Text(text) => write_string(text, out),
            PropertyValue::Octets(octets) => {
                out.push(OCTETS);
                write_octets(octets, out);
            }
            PropertyValue::Map(map) => {
                out.push(MAP);
                map.write(out);
            }
            PropertyValue::List(list) => {
                out.push(LIST);
                out.extend(i32::try_from(list.len()).unwrap_or(i32::MAX).to_be_bytes());
                list.iter().for_each(|value| value.write(out));
            }
        }
    }
}

fn tagged(kind: u8, octets: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(octets);
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    if text.len() <= LONG_STRING {
        out.push(STRING);
        return write_text(text, out);
    }
    out.push(BIG_STRING);
    let mut octets = Vec::with_capacity(modified_utf8::encoded_len(text));
    modified_utf8::encode(text, &mut octets);
    write_octets(&octets, out);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn reread(map: &PropertyMap) -> PropertyMap {
        let mut out = Vec::new();
        map.write(&mut out);
        PropertyMap::read(&out, "test").unwrap()
    }

    #[test]
    fn values_of_every_type_are_read_as_written() {
        let mut inner = PropertyMap::default();
        inner.push("deep", PropertyValue::List(vec![PropertyValue::Null, PropertyValue::I8(-3)]));
        let mut map = PropertyMap::default();
        for value in [
            PropertyValue::Null,
            PropertyValue::Bool(true),
            PropertyValue::I8(-1),
            PropertyValue::Character(65),
            PropertyValue::I16(-2),
            PropertyValue::I32(i32::MIN),
            PropertyValue::I64(i64::MAX),
            PropertyValue::F64(0.1),
            PropertyValue::F32(-2.5),
            PropertyValue::Text("\0 é 😀".into()),
            PropertyValue::Text("x".repeat(100_000)),
            PropertyValue::Octets(vec![0, 255]),
            PropertyValue::Map(inner),
        ] {
            map.push(format!("name {}", map.0.len()), value);
        }
        assert_eq!(reread(&map), map);
    }

    #[test]
    fn map_that_is_too_deep_is_refused() {
        let nest = |levels| {
            (1..levels)
                .fold(PropertyValue::List(Vec::new()), |inner, _| PropertyValue::List(vec![inner]))
        };
        let mut out = Vec::new();
        PropertyMap(vec![("deep".into(), nest(DEPTH - 1))]).write(&mut out);
        assert!(PropertyMap::read(&out, "test").is_ok());
        out.clear();
        PropertyMap(vec![("deep".into(), nest(DEPTH))]).write(&mut out);
        let refused = OpenWireError::TooDeep { within: "test", limit: DEPTH };
        assert_eq!(PropertyMap::read(&out, "test"), Err(refused));
    }

    #[test]
    fn announced_number_of_values_takes_no_memory() {
        let octets = [0x7f, 0xff, 0xff, 0xff];
        let read = PropertyMap::read(&octets, "test");
        assert!(matches!(read, Err(OpenWireError::Truncated { .. })), "{read:?}");
    }

    #[test]
    fn unknown_type_is_refused() {
        let octets = [0, 0, 0, 1, 0, 1, b'a', 14];
        let refused = OpenWireError::ValueKind { within: "test", kind: 14 };
        assert_eq!(PropertyMap::read(&octets, "test"), Err(refused));
    }
}
