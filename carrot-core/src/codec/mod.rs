//! Codecs, which encode values as bodies and decode bodies to values.

pub(crate) mod body_decoder;
mod bytes;
mod codec_serde;
mod codecs;
mod compressed;
pub(crate) mod compression;
mod fit;
mod format;
#[cfg(feature = "message-pack")]
mod message_pack;
#[cfg(feature = "message-pack")]
mod whole_sequences;

use std::fmt::Write as _;
use std::sync::Arc;

#[cfg(feature = "bincode")]
use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::compression::{DEFAULT_MAX_INFLATED, compress};
use crate::error::{Cause, Error, Result};
use crate::escaping::printable;
use crate::panic_guard::guard;

pub use codecs::Codecs;
pub use compression::Compression;
pub use format::{BodyReader, Encodable, Format, FormatError};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
/// The content type of text whose encoding names its compression.
const TEXT_WITH_CHARSET: &str = "text/plain; charset=utf-8";
const RAW: &str = "application/octet-stream";
/// The content type of raw bytes in kombu.
const KOMBU_RAW: &str = "application/data";
#[cfg(feature = "bincode")]
const BINCODE: &str = "application/x-bincode";
/// The content type of kombu.
#[cfg(feature = "message-pack")]
const MESSAGE_PACK: &str = "application/x-msgpack";
/// The registered content type, and a common one.
#[cfg(feature = "message-pack")]
const OTHER_MESSAGE_PACK: [&str; 2] = ["application/vnd.msgpack", "application/msgpack"];

#[cfg(feature = "bincode")]
const DEFAULT_LIMIT: u64 = 16 * 1024 * 1024;

const UTF_8: &str = "utf-8";
const BINARY: &str = "binary";
/// Encodings that leave UTF-8 text and binary bodies unchanged.
const PLAIN_ENCODINGS: [&str; 7] = [UTF_8, "utf8", "us-ascii", "ascii", BINARY, "8bit", "identity"];

/// Encodes values as bodies, and decodes bodies to values.
///
/// Each message carries its codec's [`content_type`](Codec::content_type) and
/// [`content_encoding`](Codec::content_encoding), so a receiver in any language can choose the
/// decoder. A consumer accepts a set of codecs: [`Codecs`].
///
/// | codec | content type | encoding | values |
/// |---|---|---|---|
/// | [`json`](Codec::json), the default | `application/json` | `utf-8` | all types of serde |
/// | [`bincode`](Codec::bincode) (feature `bincode`) | `application/x-bincode` | `binary` | all types of serde that need no self-describing format |
/// | [`message_pack`](Codec::message_pack) (feature `message-pack`) | `application/x-msgpack` | `binary` | all types of serde |
/// | [`text`](Codec::text) | `text/plain` | `utf-8` | `String`, `&str`, and all types that serialise as a string |
/// | [`raw`](Codec::raw) | `application/octet-stream` | `binary` | `Vec<u8>`, `&[u8]`, byte arrays; text as its bytes |
/// | [`compressed`](Codec::compressed) | that of the inner codec | the [`Compression`]'s | those of the inner codec |
/// | [`new`](Codec::new) | the [`Format`]'s own | the [`Format`]'s own | the types that the [`Format`] accepts |
///
/// All codecs use serde, so publishers and consumers have one `send` and one `decode` for every
/// codec. A value that a codec does not support fails with [`Error::Encode`].
///
/// ```
/// use carrot::Codec;
///
/// let body = Codec::json().encode(&("GBP", 3))?;
/// assert_eq!(body, br#"["GBP",3]"#);
/// let price: (String, u32) = Codec::json().decode(&body)?;
/// assert_eq!(price, ("GBP".to_string(), 3));
///
/// assert_eq!(Codec::raw().encode(&[1_u8, 2])?, [1, 2]);
/// assert!(Codec::raw().encode(&3.5).is_err());
/// # Ok::<(), carrot::Error>(())
/// ```
///
/// The built-in codecs are called with the static type of the value. Only a [`Format`] is called
/// through `dyn`. Cloning a codec is cheap.
///
/// Serialized as `"json"`, `"text"`, `"raw"`, `"message_pack"` or `"bincode"`, or as a table with
/// the field `bincode_with_limit`. A compressed codec is a table with the field `compressed`, which
/// holds a table with the fields `codec` and `compression`. Serializing the codec of a [`Format`]
/// fails. Deserializing needs a self-describing format, as JSON is.
///
/// ```
/// use carrot::Codec;
///
/// let codec: Codec = serde_json::from_str(r#""raw""#)?;
/// assert_eq!(codec.content_type(), "application/octet-stream");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Codec(CodecKind);

#[derive(Debug, Clone)]
enum CodecKind {
    Json,
    Text,
    Raw,
    #[cfg(feature = "message-pack")]
    MessagePack,
    #[cfg(feature = "bincode")]
    Bincode {
        limit: u64,
    },
    Compressed(Arc<Compressed>),
    Custom(Arc<dyn Format>),
}

/// A codec whose bodies are compressed.
#[derive(Debug)]
struct Compressed {
    codec: Codec,
    compression: Compression,
    content_encoding: String,
}

impl Default for Codec {
    /// Returns [`Codec::json`].
    fn default() -> Codec {
        Codec::json()
    }
}

impl<F: Format> From<F> for Codec {
    fn from(format: F) -> Codec {
        Codec::new(format)
    }
}

impl From<&Codec> for Codec {
    fn from(codec: &Codec) -> Codec {
        codec.clone()
    }
}

impl Codec {
    /// Returns the JSON codec, compatible with `carrot` and `kombu` for Python.
    ///
    /// Bodies nested more than 127 levels deep fail to decode, and so do bodies with text after the
    /// value. Numbers that JSON does not support (NaN, infinity) are encoded as `null`.
    pub fn json() -> Codec {
        Codec(CodecKind::Json)
    }

    /// Returns the codec of plain UTF-8 text, without quotes.
    ///
    /// Numbers and other values fail to encode, because they are not text.
    pub fn text() -> Codec {
        Codec(CodecKind::Text)
    }

    /// Returns the codec of raw bytes. Also decodes `application/data`, the content type of kombu.
    pub fn raw() -> Codec {
        Codec(CodecKind::Raw)
    }

    /// Returns the codec of bincode 1.3 with fixed-size little-endian integers, compatible with
    /// `bincode::serialize`. Bodies have at most 16 MiB.
    ///
    /// Both sides must agree on the type. A body does not describe itself, and decoding it as
    /// another type often succeeds with a wrong value. Types that need a self-describing format
    /// (`serde_json::Value`, untagged or internally tagged enums) are not supported. Nesting is not
    /// limited: do not decode a recursive type, such as a tree, from an untrusted sender.
    #[cfg(feature = "bincode")]
    pub fn bincode() -> Codec {
        Codec::bincode_with_limit(DEFAULT_LIMIT)
    }

    /// Returns the codec of [`bincode`](Codec::bincode) for bodies of at most `bytes` bytes. Larger
    /// bodies fail on both sides.
    ///
    /// A body that claims more content than it holds fails before memory is allocated for it, with
    /// any limit.
    #[cfg(feature = "bincode")]
    pub fn bincode_with_limit(bytes: u64) -> Codec {
        Codec(CodecKind::Bincode { limit: bytes })
    }

    /// Returns the MessagePack codec, compatible with the serializer `msgpack` of kombu.
    ///
    /// Also decodes `application/vnd.msgpack` and `application/msgpack`. Structs are encoded as
    /// maps with the names of their fields, and enums with the names of their variants. `Vec<u8>`
    /// is encoded as an array of numbers; the crate `serde_bytes` encodes it as binary. Binary
    /// decodes as both. kombu refuses maps whose keys are neither text nor binary.
    ///
    /// Bodies nested more than 127 levels deep fail to decode, and so do bodies with bytes after
    /// the value. Binary, or a list, with more elements than an array, a tuple or a struct fails,
    /// too. A body that claims more content than it holds fails before memory is allocated
    /// for it.
    ///
    /// ```
    /// use carrot::Codec;
    ///
    /// let body = Codec::message_pack().encode(&("GBP", 3))?;
    /// assert_eq!(body, b"\x92\xa3GBP\x03");
    /// let price: (String, u32) = Codec::message_pack().decode(&body)?;
    /// assert_eq!(price, ("GBP".to_string(), 3));
    /// # Ok::<(), carrot::Error>(())
    /// ```
    #[cfg(feature = "message-pack")]
    pub fn message_pack() -> Codec {
        Codec(CodecKind::MessagePack)
    }

    /// Creates a codec from a [`Format`].
    pub fn new(format: impl Format) -> Codec {
        Codec(CodecKind::Custom(Arc::new(format)))
    }

    /// Returns the MIME type of the encoded bodies, such as `application/json`.
    pub fn content_type(&self) -> &str {
        match &self.0 {
            CodecKind::Json => JSON,
            CodecKind::Text => TEXT,
            CodecKind::Raw => RAW,
            #[cfg(feature = "message-pack")]
            CodecKind::MessagePack => MESSAGE_PACK,
            #[cfg(feature = "bincode")]
            CodecKind::Bincode { .. } => BINCODE,
            CodecKind::Compressed(compressed) => match compressed.codec.0 {
                CodecKind::Text => TEXT_WITH_CHARSET,
                _ => compressed.codec.content_type(),
            },
            CodecKind::Custom(format) => format.content_type(),
        }
    }

    /// Returns the encoding of the encoded bodies: a character set such as `utf-8`, `binary`, or a
    /// compression; `None` for no encoding.
    pub fn content_encoding(&self) -> Option<&str> {
        match &self.0 {
            CodecKind::Json | CodecKind::Text => Some(UTF_8),
            CodecKind::Raw => Some(BINARY),
            #[cfg(feature = "message-pack")]
            CodecKind::MessagePack => Some(BINARY),
            #[cfg(feature = "bincode")]
            CodecKind::Bincode { .. } => Some(BINARY),
            CodecKind::Compressed(compressed) => Some(&compressed.content_encoding),
            CodecKind::Custom(format) => format.content_encoding(),
        }
    }

    /// Returns the codec of the values, without a compression.
    fn uncompressed(&self) -> &Codec {
        match &self.0 {
            CodecKind::Compressed(compressed) => &compressed.codec,
            _ => self,
        }
    }

    /// Returns whether the `content-encoding` names a compression by the codec.
    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.0, CodecKind::Compressed(_))
    }

    /// Encodes a value as a body.
    ///
    /// # Errors
    /// - [`Error::Encode`]: the codec does not support this value.
    pub fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Vec<u8>> {
        let encoded = match &self.0 {
            CodecKind::Json => serde_json::to_vec(value).map_err(cause),
            CodecKind::Text => encode_text(value),
            CodecKind::Raw => bytes::encode(value).map_err(cause),
            #[cfg(feature = "message-pack")]
            CodecKind::MessagePack => message_pack::encode(value).map_err(Cause::from),
            #[cfg(feature = "bincode")]
            CodecKind::Bincode { limit } => bincode_options(*limit).serialize(value).map_err(cause),
            CodecKind::Compressed(compressed) => {
                let body = compressed.codec.encode(value)?;
                compress(compressed.compression.method, &body)
            }
            CodecKind::Custom(format) => format.encode(Encodable::new(&value)).map_err(Cause::from),
        };
        encoded.map_err(|source| Error::Encode {
            content_type: self.content_type().to_string(),
            source,
        })
    }

    /// Decodes a body to a value.
    ///
    /// # Errors
    /// - [`Error::Decode`]: the body does not have this format, or does not fit the type.
    /// - [`Error::Inflate`], [`Error::TooLarge`]: a codec of compressed bodies could not inflate
    ///   the body.
    pub fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        let decoded = match &self.0 {
            CodecKind::Json => serde_json::from_slice(body).map_err(cause),
            CodecKind::Text => decode_text(body),
            CodecKind::Raw => bytes::decode(body).map_err(cause),
            #[cfg(feature = "message-pack")]
            CodecKind::MessagePack => message_pack::decode(body).map_err(Cause::from),
            #[cfg(feature = "bincode")]
            CodecKind::Bincode { limit } => decode_bincode(body, *limit).map_err(cause),
            CodecKind::Compressed(compressed) => {
                let method = compressed.compression.method;
                return compressed.codec.decode(&method.inflate(body, DEFAULT_MAX_INFLATED)?);
            }
            CodecKind::Custom(format) => format::decode(&**format, body).map_err(Cause::from),
        };
        decoded.map_err(|source| Error::Decode {
            content_type: self.content_type().to_string(),
            source: printable_cause(source),
        })
    }
}

#[cfg(feature = "bincode")]
fn bincode_options(limit: u64) -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(limit).reject_trailing_bytes()
}

/// Checks the limit, because bincode does not apply it to a slice.
#[cfg(feature = "bincode")]
fn decode_bincode<T: DeserializeOwned>(body: &[u8], limit: u64) -> bincode::Result<T> {
    if body.len() as u64 > limit {
        return Err(bincode::ErrorKind::SizeLimit.into());
    }
    bincode_options(limit).deserialize(body)
}

fn encode_text<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Cause> {
    match serde_json::to_value(value).map_err(cause)? {
        serde_json::Value::String(text) => Ok(text.into_bytes()),
        _ => Err(Cause::from(FormatError::from("the value is not a string"))),
    }
}

fn decode_text<T: DeserializeOwned>(body: &[u8]) -> Result<T, Cause> {
    let text = std::str::from_utf8(body).map_err(cause)?;
    serde_json::from_value(serde_json::Value::String(text.to_string())).map_err(cause)
}

/// Replaces an error with a long text or control characters by its cut and escaped text. A decoder
/// may quote the body of an untrusted sender.
fn printable_cause(source: Cause) -> Cause {
    const LONGEST: usize = 1000;
    match guard(|| {
        let shown = printable(LONGEST, &source);
        let mut comparing = Comparing { rest: &shown };
        let is_same = write!(comparing, "{source}").is_ok() && comparing.rest.is_empty();
        (!is_same).then_some(shown)
    }) {
        Ok(None) => source,
        Ok(Some(shown)) => Cause::from(FormatError::from(shown)),
        Err(panic) => {
            Cause::from(FormatError::from(format!("an error whose Display panics ({panic})")))
        }
    }
}

/// A writer that fails at the first difference from its text.
struct Comparing<'a> {
    rest: &'a str,
}

impl std::fmt::Write for Comparing<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.rest = self.rest.strip_prefix(text).ok_or(std::fmt::Error)?;
        Ok(())
    }
}

fn cause(error: impl std::error::Error + Send + Sync + 'static) -> Cause {
    Arc::new(error)
}

#[cfg(test)]
mod tests;
