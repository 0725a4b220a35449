//! Serializes a compression by the name of its method.

use std::fmt;

use serde::de::{Error as _, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec::compression::Compression;
use crate::codec::compression::method::Method;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    method: Method,
    #[serde(default = "default_at_least")]
    at_least: usize,
}

fn default_at_least() -> usize {
    Compression::DEFAULT_AT_LEAST
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
        of_name(&String::deserialize(deserializer)?)
    }
}

fn of_name<E: serde::de::Error>(name: &str) -> Result<Method, E> {
    const NAMES: &[&str] = &["gzip", "zlib", "zstd", "bzip2", "brotli"];
    let method = Method::ALL.into_iter().find(|method| method.name() == name);
    let method = method.ok_or_else(|| E::unknown_variant(name, NAMES))?;
    if method.is_on() {
        Ok(method)
    } else {
        let feature = method.feature();
        Err(E::custom(format!("the compression {name} needs the feature {feature} of carrot")))
    }
}

impl Compression {
    /// Returns whether the compression is serialized as a word, and not as a table.
    pub(crate) fn is_word(&self) -> bool {
        self.at_least == Compression::DEFAULT_AT_LEAST
    }
}

impl Serialize for Compression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_word() {
            self.method.serialize(serializer)
        } else {
            Table { method: self.method, at_least: self.at_least }.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Compression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Compression, D::Error> {
        deserializer.deserialize_any(CompressionVisitor)
    }
}

struct CompressionVisitor;

impl<'de> Visitor<'de> for CompressionVisitor {
    type Value = Compression;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a compression, or a table with its method")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Compression, E> {
        of_name(name).map(Compression::new)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Compression, A::Error> {
        let table =
            Table::deserialize(MapAccessDeserializer::new(map)).map_err(A::Error::custom)?;
        Ok(Compression { method: table.method, at_least: table.at_least })
    }
}
