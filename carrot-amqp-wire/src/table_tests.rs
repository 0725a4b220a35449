#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use amq_protocol::types::generation::gen_field_table;
use amq_protocol::types::parsing::parse_field_table;
use carrot_core::Value;
use carrot_core::backend::ShortString;
use proptest::prelude::*;

use crate::arguments::Arguments;
use crate::testing::headers;

use super::*;

/// Nests tables or arrays, the outermost table included.
fn nested(levels: usize, is_table: bool) -> Vec<u8> {
    let mut octets = Vec::new();
    for level in 1..levels {
        let inner = u32::try_from(octets.len()).unwrap().to_be_bytes();
        let is_last = level == levels - 1;
        let name: &[u8] = if is_table || is_last { b"\x01k" } else { b"" };
        let kind = if is_table { b"F" } else { b"A" };
        octets.splice(0..0, [name, kind, &inner].concat());
    }
    octets
}

fn values(levels: usize) -> Headers {
    let mut headers = Headers::new();
    for _ in 1..levels {
        headers = Headers::from([("k", Value::Table(headers))]);
    }
    headers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_table_survives_the_wire(headers in headers()) {
        let raw = Arguments::from(&headers).to_raw().unwrap();
        let table = TableRef::new(raw.as_table().as_bytes()).unwrap();
        let read = table.to_headers();
        prop_assert_eq!(&read, &headers);
        let mut names = read.iter().zip(headers.iter());
        prop_assert!(names.all(|((read, _), (written, _))| read == written));
        prop_assert_eq!(Arguments::from(table), Arguments::from(&headers));
        for (name, value) in table {
            prop_assert_eq!(table.get(name), Some(value));
        }
    }

    #[test]
    fn a_table_cut_at_any_octet_is_refused_or_shorter(headers in headers()) {
        let raw = Arguments::from(&headers).to_raw().unwrap();
        let octets = raw.as_table().as_bytes();
        for length in 0..octets.len() {
            match TableRef::new(&octets[..length]) {
                Ok(table) => prop_assert!(table.iter().count() < headers.len()),
                Err(error) => {
                    prop_assert!(matches!(error, WireError::Truncated { .. }), "{}", error);
                }
            }
        }
    }

    #[test]
    fn any_octets_are_read_or_refused(octets: Vec<u8>) {
        if let Ok(table) = TableRef::new(&octets) {
            let headers = table.to_headers();
            let again = Arguments::from(&headers).to_raw().unwrap();
            prop_assert_eq!(format!("{:?}", again.as_table().to_headers()), format!("{headers:?}"));
        }
    }
}

#[test]
fn each_value_is_written_as_amq_protocol_reads_and_writes_it() {
    let headers = Headers::from([
        ("a", Value::Void),
        ("b", Value::Bool(true)),
        ("c", Value::I8(-1)),
        ("d", Value::U8(200)),
        ("e", Value::I16(-2)),
        ("f", Value::U16(60_000)),
        ("g", Value::I32(-3)),
        ("h", Value::U32(4_000_000_000)),
        ("i", Value::I64(-4)),
        ("j", Value::F32(1.5)),
        ("k", Value::F64(-2.5)),
        ("l", Value::Decimal { scale: 2, value: 314 }),
        ("m", Value::String("text".into())),
        ("n", Value::Bytes(vec![0, 255])),
        ("o", Value::Timestamp(u64::MAX)),
        ("p", Value::Array(vec![Value::Void, Value::I32(1)])),
        ("q", Value::Table(Headers::from([("r", 1)]))),
    ]);
    let raw = Arguments::from(&headers).to_raw().unwrap();
    let octets = raw.as_table().as_bytes();
    let sized = [&u32::try_from(octets.len()).unwrap().to_be_bytes()[..], octets].concat();
    let (rest, amq) = parse_field_table(&sized).unwrap();
    assert!(rest.is_empty());
    assert_eq!(amq.len(), headers.len());
    let mut written = vec![0; sized.len()];
    let length = gen_field_table((&mut written, 0), &amq).unwrap().1;
    assert_eq!(&written[..length], &sized[..]);
    assert_eq!(TableRef::new(&written[4..length]).unwrap().to_headers(), headers);
}

#[test]
fn both_letters_of_an_integer_are_read() {
    let table = TableRef::new(
        b"\x01al\xff\xff\xff\xff\xff\xff\xff\xff\x01bL\xff\xff\xff\xff\xff\xff\xff\xfe\
          \x01cs\xff\xfd\x01dU\xff\xfc\x01et\x02",
    )
    .unwrap();
    let expected = [
        ("a", Value::I64(-1)),
        ("b", Value::I64(-2)),
        ("c", Value::I16(-3)),
        ("d", Value::I16(-4)),
        ("e", Value::Bool(true)),
    ];
    assert_eq!(table.to_headers(), Headers::from(expected));
}

#[test]
fn a_negative_decimal_keeps_its_octets() {
    let octets = b"\x01aD\x02\xff\xff\xff\x85";
    let headers = TableRef::new(octets).unwrap().to_headers();
    let negative = Value::Decimal { scale: 2, value: -123 };
    assert_eq!(headers.get("a"), Some(&negative));
    assert_eq!(Arguments::from(&headers).to_raw().unwrap().as_table().as_bytes(), octets);
}

#[test]
fn a_string_that_is_no_utf_8_becomes_bytes_and_what_follows_is_kept() {
    let octets = b"\x01aS\0\0\0\x04caf\xe9\x01bA\0\0\0\x0bS\0\0\0\x01\xffI\0\0\0\x07\x01ct\x01";
    let headers = TableRef::new(octets).unwrap().to_headers();
    let array = Value::Array(vec![Value::Bytes(b"\xff".to_vec()), 7.into()]);
    let expected = [("a", Value::Bytes(b"caf\xe9".to_vec())), ("b", array), ("c", true.into())];
    assert_eq!(headers, Headers::from(expected));
    let names: Vec<&str> = headers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn a_name_that_is_no_utf_8_keeps_its_octets() {
    let table = TableRef::new(b"\x04caf\xe9t\x01\x01bt\0").unwrap();
    assert_eq!(table.get(&b"caf\xe9"[..]), Some(RawValue::Bool(true)));
    let headers = table.to_headers();
    let names: Vec<&ShortString> = headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&ShortString::from_octets(b"caf\xe9"), &"b".into()]);
    let again = Arguments::from(&headers).to_raw().unwrap();
    assert_eq!(again.as_table(), table);
}

#[test]
fn of_a_duplicate_name_the_first_value_is_taken() {
    let table = TableRef::new(b"\x01ab\x01\x01bb\x02\x01ab\x03\x01ab\x04").unwrap();
    assert_eq!(table.get("a"), Some(RawValue::I8(1)));
    assert_eq!(table.iter().count(), 4);
    let headers = table.to_headers();
    assert_eq!(headers, Headers::from([("a", 1_i8), ("b", 2_i8)]));
    assert_eq!(headers.iter().next().map(|(name, _)| &**name), Some("a"));
}

#[test]
fn an_unknown_type_is_refused() {
    let known = b"tbBsUuIilLfdDSxAFTV";
    for kind in (0..=255_u8).filter(|kind| !known.contains(kind)) {
        let refused = WireError::ValueKind { within: "a table", kind };
        assert_eq!(TableRef::new(&[0, kind, 0, 0, 0, 0, 0, 0, 0, 0]), Err(refused));
    }
}

#[test]
fn tables_and_arrays_are_limited_to_128_levels() {
    let refused = WireError::TooDeep { within: "a table", limit: MAX_DEPTH };
    for is_table in [true, false] {
        let deepest = nested(MAX_DEPTH, is_table);
        let table = TableRef::new(&deepest).unwrap();
        let headers = table.to_headers();
        assert_eq!(Arguments::from(&headers).to_raw().unwrap().as_table(), table);
        assert!(!format!("{table:?}").is_empty());
        assert_eq!(TableRef::new(&nested(MAX_DEPTH + 1, is_table)), Err(refused.clone()));
    }
    let raw = Arguments::from(&values(MAX_DEPTH)).to_raw();
    assert!(raw.is_ok());
    assert_eq!(Arguments::from(&values(MAX_DEPTH + 1)).to_raw(), Err(refused.clone()));
    let array = Value::Array(vec![Value::Array(Vec::new())]);
    let mut inner = Headers::from([("k", array)]);
    for _ in 1..MAX_DEPTH - 1 {
        inner = Headers::from([("k", Value::Table(inner))]);
    }
    assert_eq!(Arguments::from(&inner).to_raw(), Err(refused));
}

#[test]
fn a_million_levels_are_refused_without_a_stack_overflow() {
    const LEVELS: usize = 1_000_000;
    const LEVEL: usize = 7;
    let mut octets = Vec::with_capacity(LEVELS * LEVEL);
    for level in (0..LEVELS).rev() {
        octets.extend(b"\x01kF");
        octets.extend(u32::try_from(level * LEVEL).unwrap().to_be_bytes());
    }
    let refused = WireError::TooDeep { within: "a table", limit: MAX_DEPTH };
    assert_eq!(TableRef::new(&octets), Err(refused));
}

#[test]
fn an_inner_length_beyond_the_outer_end_is_refused() {
    for inner in [
        &b"\x01aF\0\0\0\x0a\x01bt\x01\x01ct\x01"[..],
        b"\x01aA\0\0\0\x05t\x01t\x01",
        b"\x01aS\xff\xff\xff\xffabc",
        b"\x01ax\0\0\0\x04abc",
        b"\xffabc",
        b"\x01a",
    ] {
        let read = TableRef::new(inner);
        assert!(matches!(read, Err(WireError::Truncated { .. })), "{inner:?}: {read:?}");
    }
}

#[test]
fn sorted_table_has_each_name_once_with_its_first_value() {
    let table = TableRef::new(b"\x01bV\x01at\x01\x01bt\0\0V").unwrap();
    assert_eq!(table.sorted_by_name(), b"\0V\x01at\x01\x01bV");
    assert_eq!(TableRef::default().sorted_by_name(), b"");
}
