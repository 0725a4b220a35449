use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use smol_str::SmolStr;

/// A name, a key or a property: AMQP's short string, which has at most 255 bytes. That is checked
/// where it is used, not here.
///
/// Few bytes lie in the value itself, and more are shared by its clones: to clone it is cheap, and
/// to clone a short one on many threads at once also.
///
/// ```
/// use carrot::backend::ShortString;
///
/// let key = ShortString::from("usd.stock");
/// assert_eq!(key, "usd.stock");
/// assert!(key.starts_with("usd"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortString(SmolStr);

impl ShortString {
    /// A text that the program contains, of any length, without a copy.
    pub const fn from_static(text: &'static str) -> ShortString {
        ShortString(SmolStr::new_static(text))
    }

    /// As `from`, of at most 23 bytes.
    pub(crate) const fn inline(text: &str) -> ShortString {
        ShortString(SmolStr::new_inline(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self
    }
}

impl Deref for ShortString {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_str()
    }
}

impl AsRef<str> for ShortString {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for ShortString {
    fn borrow(&self) -> &str {
        self
    }
}

impl fmt::Debug for ShortString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl fmt::Display for ShortString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), formatter)
    }
}

impl PartialEq<str> for ShortString {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for ShortString {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for ShortString {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

macro_rules! from {
    ($($type:ty),*) => {$(
        impl From<$type> for ShortString {
            fn from(text: $type) -> ShortString {
                ShortString(SmolStr::from(text))
            }
        }
    )*};
}

from!(&str, &mut str, &String, String, Box<str>, Arc<str>, Cow<'_, str>);

impl From<ShortString> for String {
    fn from(text: ShortString) -> String {
        text.0.into()
    }
}

impl From<ShortString> for Arc<str> {
    fn from(text: ShortString) -> Arc<str> {
        text.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_its_text_wherever_that_lies() {
        let long = "x".repeat(255);
        for text in ["", "short", &long] {
            let all = [
                ShortString::from(text),
                text.to_string().into(),
                Arc::<str>::from(text).into(),
                Cow::from(text).into(),
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
    fn it_is_no_larger_than_a_string() {
        assert_eq!(size_of::<ShortString>(), size_of::<String>());
        assert_eq!(size_of::<Option<ShortString>>(), size_of::<String>());
    }
}
