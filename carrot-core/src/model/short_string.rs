use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

/// The AMQP short string of a name, a key or a property, of at most 255 octets.
///
/// The limit is checked when the string is used, not when the string is created.
///
/// Almost every short string is UTF-8, and dereferences to its text. Peers may send other octets.
/// [`as_bytes`](ShortString::as_bytes) returns such octets unchanged. The text shows each of them
/// as U+FFFD. Two short strings are equal if their octets are.
///
/// Cloning is cheap. Up to 23 bytes are stored inline, and longer strings are shared.
///
/// ```
/// use carrot::backend::ShortString;
///
/// let key = ShortString::from("usd.stock");
/// assert_eq!(key, "usd.stock");
/// assert!(key.starts_with("usd"));
///
/// let latin_1 = ShortString::from_octets(b"caf\xe9");
/// assert_eq!(latin_1.as_bytes(), b"caf\xe9");
/// assert_eq!(latin_1.as_str(), "caf\u{fffd}");
/// assert!(!latin_1.is_utf8());
/// ```
#[derive(Clone, Default)]
pub struct ShortString {
    /// The text, with U+FFFD in place of octets that are not UTF-8.
    text: SmolStr,
    /// The octets, if they are not UTF-8. A variant for them would make each copy of a text slower.
    octets: Option<Arc<Vec<u8>>>,
}

impl ShortString {
    const fn of_text(text: SmolStr) -> ShortString {
        ShortString { text, octets: None }
    }

    /// Creates a short string from a static text of any length, without a copy.
    pub const fn from_static(text: &'static str) -> ShortString {
        ShortString::of_text(SmolStr::new_static(text))
    }

    /// Creates a short string from octets, which need not be UTF-8.
    pub fn from_octets(octets: &[u8]) -> ShortString {
        match std::str::from_utf8(octets) {
            Ok(text) => ShortString::from(text),
            Err(_) => ShortString {
                text: String::from_utf8_lossy(octets).into(),
                octets: Some(Arc::new(octets.to_vec())),
            },
        }
    }

    /// Creates a short string of at most 23 bytes, which are stored inline.
    pub(crate) const fn inline(text: &str) -> ShortString {
        ShortString::of_text(SmolStr::new_inline(text))
    }

    /// Returns the text, with U+FFFD in place of octets that are not UTF-8.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the octets.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.as_ref().map_or(self.text.as_bytes(), |octets| octets.as_slice())
    }

    /// Returns the number of octets.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether there is no octet.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Returns whether the octets are UTF-8, which means that the text is exact.
    #[inline]
    pub fn is_utf8(&self) -> bool {
        self.octets.is_none()
    }

    fn into_text(self) -> SmolStr {
        self.text
    }
}

impl Deref for ShortString {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for ShortString {
    #[inline]
    fn as_ref(&self) -> &str {
        self
    }
}

impl PartialEq for ShortString {
    #[inline]
    fn eq(&self, other: &ShortString) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for ShortString {}

impl PartialOrd for ShortString {
    fn partial_cmp(&self, other: &ShortString) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ShortString {
    fn cmp(&self, other: &ShortString) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

/// Hashes like the text if the octets are UTF-8.
impl Hash for ShortString {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.octets {
            None => self.text.as_str().hash(state),
            Some(octets) => octets.hash(state),
        }
    }
}

impl indexmap::Equivalent<ShortString> for str {
    #[inline]
    fn equivalent(&self, key: &ShortString) -> bool {
        self.as_bytes() == key.as_bytes()
    }
}

impl fmt::Debug for ShortString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.octets {
            None => fmt::Debug::fmt(self.text.as_str(), formatter),
            Some(octets) => write!(formatter, "\"{}\"", octets.escape_ascii()),
        }
    }
}

impl fmt::Display for ShortString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), formatter)
    }
}

impl PartialEq<str> for ShortString {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for ShortString {
    #[inline]
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<String> for ShortString {
    #[inline]
    fn eq(&self, other: &String) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<ShortString> for str {
    #[inline]
    fn eq(&self, other: &ShortString) -> bool {
        other == self
    }
}

impl PartialEq<ShortString> for &str {
    #[inline]
    fn eq(&self, other: &ShortString) -> bool {
        other == *self
    }
}

impl PartialEq<ShortString> for String {
    #[inline]
    fn eq(&self, other: &ShortString) -> bool {
        other == self
    }
}

macro_rules! from {
    ($($type:ty),*) => {$(
        impl From<$type> for ShortString {
            fn from(text: $type) -> ShortString {
                ShortString::of_text(SmolStr::from(text))
            }
        }
    )*};
}

from!(&str, &mut str, &String, String, Box<str>, Arc<str>, Cow<'_, str>);

impl From<&ShortString> for ShortString {
    fn from(text: &ShortString) -> ShortString {
        text.clone()
    }
}

impl From<ShortString> for String {
    fn from(text: ShortString) -> String {
        text.into_text().into()
    }
}

impl From<ShortString> for Arc<str> {
    fn from(text: ShortString) -> Arc<str> {
        text.into_text().into()
    }
}

/// Serializes as a string, or as bytes if the octets are not UTF-8.
impl Serialize for ShortString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.octets {
            None => serializer.serialize_str(&self.text),
            Some(octets) => serializer.serialize_bytes(octets),
        }
    }
}

impl<'de> Deserialize<'de> for ShortString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ShortString, D::Error> {
        struct Octets;

        impl<'de> Visitor<'de> for Octets {
            type Value = ShortString;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or bytes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ShortString, E> {
                Ok(text.into())
            }

            fn visit_bytes<E: serde::de::Error>(self, octets: &[u8]) -> Result<ShortString, E> {
                Ok(ShortString::from_octets(octets))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut sequence: A,
            ) -> Result<ShortString, A::Error> {
                const LONGEST: usize = 255;
                let mut octets = Vec::new();
                while let Some(octet) = sequence.next_element::<u8>()? {
                    if octets.len() == LONGEST {
                        return Err(A::Error::custom("a short string has at most 255 octets"));
                    }
                    octets.push(octet);
                }
                Ok(ShortString::from_octets(&octets))
            }
        }

        deserializer.deserialize_any(Octets)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_short_string_equals_its_text_for_every_length() {
        let long = "x".repeat(255);
        for text in ["", "short", &long] {
            let all = [
                ShortString::from(text),
                text.to_string().into(),
                Arc::<str>::from(text).into(),
                Cow::from(text).into(),
                ShortString::from_octets(text.as_bytes()),
            ];
            for one in all {
                assert_eq!(
                    (&*one, one.to_string(), format!("{one:?}")),
                    (text, text.to_string(), format!("{text:?}"))
                );
                assert_eq!(one.clone(), one);
                assert_eq!(
                    (String::from(one.clone()), Arc::<str>::from(one)),
                    (text.to_string(), Arc::from(text))
                );
            }
        }
    }

    #[test]
    fn a_short_string_is_small() {
        assert_eq!(size_of::<ShortString>(), 32);
        assert_eq!(size_of::<Option<ShortString>>(), 32);
    }

    #[test]
    fn octets_that_are_no_text_are_kept_and_differ_from_the_text_that_shows_them() {
        let octets = ShortString::from_octets(b"a\xff");
        assert_eq!((octets.as_bytes(), octets.as_str()), (&b"a\xff"[..], "a\u{fffd}"));
        assert_eq!(format!("{octets:?}"), r#""a\xff""#);
        assert_ne!(octets, ShortString::from("a\u{fffd}"));
        assert_ne!(octets, "a\u{fffd}");
        let written = serde_json::to_string(&octets).unwrap();
        assert_eq!(serde_json::from_str::<ShortString>(&written).unwrap(), octets);
        assert_eq!(serde_json::from_str::<ShortString>("\"text\"").unwrap(), "text");
    }
}
