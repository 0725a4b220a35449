use crate::codec::{Codec, Fit};
use crate::error::{Error, Result};

/// The codecs that a consumer accepts.
///
/// A message is read by the first one that [accepts](Codec::accepts) its content type and encoding;
/// a message that names no type, by the first of all.
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
#[derive(Debug, Clone)]
pub struct Codecs(Vec<Codec>);

impl Default for Codecs {
    /// JSON, which also reads messages with no content type; text; and raw.
    ///
    /// Bincode has to be added, since it is the sender's content type that picks the decoder: a
    /// body that a stranger sends as bincode reads as almost any type, and nothing bounds how deep
    /// a recursive one nests.
    fn default() -> Codecs {
        Codecs::only(Codec::json()).with(Codec::text()).with(Codec::raw())
    }
}

impl Codecs {
    /// This codec and no other; it also reads messages with no content type.
    pub fn only(codec: impl Into<Codec>) -> Codecs {
        Codecs(vec![codec.into()])
    }

    /// Adds a codec. It takes the place of one with the same content type and encoding, such as
    /// bincode with another limit.
    #[must_use]
    pub fn with(mut self, codec: impl Into<Codec>) -> Codecs {
        let codec = codec.into();
        let same = |other: &&mut Codec| {
            other.is_of_type(codec.content_type())
                && other.content_encoding().map(str::to_lowercase)
                    == codec.content_encoding().map(str::to_lowercase)
        };
        match self.0.iter_mut().find(same) {
            Some(other) => *other = codec,
            None => self.0.push(codec),
        }
        self
    }

    /// The codec for messages of this content type and encoding.
    ///
    /// # Errors
    /// [`Error::ContentType`]: there is none; the error names those that there are.
    pub fn find(
        &self,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
    ) -> Result<&Codec> {
        let found =
            match content_type.map(str::trim).filter(|content_type| !content_type.is_empty()) {
                Some(content_type) => self.fitting(content_type, content_encoding),
                None => self.0.first().filter(|codec| codec.accepts_encoding(content_encoding)),
            };
        found.ok_or_else(|| Error::ContentType {
            content_type: content_type.unwrap_or_default().to_string(),
            content_encoding: content_encoding.unwrap_or_default().to_string(),
            accepted: self.to_string(),
        })
    }
}

impl Codecs {
    /// A codec for just this type comes before JSON, which reads many.
    fn fitting(&self, content_type: &str, content_encoding: Option<&str>) -> Option<&Codec> {
        let mut of_its_kind = None;
        for codec in &self.0 {
            match codec.fit(content_type, content_encoding) {
                Fit::Own => return Some(codec),
                Fit::Kind => of_its_kind = of_its_kind.or(Some(codec)),
                Fit::None => {}
            }
        }
        of_its_kind
    }
}

/// The content types, with their encodings in brackets.
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
