//! Names of queues, as the broker knows them.
//!
//! ActiveMQ splits names at commas, and reads wildcards and options from them. Each octet that is
//! no letter, no digit, and none of `.`, `-` and `_`, is written as `%` and two digits.

use carrot_core::backend::ShortString;

/// Returns the name of a queue as the broker knows it.
pub(crate) fn escape(name: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |four: u8| DIGITS.get(usize::from(four)).copied().unwrap_or('0');
    let mut escaped = String::with_capacity(name.len());
    for octet in name {
        if octet.is_ascii_alphanumeric() || b".-_".contains(octet) {
            escaped.push(char::from(*octet));
        } else {
            escaped.extend(['%', digit(octet >> 4), digit(octet & 15)]);
        }
    }
    escaped
}

/// Returns the name of a queue as programs know it. A name that Carrot would not write stays as it
/// is.
pub(crate) fn unescape(name: &str) -> ShortString {
    let mut octets = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.first_chunk::<2>().filter(|_| *first == b'%');
        let decoded = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        octets.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    match escape(&octets) == name {
        true => ShortString::from_octets(&octets),
        false => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay() {
        for name in ["jobs", "VirtualTopic.E", "a-b_c.9"] {
            assert_eq!(escape(name.as_bytes()), name);
            assert_eq!(unescape(name).as_str(), name);
        }
    }

    #[test]
    fn characters_with_a_meaning_are_escaped() {
        assert_eq!(escape(b"a,b?c*d>e %"), "a%2Cb%3Fc%2Ad%3Ee%20%25");
        assert_eq!(escape("é/:".as_bytes()), "%C3%A9%2F%3A");
    }

    #[test]
    fn every_octet_survives() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&escape(&all)).as_bytes(), all);
    }

    #[test]
    fn names_of_others_stay() {
        for name in ["100%", "%zz", "%2c", "a:b"] {
            assert_eq!(unescape(name).as_str(), name);
        }
    }
}
