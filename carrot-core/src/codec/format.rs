use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserializer, Serialize, Serializer};

/// Any error of a [`Format`]. `?` converts every error type to it.
pub type FormatError = Box<dyn std::error::Error + Send + Sync>;

/// A custom format: encodes every type of serde as a body, and decodes it.
/// [`Codec::new`](crate::Codec::new) creates a codec from a format.
///
/// Every serde format fits, in one line each way:
///
/// ```
/// use carrot::{Codec, codec::{BodyReader, Encodable, Format, FormatError}};
///
/// /// JSON with line breaks and indentation.
/// #[derive(Debug)]
/// struct Pretty;
///
/// impl Format for Pretty {
///     fn content_type(&self) -> &str {
///         "application/x-pretty"
///     }
///
///     fn content_encoding(&self) -> Option<&str> {
///         Some("utf-8")
///     }
///
///     fn encode(&self, value: Encodable<'_>) -> Result<Vec<u8>, FormatError> {
///         Ok(serde_json::to_vec_pretty(&value)?)
///     }
///
///     fn decode(&self, body: &[u8], reader: BodyReader<'_>) -> Result<(), FormatError> {
///         let mut deserializer = serde_json::Deserializer::from_slice(body);
///         reader.read(&mut deserializer)?;
///         Ok(deserializer.end()?)
///     }
/// }
///
/// let body = Codec::new(Pretty).encode(&[1, 2])?;
/// assert_eq!(body, b"[\n  1,\n  2\n]");
/// let numbers: Vec<u32> = Codec::new(Pretty).decode(&body)?;
/// assert_eq!(numbers, [1, 2]);
/// # Ok::<(), carrot::Error>(())
/// ```
///
/// Several threads call the methods at once. Bodies are untrusted: `decode` must limit its
/// allocations and its recursion.
pub trait Format: fmt::Debug + Send + Sync + 'static {
    /// Returns the MIME type of the bodies, at most 255 bytes. Must not change.
    fn content_type(&self) -> &str;

    /// Returns the encoding of the bodies: a character set such as `utf-8`, `binary`, or a
    /// compression such as `gzip`; `None` for no encoding. At most 255 bytes. Must not change.
    fn content_encoding(&self) -> Option<&str>;

    /// Encodes a value as a body.
    ///
    /// # Errors
    /// Any error. The publisher returns it as the source of
    /// [`Error::Encode`](crate::Error::Encode).
    fn encode(&self, value: Encodable<'_>) -> Result<Vec<u8>, FormatError>;

    /// Decodes a body: creates a deserializer and passes it to `reader`. The format must fail if
    /// bytes are left over.
    ///
    /// # Errors
    /// Any error. The message returns it as the source of [`Error::Decode`](crate::Error::Decode).
    fn decode(&self, body: &[u8], reader: BodyReader<'_>) -> Result<(), FormatError>;
}

/// The value that a [`Format`] encodes. Serialises as the value itself.
#[derive(Clone, Copy)]
pub struct Encodable<'a>(&'a dyn erased_serde::Serialize);

impl<'a> Encodable<'a> {
    /// Wraps a value. For tests of a [`Format`].
    pub fn new<T: Serialize>(value: &'a T) -> Encodable<'a> {
        Encodable(value)
    }
}

impl Serialize for Encodable<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        erased_serde::serialize(self.0, serializer)
    }
}

impl fmt::Debug for Encodable<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Encodable(..)")
    }
}

type Read<'a> =
    dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error> + 'a;

/// Reads the value from the deserializer that a [`Format`] creates for a body.
pub struct BodyReader<'a>(&'a mut Read<'a>);

impl BodyReader<'_> {
    /// Reads the value.
    ///
    /// # Errors
    /// The error of the deserializer, also for a body of another type. A [`Format`] passes the
    /// error on.
    pub fn read<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        (self.0)(&mut <dyn erased_serde::Deserializer<'_>>::erase(deserializer))
            .map_err(D::Error::custom)
    }
}

impl fmt::Debug for BodyReader<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BodyReader(..)")
    }
}

pub(super) fn decode<T: DeserializeOwned>(
    format: &dyn Format,
    body: &[u8],
) -> Result<T, FormatError> {
    let mut value = None;
    format.decode(
        body,
        BodyReader(&mut |deserializer| {
            value = Some(erased_serde::deserialize(deserializer)?);
            Ok(())
        }),
    )?;
    value.ok_or_else(|| "the format read no value from the body".into())
}
