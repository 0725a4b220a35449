//! Octets as base64 (RFC 4648), because JSON has no octets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Returns octets as base64, with padding.
pub(crate) fn encode(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

/// Returns the octets of base64; `None` for any other text, and without the padding.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_rfc_are_encoded_and_decoded() {
        for (octets, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(octets.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(octets.as_bytes()), "{text}");
        }
    }

    #[test]
    fn all_octets_survive_both_ways() {
        let octets: Vec<u8> = (0..=255).rev().chain(0..=255).collect();
        for length in 0..octets.len() {
            let part = octets.get(..length).unwrap_or_default();
            assert_eq!(decode(&encode(part)).as_deref(), Some(part));
        }
    }

    #[test]
    fn other_texts_are_not_decoded() {
        for text in
            ["Z", "Zg", "Zg=", "Zg===", "====", "Z===", "Zh==", "Zm9=", "Zm9v\n", "Zm9-", "=AAA"]
        {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
