//! How values become bodies, and bodies values.

mod bytes;
mod codecs;
mod format;

use std::fmt::Write as _;
use std::sync::Arc;

#[cfg(feature = "bincode")]
use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Cause, Error, Result};
use crate::escaping::printable;
use crate::panic_guard::guard;

pub use codecs::Codecs;
pub use format::{BodyReader, Encodable, Format, FormatError};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const RAW: &str = "application/octet-stream";
/// What kombu calls raw bytes.
const KOMBU_RAW: &str = "application/data";
#[cfg(feature = "bincode")]
const BINCODE: &str = "application/x-bincode";

const UTF_8: &str = "utf-8";
const BINARY: &str = "binary";
/// Encodings that leave UTF-8 text and binary bodies as they are.
const PLAIN_ENCODINGS: [&str; 7] = [UTF_8, "utf8", "us-ascii", "ascii", BINARY, "8bit", "identity"];

/// Turns values into bodies and back.
///
/// Its [`content_type`](Codec::content_type) and [`content_encoding`](Codec::content_encoding)
/// travel with each message, so that whoever receives it picks the same codec, whatever language it
/// is written in: [`Codecs`] is the set that a consumer accepts.
///
/// | codec | content type | encoding | values |
/// |---|---|---|---|
/// | [`json`](Codec::json), the default | `application/json` | `utf-8` | whatever serde can serialise |
/// | [`bincode`](Codec::bincode) (feature `bincode`) | `application/x-bincode` | `binary` | whatever serde can serialise without a description of itself |
/// | [`text`](Codec::text) | `text/plain` | `utf-8` | `String`, `&str`, and whatever serialises as a string |
/// | [`raw`](Codec::raw) | `application/octet-stream` | `binary` | `Vec<u8>`, `&[u8]`, byte arrays; text as its bytes |
/// | [`new`](Codec::new) | the [`Format`]'s own | the [`Format`]'s own | what the [`Format`] takes |
///
/// All of them go through serde, so that a publisher or consumer has one `send` and one `decode`
/// whatever its codec is; a value that a codec cannot take is [`Error::Encode`], never a body that
/// means something else.
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
/// The built-in codecs are called directly, with the value's type known to the compiler; only a
/// [`Format`] goes through `dyn`. A codec is cheap to clone.
#[derive(Debug, Clone)]
pub struct Codec(CodecKind);

#[derive(Debug, Clone)]
enum CodecKind {
    Json,
    Text,
    Raw,
    #[cfg(feature = "bincode")]
    Bincode {
        limit: u64,
    },
    Custom(Arc<dyn Format>),
}

/// How well a codec fits a content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// It is the codec's own type.
    Own,
    /// It is a type that the codec reads among others.
    Kind,
    None,
}

impl Default for Codec {
    /// [`Codec::json`].
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
    /// JSON, as `carrot` and `kombu` write it.
    ///
    /// Bodies nested over 127 levels deep are refused, and so is anything after the value. Numbers
    /// that JSON does not know (NaN, infinity) are written as `null`.
    pub fn json() -> Codec {
        Codec(CodecKind::Json)
    }

    /// Plain UTF-8 text: the string itself, with no quotes.
    ///
    /// Numbers and other values are refused, so that nothing is turned into text unseen.
    pub fn text() -> Codec {
        Codec(CodecKind::Text)
    }

    /// Bytes as they are. It also reads what `kombu` sends as `application/data`.
    pub fn raw() -> Codec {
        Codec(CodecKind::Raw)
    }

    /// Bincode 1.3 with fixed-size little-endian integers, as `bincode::serialize` writes it.
    /// Bodies of at most 16 MiB.
    ///
    /// Both sides must agree on the type: a body does not describe itself, and reading one as
    /// another type often succeeds with a wrong value. Types that need a description
    /// (`serde_json::Value`, untagged or internally tagged enums) do not work. Nesting is not
    /// limited: do not read a recursive type, such as a tree, from someone you do not trust.
    #[cfg(feature = "bincode")]
    pub fn bincode() -> Codec {
        const DEFAULT_LIMIT: u64 = 16 * 1024 * 1024;
        Codec::bincode_with_limit(DEFAULT_LIMIT)
    }

    /// The same, with bodies of at most `bytes`: larger ones are refused on both sides. A body that
    /// claims to hold more than it does is refused before anything of that size is allocated,
    /// whatever the limit.
    #[cfg(feature = "bincode")]
    pub fn bincode_with_limit(bytes: u64) -> Codec {
        Codec(CodecKind::Bincode { limit: bytes })
    }

    /// A format of your own.
    pub fn new(format: impl Format) -> Codec {
        Codec(CodecKind::Custom(Arc::new(format)))
    }

    /// The MIME type of the bodies it writes, such as `application/json`.
    pub fn content_type(&self) -> &str {
        match &self.0 {
            CodecKind::Json => JSON,
            CodecKind::Text => TEXT,
            CodecKind::Raw => RAW,
            #[cfg(feature = "bincode")]
            CodecKind::Bincode { .. } => BINCODE,
            CodecKind::Custom(format) => format.content_type(),
        }
    }

    /// The encoding of the bodies it writes: a character set such as `utf-8`, or `binary`; `None`
    /// for nothing to say.
    pub fn content_encoding(&self) -> Option<&str> {
        match &self.0 {
            CodecKind::Json | CodecKind::Text => Some(UTF_8),
            CodecKind::Raw => Some(BINARY),
            #[cfg(feature = "bincode")]
            CodecKind::Bincode { .. } => Some(BINARY),
            CodecKind::Custom(format) => format.content_encoding(),
        }
    }

    /// Whether it reads bodies of this type and encoding.
    ///
    /// JSON reads every type that ends in `+json` (RFC 6839), and `text/json`.
    ///
    /// Case and parameters (`; version=1`) do not matter, except for a `charset`. No encoding,
    /// `utf-8`, `us-ascii`, `binary` and `identity` are as good as each other, since publishers use
    /// them so; any other, such as `gzip` or `latin-1`, has to be the codec's own.
    pub fn accepts(&self, content_type: &str, content_encoding: Option<&str>) -> bool {
        self.fit(content_type, content_encoding) != Fit::None
    }

    fn fit(&self, content_type: &str, content_encoding: Option<&str>) -> Fit {
        let mut parts = content_type.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let charset = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
        });
        let fit = match () {
            () if self.is_of_type(media_type) => Fit::Own,
            () if self.is_json_of(media_type) => Fit::Kind,
            () => return Fit::None,
        };
        if self.accepts_encoding(charset) && self.accepts_encoding(content_encoding) {
            fit
        } else {
            Fit::None
        }
    }

    /// Whether it is JSON, and the type is a kind of it.
    fn is_json_of(&self, media_type: &str) -> bool {
        const SUFFIX: &str = "+json";
        let end =
            media_type.len().checked_sub(SUFFIX.len()).and_then(|start| media_type.get(start..));
        matches!(self.0, CodecKind::Json)
            && (media_type.eq_ignore_ascii_case("text/json")
                || end.is_some_and(|end| end.eq_ignore_ascii_case(SUFFIX)))
    }

    fn is_of_type(&self, media_type: &str) -> bool {
        let own = self.content_type().split(';').next().unwrap_or_default().trim();
        own.eq_ignore_ascii_case(media_type)
            || matches!(self.0, CodecKind::Raw) && media_type.eq_ignore_ascii_case(KOMBU_RAW)
    }

    fn accepts_encoding(&self, encoding: Option<&str>) -> bool {
        let Some(encoding) = encoding.map(str::trim).filter(|encoding| !encoding.is_empty()) else {
            return true;
        };
        let is_plain = |encoding: &str| {
            PLAIN_ENCODINGS.iter().any(|plain| plain.eq_ignore_ascii_case(encoding))
        };
        match self.content_encoding() {
            Some(own) => own.eq_ignore_ascii_case(encoding) || is_plain(own) && is_plain(encoding),
            None => is_plain(encoding),
        }
    }

    /// Turns a value into a body.
    ///
    /// # Errors
    /// [`Error::Encode`]: the codec cannot take this value.
    pub fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Vec<u8>> {
        let encoded = match &self.0 {
            CodecKind::Json => serde_json::to_vec(value).map_err(cause),
            CodecKind::Text => encode_text(value),
            CodecKind::Raw => bytes::encode(value).map_err(cause),
            #[cfg(feature = "bincode")]
            CodecKind::Bincode { limit } => bincode_options(*limit).serialize(value).map_err(cause),
            CodecKind::Custom(format) => format.encode(Encodable::new(&value)).map_err(Cause::from),
        };
        encoded.map_err(|source| Error::Encode {
            content_type: self.content_type().to_string(),
            source,
        })
    }

    /// Turns a body into a value.
    ///
    /// # Errors
    /// [`Error::Decode`]: the body is not of this format, or not of this type.
    pub fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        let decoded = match &self.0 {
            CodecKind::Json => serde_json::from_slice(body).map_err(cause),
            CodecKind::Text => decode_text(body),
            CodecKind::Raw => bytes::decode(body).map_err(cause),
            #[cfg(feature = "bincode")]
            CodecKind::Bincode { limit } => decode_bincode(body, *limit).map_err(cause),
            CodecKind::Custom(format) => format::decode(&**format, body).map_err(Cause::from),
        };
        decoded.map_err(|source| Error::Decode {
            content_type: self.content_type().to_string(),
            source: fit_to_show(source),
        })
    }
}

#[cfg(feature = "bincode")]
fn bincode_options(limit: u64) -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(limit).reject_trailing_bytes()
}

/// Bincode does not hold a slice to its limit.
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

/// A decoder may quote the body, which a stranger wrote: a text that is long, or holds control
/// characters, is cut and escaped, and stands in place of the error.
fn fit_to_show(source: Cause) -> Cause {
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

/// Fails once it is given another text than it has.
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
