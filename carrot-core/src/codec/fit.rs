//! Which codec decodes which content type.

#[cfg(feature = "message-pack")]
use crate::codec::OTHER_MESSAGE_PACK;
use crate::codec::{Codec, CodecKind, KOMBU_RAW, PLAIN_ENCODINGS};

/// How well a codec fits a content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// The codec's own type.
    Own,
    /// One of several types that the codec reads.
    Kind,
    None,
}

impl Codec {
    /// Returns whether the codec decodes bodies of this content type and encoding.
    ///
    /// JSON decodes every type that ends in `+json` (RFC 6839), and `text/json`.
    ///
    /// Case and parameters (`; version=1`) do not matter, except for a `charset`. A missing
    /// encoding, `utf-8`, `us-ascii`, `binary` and `identity` count as equal, because publishers
    /// use them interchangeably. Any other, such as `gzip` or `latin-1`, must be the codec's own. A
    /// consumer removes compressions before it searches for a codec.
    pub fn accepts(&self, content_type: &str, content_encoding: Option<&str>) -> bool {
        self.fit(content_type, content_encoding) != Fit::None
    }

    pub(super) fn fit(&self, content_type: &str, content_encoding: Option<&str>) -> Fit {
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
        if self.uncompressed().accepts_encoding(charset) && self.accepts_encoding(content_encoding)
        {
            fit
        } else {
            Fit::None
        }
    }

    /// Returns whether this is the JSON codec, and the type is a kind of JSON.
    fn is_json_of(&self, media_type: &str) -> bool {
        const SUFFIX: &str = "+json";
        let end =
            media_type.len().checked_sub(SUFFIX.len()).and_then(|start| media_type.get(start..));
        matches!(self.uncompressed().0, CodecKind::Json)
            && (media_type.eq_ignore_ascii_case("text/json")
                || end.is_some_and(|end| end.eq_ignore_ascii_case(SUFFIX)))
    }

    pub(super) fn is_of_type(&self, media_type: &str) -> bool {
        let own = match &self.0 {
            CodecKind::Compressed(compressed) => return compressed.codec.is_of_type(media_type),
            _ => self.content_type().split(';').next().unwrap_or_default().trim(),
        };
        let others: &[&str] = match self.0 {
            CodecKind::Raw => &[KOMBU_RAW],
            #[cfg(feature = "message-pack")]
            CodecKind::MessagePack => &OTHER_MESSAGE_PACK,
            _ => &[],
        };
        own.eq_ignore_ascii_case(media_type)
            || others.iter().any(|other| other.eq_ignore_ascii_case(media_type))
    }

    pub(super) fn accepts_encoding(&self, encoding: Option<&str>) -> bool {
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
}
