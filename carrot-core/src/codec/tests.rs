#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::error::Error as _;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: String,
    lines: Vec<Line>,
    note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Line {
    Item { sku: String, quantity: i32 },
    Gift(bool),
    Blank,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapper<T>(T);

/// JSON through the type-erased layer that every custom format uses.
#[derive(Debug)]
struct ErasedJson;

impl Format for ErasedJson {
    fn content_type(&self) -> &str {
        "application/x-erased"
    }

    fn content_encoding(&self) -> Option<&str> {
        None
    }

    fn encode(&self, value: Encodable<'_>) -> Result<Vec<u8>, FormatError> {
        Ok(serde_json::to_vec(&value)?)
    }

    fn decode(&self, body: &[u8], reader: BodyReader<'_>) -> Result<(), FormatError> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        reader.read(&mut deserializer)?;
        Ok(deserializer.end()?)
    }
}

fn order() -> Order {
    Order {
        id: u64::MAX,
        customer: "Zoë".into(),
        lines: vec![Line::Item { sku: "a".into(), quantity: -1 }, Line::Gift(true), Line::Blank],
        note: None,
    }
}

fn structured() -> Vec<Codec> {
    vec![
        Codec::json(),
        Codec::new(ErasedJson),
        #[cfg(feature = "bincode")]
        Codec::bincode(),
        #[cfg(feature = "message-pack")]
        Codec::message_pack(),
    ]
}

fn is_decode<T: std::fmt::Debug>(result: Result<T>) -> bool {
    matches!(&result, Err(error @ Error::Decode { .. }) if error.source().is_some())
}

fn is_encode<T: std::fmt::Debug>(result: Result<T>) -> bool {
    matches!(&result, Err(error @ Error::Encode { .. }) if error.source().is_some())
}

#[test]
fn a_structure_survives_a_round_trip() {
    for codec in structured() {
        let body = codec.encode(&order()).unwrap();
        assert_eq!(codec.decode::<Order>(&body).unwrap(), order(), "{codec:?}");
    }
    assert_eq!(Codec::json().encode("a\"b").unwrap(), br#""a\"b""#);
}

/// Found by fuzzing: serde_json rounds some numbers unless its feature `float_roundtrip` is on.
#[test]
fn a_floating_point_number_survives_a_round_trip_exactly() {
    for number in [4.5000000000000005e300_f64, 0.1 + 0.2, f64::MIN_POSITIVE, 5e-324, f64::MAX] {
        for codec in structured() {
            let back = codec.decode::<f64>(&codec.encode(&number).unwrap()).unwrap();
            assert_eq!(back.to_bits(), number.to_bits(), "{codec:?} {number:e}");
        }
    }
}

#[test]
fn unsized_values_are_encoded() {
    for codec in structured() {
        let body = codec.encode(&[1_u32, 2][..]).unwrap();
        assert_eq!(codec.decode::<Vec<u32>>(&body).unwrap(), [1, 2]);
        assert!(codec.encode("text").is_ok());
    }
}

#[test]
fn trailing_bytes_are_refused() {
    for codec in structured() {
        let mut body = codec.encode(&order()).unwrap();
        body.push(b'0');
        assert!(is_decode(codec.decode::<Order>(&body)), "{codec:?}");
    }
}

#[test]
fn truncated_and_empty_bodies_are_refused() {
    for codec in structured() {
        let body = codec.encode(&order()).unwrap();
        for end in 0..body.len() {
            assert!(is_decode(codec.decode::<Order>(&body[..end])), "{codec:?} at {end}");
        }
    }
}

#[test]
fn deeply_nested_json_is_refused_and_does_not_overflow_the_stack() {
    for opening in ["[", "{\"a\":"] {
        let body = opening.repeat(1_000_000);
        for codec in [Codec::json(), Codec::new(ErasedJson)] {
            assert!(is_decode(codec.decode::<serde_json::Value>(body.as_bytes())));
        }
    }
}

#[test]
fn a_json_error_keeps_its_position() {
    let Err(Error::Decode { source, .. }) = Codec::json().decode::<Order>(b"{\n \"id\": true}")
    else {
        panic!("decoded")
    };
    assert_eq!(source.downcast_ref::<serde_json::Error>().unwrap().line(), 2);
    let erased = Codec::new(ErasedJson).decode::<Order>(b"{\n \"id\": true}").unwrap_err();
    assert!(erased.source().unwrap().to_string().contains("line 2"));
}

#[test]
fn a_format_that_reads_nothing_is_an_error() {
    #[derive(Debug)]
    struct Lazy;
    impl Format for Lazy {
        fn content_type(&self) -> &str {
            "application/x-lazy"
        }
        fn content_encoding(&self) -> Option<&str> {
            None
        }
        fn encode(&self, _: Encodable<'_>) -> Result<Vec<u8>, FormatError> {
            Err("too lazy".into())
        }
        fn decode(&self, _: &[u8], _: BodyReader<'_>) -> Result<(), FormatError> {
            Ok(())
        }
    }
    assert!(is_decode(Codec::new(Lazy).decode::<u8>(b"1")));
    let error = Codec::new(Lazy).encode(&1).unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "too lazy");
}

#[test]
fn text_is_encoded_without_quotes() {
    let text = Codec::text();
    assert_eq!(text.encode("a \"b\" ü").unwrap(), "a \"b\" ü".as_bytes());
    assert_eq!(text.encode(&Wrapper("x".to_string())).unwrap(), b"x");
    assert_eq!(text.decode::<String>("ü".as_bytes()).unwrap(), "ü");
    assert_eq!(text.decode::<String>(b"").unwrap(), "");
    assert_eq!(text.decode::<Wrapper<Box<str>>>(b"x").unwrap(), Wrapper("x".into()));
    assert!(is_encode(text.encode(&1)));
    assert!(is_encode(text.encode(&order())));
    assert!(is_encode(text.encode(&Option::<String>::None)));
    assert!(is_decode(text.decode::<String>(&[0xff])));
    assert!(is_decode(text.decode::<u32>(b"1")));
}

#[test]
fn raw_bytes_are_encoded_unchanged() {
    let raw = Codec::raw();
    let bytes = vec![0_u8, 0xff, 7];
    assert_eq!(raw.encode(&bytes).unwrap(), bytes);
    assert_eq!(raw.encode(&bytes[..]).unwrap(), bytes);
    assert_eq!(raw.encode(&[0_u8, 0xff, 7]).unwrap(), bytes);
    assert_eq!(raw.encode(b"").unwrap(), b"");
    assert_eq!(raw.encode("text").unwrap(), b"text");
    assert_eq!(raw.encode(&Wrapper(bytes.clone())).unwrap(), bytes);
    assert_eq!(raw.decode::<Vec<u8>>(&bytes).unwrap(), bytes);
    assert_eq!(raw.decode::<Wrapper<Vec<u8>>>(&bytes).unwrap(), Wrapper(bytes.clone()));
    assert_eq!(raw.decode::<[u8; 3]>(&bytes).unwrap(), [0, 0xff, 7]);
    assert_eq!(raw.decode::<String>(b"text").unwrap(), "text");
    for refused in [
        raw.encode(&1_u8),
        raw.encode(&order()),
        raw.encode(&[1_u16]),
        raw.encode(&["a"]),
        raw.encode(&Some(b"a")),
        raw.encode(&()),
    ] {
        assert!(is_encode(refused));
    }
    assert!(is_decode(raw.decode::<String>(&bytes)));
    assert!(is_decode(raw.decode::<[u8; 2]>(&bytes)));
    assert!(is_decode(raw.decode::<[u8; 4]>(&bytes)));
    assert!(is_decode(raw.decode::<u32>(&bytes)));
    assert!(is_decode(raw.decode::<Order>(&bytes)));
}

#[cfg(feature = "bincode")]
#[test]
fn bincode_is_compatible_and_limited() {
    let value = (order(), 3.5_f64);
    assert_eq!(Codec::bincode().encode(&value).unwrap(), bincode::serialize(&value).unwrap());

    let huge = u64::MAX.to_le_bytes();
    for length in [u64::MAX, u64::MAX / 8, 1 << 40, 16 << 20] {
        let body = length.to_le_bytes();
        for codec in [Codec::bincode(), Codec::bincode_with_limit(u64::MAX)] {
            assert!(is_decode(codec.decode::<Vec<u8>>(&body)));
            assert!(is_decode(codec.decode::<Vec<[u64; 32]>>(&body)));
            assert!(is_decode(codec.decode::<String>(&body)));
            assert!(is_decode(codec.decode::<BTreeMap<u64, String>>(&body)));
            assert!(is_decode(codec.decode::<Vec<String>>(&[body, huge].concat())));
        }
    }

    let small = Codec::bincode_with_limit(10);
    assert!(small.encode("ab").is_ok());
    assert!(is_encode(small.encode("abc")));
    assert!(is_decode(small.decode::<String>(&Codec::bincode().encode("abc").unwrap())));
}

#[cfg(feature = "message-pack")]
#[test]
fn message_pack_of_other_libraries_is_accepted() {
    let codecs = Codecs::default();
    for (content_type, content_encoding) in [
        ("application/x-msgpack", Some("binary")),
        ("application/vnd.msgpack", None),
        ("application/msgpack; version=5", None),
    ] {
        let codec = codecs.find(Some(content_type), content_encoding).unwrap();
        assert_eq!(codec.content_type(), "application/x-msgpack", "{content_type}");
    }
}

#[test]
fn content_types_of_other_libraries_are_accepted() {
    let codecs = Codecs::default();
    for (content_type, content_encoding, found) in [
        ("application/json", Some("utf-8"), "application/json"),
        ("application/json", Some("UTF-8"), "application/json"),
        ("application/json", Some("binary"), "application/json"),
        ("application/json", Some(""), "application/json"),
        ("application/json", None, "application/json"),
        ("Application/JSON ; charset=\"UTF-8\"", None, "application/json"),
        ("application/json;version=1;charset=utf-8", Some("utf8"), "application/json"),
        ("", None, "application/json"),
        ("text/plain", Some("us-ascii"), "text/plain"),
        ("application/data", Some("binary"), "application/octet-stream"),
        ("application/octet-stream", None, "application/octet-stream"),
    ] {
        let codec = codecs.find(Some(content_type), content_encoding).unwrap();
        assert_eq!(codec.content_type(), found, "{content_type} {content_encoding:?}");
    }
    assert_eq!(codecs.find(None, Some("utf-8")).unwrap().content_type(), "application/json");
}

#[test]
fn an_unknown_content_type_is_named_in_the_error() {
    let codecs = Codecs::default();
    for (content_type, content_encoding) in [
        ("application/x-python-serialize", Some("binary")),
        ("application/jsonx", None),
        ("json", None),
        ("application/json", Some("gzip")),
        ("application/json; charset=latin-1", None),
        ("text/plain", Some("iso-8859-1")),
        (";", None),
    ] {
        let error = codecs.find(Some(content_type), content_encoding).unwrap_err();
        assert!(
            matches!(
                &error,
                Error::ContentType { content_type: named, .. } if named == content_type
            ),
            "{error}"
        );
        assert!(
            error.to_string().contains("application/json (utf-8), text/plain (utf-8)"),
            "{error}"
        );
    }
    assert!(codecs.find(None, Some("gzip")).is_err());
}

#[test]
fn a_set_of_codecs_can_be_restricted_extended_and_changed() {
    let text = Codecs::only(Codec::text());
    assert_eq!(text.find(None, None).unwrap().content_type(), "text/plain");
    assert!(text.find(Some("application/json"), None).is_err());

    let with_own = Codecs::default().with(ErasedJson);
    assert_eq!(
        with_own.find(Some("application/x-erased"), None).unwrap().decode::<u8>(b"7").unwrap(),
        7
    );

    assert_eq!(Codecs::default().with(Codec::json()).to_string(), Codecs::default().to_string());
}

#[cfg(feature = "bincode")]
#[test]
fn bincode_with_another_limit_replaces_the_default() {
    let codecs = Codecs::default().with(Codec::bincode_with_limit(4));
    let codec = codecs.find(Some("application/x-bincode"), Some("binary")).unwrap();
    assert!(is_decode(codec.decode::<u64>(&[0; 8])));
    assert_eq!(codec.decode::<u32>(&[0; 4]).unwrap(), 0);
}

proptest! {
    #[test]
    fn an_arbitrary_body_is_decoded_or_refused(
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        for codec in structured().into_iter().chain([Codec::text(), Codec::raw()]) {
            let _ = codec.decode::<Order>(&body);
            let _ = codec.decode::<Vec<String>>(&body);
            let _ = codec.decode::<BTreeMap<String, Vec<u8>>>(&body);
            let _ = codec.decode::<String>(&body);
        }
        prop_assert_eq!(Codec::raw().decode::<Vec<u8>>(&body).unwrap(), body);
    }

    #[test]
    fn text_and_structures_survive_a_round_trip(
        text in any::<String>(),
        id in any::<u64>(),
        note in any::<Option<String>>(),
        bytes in any::<Vec<u8>>(),
    ) {
        let body = Codec::text().encode(&text).unwrap();
        prop_assert_eq!(&Codec::text().decode::<String>(&body).unwrap(), &text);
        let body = Codec::raw().encode(&bytes).unwrap();
        prop_assert_eq!(&Codec::raw().decode::<Vec<u8>>(&body).unwrap(), &bytes);
        let order = Order { id, customer: text, lines: Vec::new(), note };
        for codec in structured() {
            let body = codec.encode(&order).unwrap();
            prop_assert_eq!(&codec.decode::<Order>(&body).unwrap(), &order);
        }
    }

    #[test]
    fn an_arbitrary_content_type_is_found_or_refused(
        content_type in any::<Option<String>>(),
        content_encoding in any::<Option<String>>(),
    ) {
        let _ = Codecs::default().find(content_type.as_deref(), content_encoding.as_deref());
    }
}

#[test]
fn json_reads_every_kind_of_json_without_its_own_codec() {
    #[derive(Debug)]
    struct Vendor;
    impl Format for Vendor {
        fn content_type(&self) -> &str {
            "application/vnd.acme+json"
        }
        fn content_encoding(&self) -> Option<&str> {
            None
        }
        fn encode(&self, _: Encodable<'_>) -> Result<Vec<u8>, FormatError> {
            Ok(Vec::new())
        }
        fn decode(&self, _: &[u8], _: BodyReader<'_>) -> Result<(), FormatError> {
            Err("not read".into())
        }
    }
    let codecs = Codecs::default();
    for name in [
        "application/vnd.acme+json",
        "application/cloudevents+json; charset=utf-8",
        "TEXT/JSON",
        "a/b+JSON",
    ] {
        assert_eq!(
            codecs.find(Some(name), None).unwrap().content_type(),
            "application/json",
            "{name}"
        );
    }
    for name in ["application/json+xml", "json", "+json2", "\u{e4}"] {
        assert!(codecs.find(Some(name), None).is_err(), "{name}");
    }
    let with_vendor = codecs.with(Vendor);
    assert_eq!(
        with_vendor.find(Some("application/vnd.acme+json"), None).unwrap().content_type(),
        "application/vnd.acme+json"
    );
    assert_eq!(
        with_vendor.find(Some("application/vnd.other+json"), None).unwrap().content_type(),
        "application/json"
    );
}

#[test]
fn a_quoted_body_in_a_decode_error_is_cut_and_escaped() {
    let body = format!("\"{}\u{1b}[31m\"", "x".repeat(10_000_000));
    let error =
        Codec::json().decode::<bool>(serde_json::to_string(&body).unwrap().as_bytes()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.len() < 1100 && source.starts_with("invalid type: string"),
        "{} bytes",
        source.len()
    );
    let error = Codec::json().decode::<bool>(b"\"a\\u001b[31m\\n\"").unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(!source.chars().any(char::is_control), "{source:?}");
}
