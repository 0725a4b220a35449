//! The encoding of strings in Java: UTF-16 units in up to three octets each, and NUL in two.

/// Appends a string.
pub(crate) fn encode(text: &str, out: &mut Vec<u8>) {
    if is_same(text) {
        return out.extend_from_slice(text.as_bytes());
    }
    text.encode_utf16().for_each(|unit| encode_unit(unit, out));
}

/// Returns the number of octets of an encoded string.
pub(crate) fn encoded_len(text: &str) -> usize {
    let extra = |character| match character {
        '\0' => 1,
        // Two surrogates of three octets, in place of four octets.
        '\u{10000}'.. => 2,
        _ => 0,
    };
    text.len() + text.chars().map(extra).sum::<usize>()
}

/// Returns whether a string has the same octets in UTF-8.
fn is_same(text: &str) -> bool {
    text.bytes().all(|octet| octet != 0 && octet < 0xf0)
}

fn encode_unit(unit: u16, out: &mut Vec<u8>) {
    let [high, low] = unit.to_be_bytes();
    match unit {
        0x01..=0x7f => out.push(low),
        0 | 0x80..=0x7ff => out.extend([0xc0 | (unit >> 6) as u8, 0x80 | low & 0x3f]),
        0x800.. => {
            out.extend([0xe0 | high >> 4, 0x80 | ((unit >> 6) & 0x3f) as u8, 0x80 | low & 0x3f]);
        }
    }
}

/// Decodes a string, also one in UTF-8: the broker passes texts of STOMP on as they are. A
/// surrogate without its other half becomes U+FFFD, as no Rust string holds one. Returns `None` if
/// the octets are neither.
pub(crate) fn decode(octets: &[u8]) -> Option<String> {
    if let Ok(text) = std::str::from_utf8(octets) {
        return Some(text.into());
    }
    let mut units = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while !rest.is_empty() {
        let (unit, left) = decode_unit(rest)?;
        units.push(unit);
        rest = left;
    }
    Some(String::from_utf16_lossy(&units))
}

fn decode_unit(octets: &[u8]) -> Option<(u16, &[u8])> {
    let tail = |octet: u8| (octet & 0xc0 == 0x80).then_some(u16::from(octet & 0x3f));
    match *octets {
        [first @ 0..=0x7f, ref rest @ ..] => Some((first.into(), rest)),
        [first @ 0xc0..=0xdf, second, ref rest @ ..] => {
            Some((u16::from(first & 0x1f) << 6 | tail(second)?, rest))
        }
        [first @ 0xe0..=0xef, second, third, ref rest @ ..] => {
            Some((u16::from(first & 0x0f) << 12 | tail(second)? << 6 | tail(third)?, rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn encoded(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encode(text, &mut out);
        out
    }

    #[test]
    fn octets_are_those_of_java() {
        // As java.io.DataOutputStream.writeUTF writes them.
        assert_eq!(encoded("Aé€"), [0x41, 0xc3, 0xa9, 0xe2, 0x82, 0xac]);
        assert_eq!(encoded("\0"), [0xc0, 0x80]);
        assert_eq!(encoded("😀"), [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]);
    }

    #[test]
    fn strings_are_read_as_they_were_written() {
        for text in ["", "plain", "é\0ü", "a😀b", "\u{7ff}\u{800}\u{ffff}\u{10ffff}"] {
            assert_eq!(decode(&encoded(text)).as_deref(), Some(text));
            assert_eq!(encoded_len(text), encoded(text).len(), "{text:?}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced() {
        assert_eq!(decode(&[0xed, 0xa0, 0xbd, b'!']).unwrap(), "\u{fffd}!");
    }

    #[test]
    fn utf8_is_read() {
        assert_eq!(decode("a\0😀".as_bytes()).unwrap(), "a\0😀");
    }

    #[test]
    fn other_octets_are_refused() {
        for octets in [&[0xff][..], &[0x80], &[0xc3], &[0xc3, 0x29], &[0xe2, 0x82], &[0xf0, 0x9f]] {
            assert_eq!(decode(octets), None, "{octets:?}");
        }
    }
}
