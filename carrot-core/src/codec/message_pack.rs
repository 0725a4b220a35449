//! MessagePack, with limits for bodies of untrusted senders.

use rmp_serde::decode::Error as DecodeError;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::codec::format::FormatError;
use crate::codec::whole_sequences::WholeSequences;

/// The deepest nesting of arrays and maps, as of JSON.
const DEEPEST: usize = 127;

/// Encodes structs as maps from the names of their fields, as other languages expect.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, FormatError> {
    Ok(rmp_serde::to_vec_named(value)?)
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FormatError> {
    check(body)?;
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(body);
    let value = T::deserialize(WholeSequences(&mut deserializer))?;
    // A type may take less than the whole of a value.
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(DecodeError::InvalidMarkerRead(_)) => Ok(value),
        _ => Err(BYTES_FOLLOW.into()),
    }
}

/// Checks that a body is one whole value with a bounded nesting.
///
/// The limit of rmp-serde does not count the variants of enums. A recursive enum would overflow the
/// stack.
fn check(mut body: &[u8]) -> Result<(), String> {
    // The number of values that each open array or map still holds.
    let mut open = [0_u64; DEEPEST];
    let mut depth = 0;
    loop {
        let nested = skip_value(&mut body)?;
        if nested > 0 {
            let level = open.get_mut(depth);
            *level.ok_or_else(|| format!("nested more than {DEEPEST} levels deep"))? = nested;
            depth += 1;
            continue;
        }
        // Each end of a value may be the end of those around it.
        loop {
            let Some(level) = depth.checked_sub(1) else {
                return if body.is_empty() { Ok(()) } else { Err(BYTES_FOLLOW.into()) };
            };
            open[level] -= 1;
            if open[level] > 0 {
                break;
            }
            depth = level;
        }
    }
}

/// Skips the head of an array or a map, and any other value whole. Returns the number of values
/// that the array or the map holds.
fn skip_value(body: &mut &[u8]) -> Result<u64, String> {
    let [marker] = take(body)?;
    let (octets, nested) = match marker {
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (0, 0),
        0x80..=0x8f => (0, 2 * u64::from(marker & 0x0f)),
        0x90..=0x9f => (0, u64::from(marker & 0x0f)),
        0xa0..=0xbf => (u64::from(marker & 0x1f), 0),
        0xc1 => return Err("the octet 0xc1 begins no value".into()),
        0xc4 | 0xd9 => (length::<1>(body)?, 0),
        0xc5 | 0xda => (length::<2>(body)?, 0),
        0xc6 | 0xdb => (length::<4>(body)?, 0),
        // An extension has an octet for its type.
        0xc7 => (length::<1>(body)? + 1, 0),
        0xc8 => (length::<2>(body)? + 1, 0),
        0xc9 => (length::<4>(body)? + 1, 0),
        0xca | 0xce | 0xd2 => (4, 0),
        0xcb | 0xcf | 0xd3 => (8, 0),
        0xcc | 0xd0 => (1, 0),
        0xcd | 0xd1 => (2, 0),
        0xd4..=0xd8 => ((1 << (marker - 0xd4)) + 1, 0),
        0xdc => (0, length::<2>(body)?),
        0xdd => (0, length::<4>(body)?),
        0xde => (0, 2 * length::<2>(body)?),
        0xdf => (0, 2 * length::<4>(body)?),
    };
    *body = usize::try_from(octets).ok().and_then(|octets| body.get(octets..)).ok_or(TRUNCATED)?;
    Ok(nested)
}

const BYTES_FOLLOW: &str = "bytes follow the value";
const TRUNCATED: &str = "the body ends inside a value";

fn take<const N: usize>(body: &mut &[u8]) -> Result<[u8; N], String> {
    let (taken, rest) = body.split_first_chunk().ok_or(TRUNCATED)?;
    *body = rest;
    Ok(*taken)
}

fn length<const N: usize>(body: &mut &[u8]) -> Result<u64, String> {
    Ok(take::<N>(body)?.iter().fold(0, |length, octet| length << 8 | u64::from(*octet)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn message_pack_of_kombu_is_decoded() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Sent {
            id: u64,
            customer: String,
            bytes: Vec<u8>,
            f: f64,
            n: Option<u8>,
            l: [i8; 2],
        }
        // kombu.serialization.dumps({"id": 2**64 - 1, "customer": "Zo\xeb", "bytes": b"\x00\xff",
        // "f": 0.1, "n": None, "l": [1, -1]}, serializer="msgpack") of kombu 5.7
        let body = b"\x86\xa2id\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa8customer\xa4Zo\xc3\xab\
            \xa5bytes\xc4\x02\x00\xff\xa1f\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a\xa1n\xc0\xa1l\x92\x01\xff";
        let sent = Sent {
            id: u64::MAX,
            customer: "Zo\u{eb}".into(),
            bytes: vec![0, 255],
            f: 0.1,
            n: None,
            l: [1, -1],
        };
        assert_eq!(decode::<Sent>(body).unwrap(), sent);
    }

    /// A type whose recursion passes through variants alone.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Chain {
        End,
        Link(Box<Chain>),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Tree(Vec<Tree>);

    fn text_of(error: FormatError) -> String {
        error.to_string()
    }

    #[test]
    fn message_pack_struct_is_a_map_with_names() {
        #[derive(Serialize)]
        struct Point {
            x: u8,
            y: Option<bool>,
        }
        let body = encode(&Point { x: 1, y: None }).unwrap();
        assert_eq!(body, [0x82, 0xa1, b'x', 1, 0xa1, b'y', 0xc0]);
        let read: BTreeMap<String, serde_json::Value> = decode(&body).unwrap();
        assert_eq!(read["x"], 1);
    }

    #[test]
    fn message_pack_nested_too_deep_is_refused_and_does_not_overflow_the_stack() {
        for body in [b"\x81\xa4Link".repeat(1_000_000), vec![0x91; 1_000_000]] {
            let refused = text_of(decode::<Chain>(&body).unwrap_err());
            assert_eq!(refused, "nested more than 127 levels deep");
            assert!(decode::<Tree>(&body).is_err());
            assert!(decode::<serde_json::Value>(&body).is_err());
        }
        let nested = |levels: usize| [vec![0x91; levels - 1], vec![0x90]].concat();
        assert!(decode::<Tree>(&nested(127)).is_ok());
        // An empty array nests no further.
        assert!(decode::<Tree>(&nested(128)).is_ok());
        assert!(decode::<Tree>(&nested(129)).is_err());
        let links = |count: usize| [b"\x81\xa4Link".repeat(count), b"\xa3End".to_vec()].concat();
        assert!(decode::<Chain>(&links(127)).is_ok());
        assert!(decode::<Chain>(&links(128)).is_err());
    }

    #[test]
    fn message_pack_that_announces_more_than_it_holds_is_refused() {
        for body in [
            b"\xdd\xff\xff\xff\xff".to_vec(),
            b"\xdf\xff\xff\xff\xff\x01\x02".to_vec(),
            b"\xdb\xff\xff\xff\xffa".to_vec(),
            b"\xc6\xff\xff\xff\xffa".to_vec(),
            b"\xc9\xff\xff\xff\xff\x01a".to_vec(),
            b"\xd8\x01".to_vec(),
            b"\xa5abc".to_vec(),
            Vec::new(),
        ] {
            assert_eq!(text_of(decode::<Vec<[u64; 32]>>(&body).unwrap_err()), TRUNCATED);
            assert!(decode::<String>(&body).is_err());
        }
        assert!(decode::<u8>(&[0xc1]).is_err());
        assert_eq!(text_of(decode::<u8>(&[1, 2]).unwrap_err()), "bytes follow the value");
        assert!(decode::<()>(&[0x92, 1, 2]).is_err());
        assert!(decode::<(u8,)>(&[0x92, 1, 2]).is_err());
        assert!(decode::<Chain>(b"\x81\xa3End\x91\x01").is_err());
    }

    #[test]
    fn message_pack_binary_is_read_as_a_list_of_bytes() {
        assert_eq!(decode::<Vec<u8>>(b"\xc4\x03abc").unwrap(), b"abc");
        assert_eq!(encode(&[1_u8, 200]).unwrap(), [0x92, 1, 0xcc, 200]);
    }

    #[test]
    fn message_pack_binary_longer_than_the_type_is_refused() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Pair(u8, i8);
        #[derive(Debug, PartialEq, Deserialize)]
        struct Named {
            a: u8,
            b: u8,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        enum Shape {
            Tuple(u8, u8),
            Struct { a: u8, b: u8 },
            Array([u8; 2]),
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Deep {
            values: Vec<Option<BTreeMap<String, Shape>>>,
        }
        fn of<T: DeserializeOwned>(before: &[u8], bytes: &[u8]) -> Result<T, String> {
            let length = u8::try_from(bytes.len()).unwrap();
            decode(&[before, &[0xc4, length], bytes].concat()).map_err(text_of)
        }
        let longer = Err("a list or binary is longer than the decoded type".to_string());
        let two = [1, 2];
        for (bytes, is_whole) in [(&two[..], true), (&[1, 2, 3], false), (&[1; 200], false)] {
            macro_rules! expect {
                ($type:ty, $before:expr, $value:expr) => {
                    let expected =
                        if is_whole { Ok($value) } else { longer.clone().map(|()| $value) };
                    assert_eq!(of::<$type>($before, bytes), expected);
                };
            }
            expect!([u8; 2], b"", [1, 2]);
            expect!((u8, u16), b"", (1, 2));
            expect!(Pair, b"", Pair(1, 2));
            expect!(Named, b"", Named { a: 1, b: 2 });
            expect!(Option<[u8; 2]>, b"", Some([1, 2]));
            expect!(Vec<[u8; 2]>, b"\x91", vec![[1, 2]]);
            expect!(Shape, b"\x81\xa5Tuple", Shape::Tuple(1, 2));
            expect!(Shape, b"\x81\xa6Struct", Shape::Struct { a: 1, b: 2 });
            let deep = || BTreeMap::from([("k".to_string(), Shape::Array([1, 2]))]);
            let before = b"\x81\xa6values\x91\x81\xa1k\x81\xa5Array";
            expect!(Deep, before, Deep { values: vec![Some(deep())] });
        }
        assert!(of::<[u8; 4]>(b"", &two).is_err());
        assert!(of::<()>(b"", &[]).is_err());
        // Types of any length, and those that compare lengths themselves.
        assert_eq!(of::<Vec<u8>>(b"", &two), Ok(vec![1, 2]));
        assert_eq!(of::<(u8, Vec<u8>)>(b"\x92\x07", &two), Ok((7, vec![1, 2])));
        assert_eq!(decode::<u128>(&encode(&u128::MAX).unwrap()).unwrap(), u128::MAX);
        assert!(decode::<[u8; 2]>(b"\x93\x01\x02\x03").is_err());
    }

    #[test]
    fn message_pack_extension_that_the_type_does_not_read_whole_is_refused() {
        // The name that rmp-serde reads extensions by.
        #[derive(Debug, Deserialize)]
        #[serde(rename = "_ExtStruct")]
        struct Kind(#[expect(dead_code, reason = "only decoded")] (i8,));
        #[derive(Debug, Deserialize)]
        #[serde(rename = "_ExtStruct")]
        struct Extension((i8, IgnoredAny));
        let body = [0xd4, 5, 42];
        assert!(decode::<Kind>(&body).is_err());
        let Extension((kind, _)) = decode(&body).unwrap();
        assert_eq!(kind, 5);
    }

    proptest! {
        #[test]
        fn message_pack_of_any_json_survives_a_round_trip(
            texts in proptest::collection::vec(any::<String>(), 0..20),
            numbers in proptest::collection::vec(any::<i64>(), 0..20),
            floats in proptest::collection::vec(any::<f64>(), 0..20),
            long in 0_usize..70_000,
        ) {
            let value = (texts, numbers, floats, "x".repeat(long), vec![true; long]);
            let body = encode(&value).unwrap();
            prop_assert!(check(&body).is_ok());
            prop_assert_eq!(
                decode::<(Vec<String>, Vec<i64>, Vec<f64>, String, Vec<bool>)>(&body).unwrap(),
                value
            );
        }

        #[test]
        fn message_pack_that_rmp_serde_reads_whole_passes_the_check(
            body in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut rest = &body[..];
            let read = IgnoredAny::deserialize(&mut rmp_serde::Deserializer::new(&mut rest));
            if read.is_ok() && rest.is_empty() {
                prop_assert!(check(&body).is_ok());
            }
            let _ = decode::<serde_json::Value>(&body);
        }
    }
}
