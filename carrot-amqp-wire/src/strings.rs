//! Strings of octets, as AMQP 0-9-1 4.2.5.3 defines them.

use std::fmt;

use carrot_core::backend::ShortString;

macro_rules! octets {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name<'a>(&'a [u8]);

        impl<'a> $name<'a> {
            /// Creates a string of these octets.
            pub const fn new(octets: &'a [u8]) -> $name<'a> {
                $name(octets)
            }

            /// Returns the octets.
            pub const fn as_bytes(self) -> &'a [u8] {
                self.0
            }

            /// Returns the text, or `None` if the octets are not UTF-8.
            pub fn as_str(self) -> Option<&'a str> {
                std::str::from_utf8(self.0).ok()
            }
        }

        impl<'a> From<&'a [u8]> for $name<'a> {
            fn from(octets: &'a [u8]) -> $name<'a> {
                $name(octets)
            }
        }

        impl<'a> From<&'a str> for $name<'a> {
            fn from(text: &'a str) -> $name<'a> {
                $name(text.as_bytes())
            }
        }

        impl<'a> From<&'a String> for $name<'a> {
            fn from(text: &'a String) -> $name<'a> {
                $name(text.as_bytes())
            }
        }
    )*};
}

macro_rules! shown {
    ($($name:ident)*) => {$(
        /// Displays the text, with U+FFFD in place of octets that are not UTF-8.
        impl fmt::Display for $name<'_> {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                for chunk in self.0.utf8_chunks() {
                    formatter.write_str(chunk.valid())?;
                    if !chunk.invalid().is_empty() {
                        formatter.write_str("\u{fffd}")?;
                    }
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "\"{}\"", self.0.escape_ascii())
            }
        }

        impl PartialEq<str> for $name<'_> {
            fn eq(&self, text: &str) -> bool {
                self.0 == text.as_bytes()
            }
        }

        impl PartialEq<&str> for $name<'_> {
            fn eq(&self, text: &&str) -> bool {
                self.0 == text.as_bytes()
            }
        }
    )*};
}

octets! {
    /// A short string in a method or a property, borrowed.
    ///
    /// Reading never refuses octets, and keeps them unchanged. Writing refuses more than 255
    /// octets.
    ///
    /// ```
    /// use carrot_amqp_wire::ShortStr;
    ///
    /// let key = ShortStr::new(b"caf\xe9");
    /// assert_eq!(key.as_str(), None);
    /// assert_eq!(key.to_string(), "caf\u{fffd}");
    /// assert_eq!(key.to_short_string().as_bytes(), b"caf\xe9");
    /// ```
    ShortStr;
    /// A long string in a method or a table, borrowed.
    ///
    /// AMQP defines the octets of a long string as any octets. Reading and writing keep them
    /// unchanged.
    LongStr;
    /// A long string that holds a password, a token or a challenge, borrowed.
    ///
    /// `Debug` displays `***`.
    SecretStr;
}

shown!(ShortStr LongStr);

impl ShortStr<'_> {
    /// Copies the octets.
    pub fn to_short_string(self) -> ShortString {
        ShortString::from_octets(self.0)
    }
}

impl<'a> From<&'a ShortString> for ShortStr<'a> {
    fn from(text: &'a ShortString) -> ShortStr<'a> {
        ShortStr(text.as_bytes())
    }
}

impl fmt::Debug for SecretStr<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_displayed() {
        assert_eq!(format!("{:?}", SecretStr::from("guest")), "***");
    }

    #[test]
    fn octets_that_are_no_text_are_kept_and_displayed_as_u_fffd() {
        let octets = ShortStr::new(b"a\xff\xfeb\n");
        assert_eq!(octets.to_string(), "a\u{fffd}\u{fffd}b\n");
        assert_eq!(format!("{octets:?}"), r#""a\xff\xfeb\n""#);
        assert_eq!(octets.to_short_string().as_bytes(), b"a\xff\xfeb\n");
        assert_eq!(ShortStr::from(&octets.to_short_string()), octets);
    }
}
