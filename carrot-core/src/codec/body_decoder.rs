//! Inflates and decodes the bodies of messages.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::backend::Content;
use crate::codec::compression::method::{Method, failed};
use crate::codec::compression::{DEFAULT_MAX_INFLATED, HEADER};
use crate::codec::{Codec, Codecs};
use crate::error::{Error, Result};
use crate::model::{Properties, Value};

/// The most compressions of one body.
const MOST_COMPRESSIONS: usize = 3;

/// The codecs of a consumer or a caller, and the limit of what its bodies inflate to.
#[derive(Debug, Clone)]
pub(crate) struct BodyDecoder {
    codecs: Codecs,
    max_inflated_bytes: u64,
}

/// The way from a body to its value.
struct Decoding<'a> {
    codec: &'a Codec,
    compressions: Compressions,
}

/// The compressions of a body, the last one first.
#[derive(Debug, Default)]
struct Compressions {
    methods: [Option<Method>; MOST_COMPRESSIONS],
}

impl Default for BodyDecoder {
    fn default() -> BodyDecoder {
        BodyDecoder::new(Codecs::default(), DEFAULT_MAX_INFLATED)
    }
}

impl BodyDecoder {
    pub(crate) fn new(codecs: Codecs, max_inflated_bytes: u64) -> BodyDecoder {
        BodyDecoder { codecs, max_inflated_bytes }
    }

    /// Inflates and decodes a body.
    ///
    /// # Errors
    /// - [`Error::ContentType`](crate::Error::ContentType): no codec decodes the content type.
    /// - [`Error::Inflate`](crate::Error::Inflate), [`Error::TooLarge`](crate::Error::TooLarge):
    ///   the body could not be inflated.
    /// - [`Error::Decode`](crate::Error::Decode): the body does not fit the type.
    pub(crate) fn decode<T: DeserializeOwned>(&self, content: &Content) -> Result<T> {
        let Decoding { codec, compressions } = self.decoding(&content.properties)?;
        let body = compressions.inflate(&content.body, self.max_inflated_bytes)?;
        codec.uncompressed().decode(&body)
    }

    /// Inflates a body, whether or not a codec decodes it.
    pub(crate) fn inflate<'a>(&self, content: &'a Content) -> Result<Cow<'a, [u8]>> {
        let compressions = match self.decoding(&content.properties) {
            Ok(Decoding { compressions, .. }) => compressions,
            Err(Error::ContentType { .. }) => Compressions::of_properties(&content.properties)?,
            Err(error) => return Err(error),
        };
        compressions.inflate(&content.body, self.max_inflated_bytes)
    }

    /// Returns the codec that decodes the body, once inflated.
    pub(crate) fn codec(&self, properties: &Properties) -> Result<&Codec> {
        self.decoding(properties).map(|decoding| decoding.codec)
    }

    /// Removes compressions from the `content-encoding` until a codec accepts the rest. A format of
    /// the program may inflate its bodies itself.
    fn decoding(&self, properties: &Properties) -> Result<Decoding<'_>> {
        let mut compressions = Compressions::of_header(properties)?;
        let (content_type, encoding) = (properties.content_type(), properties.content_encoding());
        let mut rest = encoding;
        loop {
            match self.codecs.find_uncompressed(content_type, rest) {
                Ok(codec) => return Ok(Decoding { codec, compressions }),
                Err(error) => match rest.map(last_compression).transpose()?.flatten() {
                    Some((method, before)) => {
                        compressions.push(method)?;
                        rest = before;
                    }
                    None if rest == encoding => return Err(error),
                    None => return Err(self.codecs.unknown(content_type, encoding)),
                },
            }
        }
    }
}

/// Returns the last compression of a `content-encoding`, and the encodings before it. Returns
/// `None` if the last encoding is no compression.
fn last_compression(encodings: &str) -> Result<Option<(Method, Option<&str>)>> {
    let (before, last) = match encodings.rsplit_once(',') {
        Some((before, last)) => (Some(before), last),
        None => (None, encodings),
    };
    Ok(Method::of_encoding(last)?.map(|method| (method, before)))
}

impl Compressions {
    /// Reads the header of kombu. Its publishers compress last.
    fn of_header(properties: &Properties) -> Result<Compressions> {
        let mut compressions = Compressions::default();
        if let Some(name) = properties.header(HEADER).and_then(Value::as_str)
            && let Some(method) = Method::of_header_value(name)?
        {
            compressions.push(method)?;
        }
        Ok(compressions)
    }

    fn of_properties(properties: &Properties) -> Result<Compressions> {
        let mut compressions = Compressions::of_header(properties)?;
        let mut rest = properties.content_encoding();
        while let Some((method, before)) = rest.map(last_compression).transpose()?.flatten() {
            compressions.push(method)?;
            rest = before;
        }
        Ok(compressions)
    }

    fn push(&mut self, method: Method) -> Result<()> {
        let free = self.methods.iter_mut().find(|place| place.is_none());
        *free.ok_or_else(|| {
            failed(method.content_encoding(), "the body is compressed more than 3 times")
        })? = Some(method);
        Ok(())
    }

    fn inflate<'a>(&self, body: &'a [u8], limit: u64) -> Result<Cow<'a, [u8]>> {
        self.methods.iter().flatten().try_fold(Cow::Borrowed(body), |body, method| {
            method.inflate(&body, limit).map(Cow::Owned)
        })
    }
}

#[cfg(all(test, feature = "compression"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::backend::Body;
    use crate::codec::{BodyReader, Compression, Encodable, Format, FormatError};

    const TEXT: &str = "a text that is sent";

    fn content(properties: Properties, body: Vec<u8>) -> Content {
        Content { properties, body: Body::from(body), ..Content::default() }
    }

    fn json(encoding: &str) -> Properties {
        Properties::new().with_content_type("application/json").with_content_encoding(encoding)
    }

    fn compressed(compressions: &[Compression]) -> Vec<u8> {
        let body = serde_json::to_vec(TEXT).unwrap();
        compressions.iter().fold(body, |body, compression| {
            Codec::raw().compressed(*compression).encode(&body[..]).unwrap()
        })
    }

    #[test]
    fn content_encodings_are_removed_from_the_last_to_the_first() {
        let decoder = BodyDecoder::default();
        let (gzip, zstd) = (Compression::gzip(), Compression::zstd());
        for (encoding, compressions) in [
            ("gzip", &[gzip][..]),
            (" GZIP ", &[gzip]),
            ("x-gzip", &[gzip]),
            ("utf-8, gzip", &[gzip]),
            ("identity,gzip", &[gzip]),
            ("deflate", &[Compression::zlib()]),
            ("zstd", &[zstd]),
            ("bzip2", &[Compression::bzip2()]),
            ("br", &[Compression::brotli()]),
            ("gzip, zstd", &[gzip, zstd]),
            ("gzip,zstd , br", &[gzip, zstd, Compression::brotli()]),
            ("utf-8", &[]),
        ] {
            let content = content(json(encoding), compressed(compressions));
            assert_eq!(decoder.decode::<String>(&content).unwrap(), TEXT, "{encoding}");
            assert_eq!(&*decoder.inflate(&content).unwrap(), format!("{TEXT:?}").as_bytes());
        }
    }

    #[test]
    fn header_of_kombu_is_inflated_before_the_content_encoding() {
        let decoder = BodyDecoder::default();
        for (name, compression) in [
            ("application/x-gzip", Compression::zlib()),
            ("gzip", Compression::gzip()),
            ("zlib", Compression::zlib()),
            ("application/x-bz2", Compression::bzip2()),
            ("bzip2", Compression::bzip2()),
            ("application/zstd", Compression::zstd()),
            ("zstandard", Compression::zstd()),
            ("application/x-brotli", Compression::brotli()),
        ] {
            let with = |properties: Properties| properties.with_header("compression", name);
            let single = content(with(json("utf-8")), compressed(&[compression]));
            assert_eq!(decoder.decode::<String>(&single).unwrap(), TEXT, "{name}");
            let both = compressed(&[Compression::brotli(), compression]);
            let both = content(with(json("br")), both);
            assert_eq!(decoder.decode::<String>(&both).unwrap(), TEXT, "{name}");
        }
        let header = |value: Value| json("utf-8").with_header("compression", value);
        for value in ["none".into(), "".into(), "identity".into(), 3.into(), true.into()] {
            let content = content(header(value), compressed(&[]));
            assert_eq!(decoder.decode::<String>(&content).unwrap(), TEXT);
        }
    }

    #[test]
    fn unknown_compression_is_named_in_the_error() {
        let decoder = BodyDecoder::new(Codecs::only(Codec::raw()), 100);
        let long = "x".repeat(300);
        for (properties, named) in [
            (json("utf-8").with_header("compression", "application/x-lzma"), "application/x-lzma"),
            (json("utf-8").with_header("compression", "o\nwn"), "o\\nwn"),
            (Properties::new().with_header("compression", &*long), &long[..100]),
            (json("xz"), "xz"),
            (json("gzip, lzma"), "lzma"),
        ] {
            let content = content(properties, compressed(&[]));
            for error in [
                decoder.decode::<Vec<u8>>(&content).unwrap_err(),
                decoder.inflate(&content).unwrap_err(),
            ] {
                let Error::Inflate { compression, .. } = &error else { panic!("{error:?}") };
                assert!(compression.starts_with(named), "{error}");
                assert!(error.to_string().len() < 300);
            }
        }
    }

    #[test]
    fn body_is_not_inflated_over_the_limit_or_more_than_three_times() {
        let gzip = Compression::gzip();
        let content_of =
            |encoding: &str, times: usize| content(json(encoding), compressed(&vec![gzip; times]));
        let decoder = BodyDecoder::new(Codecs::default(), 0);
        let error = decoder.decode::<String>(&content_of("gzip", 1)).unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 0, .. }), "{error}");
        let decoder = BodyDecoder::default();
        assert!(decoder.decode::<String>(&content_of("gzip,gzip,gzip", 3)).is_ok());
        let error = decoder.decode::<String>(&content_of("gzip,gzip,gzip,gzip", 4)).unwrap_err();
        assert!(error.to_string().contains("more than 3 times"), "{error}");
    }

    #[test]
    fn content_type_that_no_codec_decodes_is_named_with_its_whole_encoding() {
        let decoder = BodyDecoder::default();
        let properties = Properties::new().with_content_type("image/png");
        let content =
            content(properties.with_content_encoding("gzip"), compressed(&[Compression::gzip()]));
        let error = decoder.decode::<String>(&content).unwrap_err();
        assert!(
            matches!(&error, Error::ContentType { content_encoding, .. } if content_encoding == "gzip"),
            "{error}"
        );
        assert_eq!(&*decoder.inflate(&content).unwrap(), format!("{TEXT:?}").as_bytes());
    }

    /// A format that inflates its own bodies.
    #[derive(Debug)]
    struct OwnGzip;

    impl Format for OwnGzip {
        fn content_type(&self) -> &str {
            "application/x-own"
        }

        fn content_encoding(&self) -> Option<&str> {
            Some("gzip")
        }

        fn encode(&self, _: Encodable<'_>) -> Result<Vec<u8>, FormatError> {
            Ok(b"not gzip".to_vec())
        }

        fn decode(&self, body: &[u8], reader: BodyReader<'_>) -> Result<(), FormatError> {
            assert_eq!(body, b"not gzip");
            Ok(reader.read(serde::de::value::U8Deserializer::<serde::de::value::Error>::new(7))?)
        }
    }

    #[test]
    fn format_with_a_compression_of_its_own_receives_the_body_unchanged() {
        let decoder = BodyDecoder::new(Codecs::only(OwnGzip), 1000);
        let own = Properties::new().with_content_type("application/x-own");
        let plain = content(own.clone().with_content_encoding("gzip"), b"not gzip".to_vec());
        assert_eq!(decoder.decode::<u8>(&plain).unwrap(), 7);
        assert_eq!(&*decoder.inflate(&plain).unwrap(), b"not gzip");

        let codec = Codec::new(OwnGzip).compressed(Compression::zstd());
        assert_eq!(codec.content_encoding(), Some("gzip, zstd"));
        let twice = content(own.with_content_encoding("gzip, zstd"), codec.encode(&7).unwrap());
        assert_eq!(decoder.decode::<u8>(&twice).unwrap(), 7);
    }

    #[test]
    fn compressed_codec_of_a_consumer_decodes_other_bodies_and_encodes_answers() {
        let codec = Codec::json().compressed(Compression::gzip());
        let decoder = BodyDecoder::new(Codecs::only(codec), 1000);
        for (encoding, compressions) in
            [("utf-8", &[][..]), ("gzip", &[Compression::gzip()]), ("br", &[Compression::brotli()])]
        {
            let content = content(json(encoding), compressed(compressions));
            assert_eq!(decoder.decode::<String>(&content).unwrap(), TEXT, "{encoding}");
            assert!(decoder.codec(&content.properties).unwrap().is_compressed());
        }
        let bare = content(Properties::new(), compressed(&[]));
        assert_eq!(decoder.decode::<String>(&bare).unwrap(), TEXT);
    }
}
