use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserializer, Serialize, Serializer};

/// Whatever went wrong in a [`Format`]; `?` turns any error into it.
pub type FormatError = Box<dyn std::error::Error + Send + Sync>;

/// A format of your own: how any value that serde knows becomes a body, and back.
/// [`Codec::new`](crate::Codec::new) makes it a codec.
///
/// Any serde format fits, in one line each way:
///
/// ```
/// use carrot::{Codec, codec::{BodyReader, Encodable, Format, FormatError}};
///
/// /// JSON that people like to read.
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
/// Its methods are called from several threads at once. A body comes from outside: `decode` has to
/// bound what it allocates and how deep it recurses.
pub trait Format: fmt::Debug + Send + Sync + 'static {
    /// The MIME type of the bodies, at most 255 bytes; always the same.
    fn content_type(&self) -> &str;

    /// The encoding of the bodies: a character set such as `utf-8`, `binary`, a compression such as
    /// `gzip`; `None` for nothing to say. At most 255 bytes, and always the same.
    fn content_encoding(&self) -> Option<&str>;

    /// Turns a value into a body.
    ///
    /// # Errors
    /// Whatever went wrong; the publisher gives it as the source of
    /// [`Error::Encode`](crate::Error::Encode).
    fn encode(&self, value: Encodable<'_>) -> Result<Vec<u8>, FormatError>;

    /// Turns a body into a value: makes a deserializer and hands it to `reader`. Bytes left over
    /// are an error of the format.
    ///
    /// # Errors
    /// Whatever went wrong; the message gives it as the source of
    /// [`Error::Decode`](crate::Error::Decode).
    fn decode(&self, body: &[u8], reader: BodyReader<'_>) -> Result<(), FormatError>;
}

/// The value that a [`Format`] is to encode. It serialises as the value itself.
#[derive(Clone, Copy)]
pub struct Encodable<'a>(&'a dyn erased_serde::Serialize);

impl<'a> Encodable<'a> {
    /// Wraps a value; for tests of a [`Format`].
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

/// Takes the one value out of the deserializer that a [`Format`] makes for a body.
pub struct BodyReader<'a>(&'a mut Read<'a>);

impl BodyReader<'_> {
    /// Reads the value.
    ///
    /// # Errors
    /// What the deserializer gives, or that it holds another type; a [`Format`] passes it on.
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
