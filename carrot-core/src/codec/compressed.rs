//! Codecs whose bodies are compressed.

use std::sync::Arc;

use crate::codec::{Codec, CodecKind, Compressed, Compression, PLAIN_ENCODINGS};

impl Codec {
    /// Returns a codec that compresses the bodies of this codec, and names the compression in the
    /// `content-encoding`: `gzip`, `deflate`, `zstd`, `bzip2` or `br`. Replaces an earlier
    /// compression.
    ///
    /// Every body is compressed, however small. [`decode`](Codec::decode) inflates a body to at
    /// most 64 MiB; a consumer has [a limit of its
    /// own](crate::ConsumerDefinition::max_inflated_bytes).
    ///
    /// The `content-encoding` has no room for `utf-8` then. The content type of text becomes
    /// `text/plain; charset=utf-8`. JSON is always UTF-8. A [`Format`](crate::Format) with another
    /// encoding keeps it, as in `latin-1, gzip`. kombu understands no compression in the
    /// `content-encoding`: use
    /// [`PublisherDefinition::compress`](crate::PublisherDefinition::compress) for its consumers.
    ///
    /// A consumer needs no such codec, because it inflates bodies for every codec. In a consumer's
    /// [`Codecs`](crate::Codecs), the codec decodes bodies that are not compressed, too. The
    /// answers of [`serve`](crate::Consumer::serve) are then compressed, if it is the only codec of
    /// its content type.
    ///
    /// ```
    /// use carrot::{Codec, codec::Compression};
    ///
    /// let codec = Codec::json().compressed(Compression::gzip());
    /// assert_eq!(codec.content_type(), "application/json");
    /// assert_eq!(codec.content_encoding(), Some("gzip"));
    ///
    /// let body = codec.encode(&vec!["the same"; 100])?;
    /// assert!(body.len() < 100);
    /// let texts: Vec<String> = codec.decode(&body)?;
    /// assert_eq!(texts.len(), 100);
    /// # Ok::<(), carrot::Error>(())
    /// ```
    #[must_use]
    pub fn compressed(&self, compression: Compression) -> Codec {
        let codec = self.uncompressed().clone();
        let own = codec.content_encoding().filter(|own| {
            !own.is_empty() && !PLAIN_ENCODINGS.iter().any(|plain| plain.eq_ignore_ascii_case(own))
        });
        let name = compression.method.content_encoding();
        let content_encoding = match own {
            Some(own) => format!("{own}, {name}"),
            None => name.to_string(),
        };
        let compressed = Compressed { codec, compression, content_encoding };
        Codec(CodecKind::Compressed(Arc::new(compressed)))
    }
}
