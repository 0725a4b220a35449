use crate::codec::Codec;
use crate::codec::fit::Fit;
use crate::error::{Error, Result};

/// The codecs that a consumer accepts.
///
/// The codec with exactly this content type decodes a message. If there is none, the first codec
/// that [accepts](Codec::accepts) the content type does. The first codec of the set decodes
/// messages without a content type.
///
/// ```
/// use carrot::{Codec, Error, codec::Codecs};
///
/// let every = Codecs::default();
/// assert_eq!(every.find(Some("text/plain; charset=UTF-8"), None)?.content_type(), "text/plain");
/// assert_eq!(every.find(None, None)?.content_type(), "application/json");
///
/// let only_json = Codecs::only(Codec::json());
/// assert!(matches!(only_json.find(Some("text/plain"), None), Err(Error::ContentType { .. })));
/// # Ok::<(), carrot::Error>(())
/// ```
///
/// Serialized as a list of at least one [`Codec`].
///
/// ```
/// use carrot::codec::Codecs;
///
/// let codecs: Codecs = serde_json::from_str(r#"["json", "bincode"]"#)?;
/// assert_eq!(codecs.to_string(), "application/json (utf-8), application/x-bincode (binary)");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Codecs(Vec<Codec>);

impl Default for Codecs {
    /// Returns JSON, text, raw and, with the feature `message-pack`, MessagePack. JSON also decodes
    /// messages without a content type.
    ///
    /// MessagePack is limited as JSON is, and describes itself. Bincode has to be added explicitly,
    /// because the sender's content type chooses the decoder. An untrusted bincode body decodes as
    /// almost any type, and the nesting of a recursive type is not limited.
    fn default() -> Codecs {
        let codecs = Codecs::only(Codec::json()).with(Codec::text()).with(Codec::raw());
        #[cfg(feature = "message-pack")]
        let codecs = codecs.with(Codec::message_pack());
        codecs
    }
}

impl Codecs {
    /// Returns a set with only this codec, which also decodes messages without a content type.
    pub fn only(codec: impl Into<Codec>) -> Codecs {
        Codecs(vec![codec.into()])
    }

    /// Adds a codec. Replaces a codec with the same content type and encoding, such as bincode with
    /// another limit.
    #[must_use]
    pub fn with(mut self, codec: impl Into<Codec>) -> Codecs {
        let codec = codec.into();
        let same = |other: &&mut Codec| {
            other.is_of_type(codec.content_type().split(';').next().unwrap_or_default().trim())
                && other.content_encoding().map(str::to_lowercase)
                    == codec.content_encoding().map(str::to_lowercase)
        };
        match self.0.iter_mut().find(same) {
            Some(other) => *other = codec,
            None => self.0.push(codec),
        }
        self
    }

    /// Returns the codec for messages of this content type and encoding.
    ///
    /// A consumer removes compressions from the encoding before.
    ///
    /// # Errors
    /// - [`Error::ContentType`]: no codec accepts them. The error names the codecs of the set.
    pub fn find(
        &self,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
    ) -> Result<&Codec> {
        self.find_by(|codec| codec, content_type, content_encoding)
    }
}

impl Codecs {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Codec> {
        self.0.iter()
    }

    /// Returns the codec for messages of this content type and encoding, once inflated. A codec of
    /// compressed bodies counts as its inner codec.
    pub(super) fn find_uncompressed(
        &self,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
    ) -> Result<&Codec> {
        self.find_by(Codec::uncompressed, content_type, content_encoding)
    }

    fn find_by(
        &self,
        matched: impl Fn(&Codec) -> &Codec,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
    ) -> Result<&Codec> {
        let found =
            match content_type.map(str::trim).filter(|content_type| !content_type.is_empty()) {
                Some(content_type) => self.fitting(matched, content_type, content_encoding),
                None => {
                    self.0.first().filter(|codec| matched(codec).accepts_encoding(content_encoding))
                }
            };
        found.ok_or_else(|| self.unknown(content_type, content_encoding))
    }

    /// Returns the error of a content type and an encoding that no codec accepts.
    pub(super) fn unknown(
        &self,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
    ) -> Error {
        Error::ContentType {
            content_type: content_type.unwrap_or_default().to_string(),
            content_encoding: content_encoding.unwrap_or_default().to_string(),
            accepted: self.to_string(),
        }
    }

    /// Prefers a codec for exactly this type to JSON, which decodes many.
    fn fitting(
        &self,
        matched: impl Fn(&Codec) -> &Codec,
        content_type: &str,
        content_encoding: Option<&str>,
    ) -> Option<&Codec> {
        let mut of_its_kind = None;
        for codec in &self.0 {
            match matched(codec).fit(content_type, content_encoding) {
                Fit::Own => return Some(codec),
                Fit::Kind => of_its_kind = of_its_kind.or(Some(codec)),
                Fit::None => {}
            }
        }
        of_its_kind
    }
}

/// Displays the content types, with their encodings in parentheses.
impl std::fmt::Display for Codecs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, codec) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{}", codec.content_type())?;
            if let Some(encoding) = codec.content_encoding() {
                write!(formatter, " ({encoding})")?;
            }
        }
        Ok(())
    }
}
