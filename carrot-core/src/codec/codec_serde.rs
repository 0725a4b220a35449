//! Serializes the built-in codecs by their names.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(feature = "bincode")]
use crate::codec::DEFAULT_LIMIT;
use crate::codec::{Codec, CodecKind, Codecs, Compression};

const JSON: &str = "json";
const TEXT: &str = "text";
const RAW: &str = "raw";
const MESSAGE_PACK: &str = "message_pack";
const BINCODE: &str = "bincode";
const BINCODE_WITH_LIMIT: &str = "bincode_with_limit";
const COMPRESSED: &str = "compressed";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompressedTable {
    codec: Codec,
    compression: Compression,
}

impl Codec {
    /// Returns whether the codec is serialized as a word, and not as a table.
    pub(crate) fn is_word(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "bincode")]
            CodecKind::Bincode { limit } => *limit == DEFAULT_LIMIT,
            CodecKind::Compressed(_) => false,
            _ => true,
        }
    }
}

impl Serialize for Codec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            CodecKind::Json => serializer.serialize_str(JSON),
            CodecKind::Text => serializer.serialize_str(TEXT),
            CodecKind::Raw => serializer.serialize_str(RAW),
            #[cfg(feature = "message-pack")]
            CodecKind::MessagePack => serializer.serialize_str(MESSAGE_PACK),
            #[cfg(feature = "bincode")]
            CodecKind::Bincode { limit: DEFAULT_LIMIT } => serializer.serialize_str(BINCODE),
            #[cfg(feature = "bincode")]
            CodecKind::Bincode { limit } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(BINCODE_WITH_LIMIT, limit)?;
                map.end()
            }
            CodecKind::Compressed(compressed) => {
                let mut map = serializer.serialize_map(Some(1))?;
                let (codec, compression) = (compressed.codec.clone(), compressed.compression);
                map.serialize_entry(COMPRESSED, &CompressedTable { codec, compression })?;
                map.end()
            }
            CodecKind::Custom(format) => Err(S::Error::custom(format!(
                "the codec of {:?} is a format of the program, and cannot be serialized",
                format.content_type()
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Codec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Codec, D::Error> {
        deserializer.deserialize_any(CodecVisitor)
    }
}

struct CodecVisitor;

impl<'de> Visitor<'de> for CodecVisitor {
    type Value = Codec;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a codec")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Codec, E> {
        match name {
            JSON => Ok(Codec::json()),
            TEXT => Ok(Codec::text()),
            RAW => Ok(Codec::raw()),
            #[cfg(feature = "message-pack")]
            MESSAGE_PACK => Ok(Codec::message_pack()),
            #[cfg(feature = "bincode")]
            BINCODE => Ok(Codec::bincode()),
            other => Err(unknown(other)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Codec, A::Error> {
        let codec = match map.next_key::<String>()?.as_deref() {
            Some(COMPRESSED) => {
                let CompressedTable { codec, compression } = map.next_value()?;
                codec.compressed(compression)
            }
            #[cfg(feature = "bincode")]
            Some(BINCODE_WITH_LIMIT) => Codec::bincode_with_limit(map.next_value()?),
            Some(other) => return Err(unknown(other)),
            None => return Err(A::Error::custom("the name of a codec is missing")),
        };
        match map.next_key::<String>()? {
            None => Ok(codec),
            Some(_) => Err(A::Error::custom("a codec has one name")),
        }
    }
}

fn unknown<E: serde::de::Error>(name: &str) -> E {
    if !cfg!(feature = "bincode") && [BINCODE, BINCODE_WITH_LIMIT].contains(&name) {
        return E::custom(format!("the codec {name} needs the feature bincode of carrot"));
    }
    if !cfg!(feature = "message-pack") && name == MESSAGE_PACK {
        return E::custom(format!("the codec {name} needs the feature message-pack of carrot"));
    }
    E::unknown_variant(
        name,
        &[JSON, TEXT, RAW, MESSAGE_PACK, BINCODE, BINCODE_WITH_LIMIT, COMPRESSED],
    )
}

impl Serialize for Codecs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Codecs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Codecs, D::Error> {
        let mut codecs = Vec::<Codec>::deserialize(deserializer)?.into_iter();
        let first = codecs.next().ok_or_else(|| D::Error::custom("a consumer needs a codec"))?;
        Ok(codecs.fold(Codecs::only(first), Codecs::with))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::codec::{BodyReader, Encodable, Format, FormatError};

    #[derive(Debug)]
    struct Custom;

    impl Format for Custom {
        fn content_type(&self) -> &str {
            "application/x-custom"
        }

        fn content_encoding(&self) -> Option<&str> {
            None
        }

        fn encode(&self, _: Encodable<'_>) -> Result<Vec<u8>, FormatError> {
            Ok(Vec::new())
        }

        fn decode(&self, _: &[u8], _: BodyReader<'_>) -> Result<(), FormatError> {
            Ok(())
        }
    }

    #[test]
    fn built_in_codecs_survive_json() {
        for (codec, json) in [
            (Codec::json(), r#""json""#),
            (Codec::text(), r#""text""#),
            (Codec::raw(), r#""raw""#),
            #[cfg(feature = "message-pack")]
            (Codec::message_pack(), r#""message_pack""#),
            #[cfg(feature = "gzip")]
            (
                Codec::json().compressed(Compression::gzip().at_least(9)),
                r#"{"compressed":{"codec":"json","compression":{"method":"gzip","at_least":9}}}"#,
            ),
            #[cfg(feature = "zstd")]
            (
                Codec::raw().compressed(Compression::zstd()),
                r#"{"compressed":{"codec":"raw","compression":"zstd"}}"#,
            ),
            #[cfg(feature = "bincode")]
            (Codec::bincode(), r#""bincode""#),
            #[cfg(feature = "bincode")]
            (Codec::bincode_with_limit(1000), r#"{"bincode_with_limit":1000}"#),
        ] {
            assert_eq!(serde_json::to_string(&codec).unwrap(), json);
            let read: Codec = serde_json::from_str(json).unwrap();
            assert_eq!(format!("{read:?}"), format!("{codec:?}"));
        }
        let codecs = Codecs::only(Codec::raw()).with(Codec::json());
        let json = serde_json::to_string(&codecs).unwrap();
        assert_eq!(json, r#"["raw","json"]"#);
        let read: Codecs = serde_json::from_str(&json).unwrap();
        assert_eq!(format!("{read:?}"), format!("{codecs:?}"));
    }

    #[test]
    fn custom_codec_is_not_serialized_and_is_named() {
        for result in [
            serde_json::to_string(&Codec::new(Custom)),
            serde_json::to_string(&Codecs::default().with(Custom)),
        ] {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("application/x-custom"), "{error}");
        }
    }

    #[test]
    fn unknown_codec_is_refused() {
        for (json, named) in [
            (r#""yaml""#, "yaml"),
            ("1", "the name of a codec"),
            (r#"{"yaml": 1}"#, "yaml"),
            ("{}", "missing"),
            (r#"{"compressed": {"codec": "json", "compression": "lzma"}}"#, "lzma"),
            #[cfg(not(feature = "gzip"))]
            (r#"{"compressed": {"codec": "json", "compression": "zlib"}}"#, "feature gzip"),
            #[cfg(feature = "bincode")]
            (r#"{"bincode_with_limit": 1, "json": 1}"#, "one name"),
            #[cfg(feature = "bincode")]
            (r#"{"bincode_with_limit": -1}"#, "-1"),
            #[cfg(not(feature = "bincode"))]
            (r#""bincode""#, "feature"),
            #[cfg(not(feature = "message-pack"))]
            (r#""message_pack""#, "feature message-pack"),
        ] {
            let error = serde_json::from_str::<Codec>(json).unwrap_err().to_string();
            assert!(error.contains(named), "{json}: {error}");
        }
        assert!(serde_json::from_str::<Codecs>("[]").is_err());
        assert!(serde_json::from_str::<Codecs>(r#""json""#).is_err());
    }
}
