//! Serializes the definition of a caller.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

use crate::call::definition::CallerDefinition;
use crate::call::settings::CallerSettings;
use crate::codec::compression::DEFAULT_MAX_INFLATED;
use crate::codec::{Codec, Codecs};
use crate::error::{Error, Result};
use crate::model::{Exchange, Headers, Properties};
use crate::publish_layer::layer::LAYERS_ARE_CODE;

/// The settings to write. Tables follow all values, as in TOML.
#[derive(Serialize)]
struct WrittenCaller<'a> {
    routing_key: &'a str,
    #[serde(rename = "codec", skip_serializing_if = "Option::is_none")]
    codec_word: Option<&'a Codec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codecs: Option<&'a Codecs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_inflated_bytes: Option<u64>,
    #[serde(rename = "codec", skip_serializing_if = "Option::is_none")]
    codec_table: Option<&'a Codec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<&'a Exchange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<&'a Properties>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadCaller {
    #[serde(default)]
    routing_key: String,
    exchange: Option<Exchange>,
    codec: Option<Codec>,
    codecs: Option<Codecs>,
    max_inflated_bytes: Option<u64>,
    headers: Option<Headers>,
    properties: Option<Properties>,
}

impl Serialize for CallerDefinition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let CallerSettings {
            exchange,
            routing_key,
            codec,
            codecs,
            max_inflated_bytes,
            properties,
            layers,
        } = &self.settings;
        if !layers.is_empty() {
            return Err(S::Error::custom(LAYERS_ARE_CODE));
        }
        let written = WrittenCaller {
            routing_key,
            codec_word: Some(codec).filter(|codec| codec.is_word()),
            codec_table: Some(codec).filter(|codec| !codec.is_word()),
            codecs: codecs.as_ref(),
            max_inflated_bytes: Some(*max_inflated_bytes)
                .filter(|bytes| *bytes != DEFAULT_MAX_INFLATED),
            exchange: Some(exchange).filter(|exchange| **exchange != Exchange::default_exchange()),
            properties: Some(properties).filter(|properties| **properties != Properties::new()),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CallerDefinition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CallerDefinition, D::Error> {
        let settings = ReadCaller::deserialize(deserializer)?
            .into_settings()
            .and_then(|settings| settings.validate().map(|()| settings))
            .map_err(D::Error::custom)?;
        Ok(CallerDefinition { connection: (), settings })
    }
}

impl ReadCaller {
    fn into_settings(self) -> Result<CallerSettings> {
        let default = CallerSettings::new(self.routing_key);
        let mut properties = self.properties.unwrap_or_default();
        if let Some(headers) = self.headers {
            if properties.headers().is_some() {
                return Err(Error::config("headers", "excludes the headers of the properties"));
            }
            properties = properties.with_headers(headers);
        }
        Ok(CallerSettings {
            exchange: self.exchange.unwrap_or(default.exchange),
            codec: self.codec.unwrap_or(default.codec),
            codecs: self.codecs,
            max_inflated_bytes: self.max_inflated_bytes.unwrap_or(default.max_inflated_bytes),
            properties,
            routing_key: default.routing_key,
            layers: default.layers,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    /// Returns the text of all settings, which have no equality.
    fn shown(definition: &CallerDefinition) -> String {
        format!("{:?}", definition.settings)
    }

    #[test]
    fn caller_definition_survives_json_and_toml() {
        for definition in [
            CallerDefinition::new("rates"),
            CallerDefinition::new("")
                .exchange(Exchange::topic("rpc"))
                .routing_key("rates.usd")
                .codec(Codec::raw())
                .codecs(Codecs::only(Codec::text()))
                .max_inflated_bytes(7)
                .properties(Properties::new().with_app_id("shop"))
                .header("origin", "importer"),
        ] {
            let json = serde_json::to_string(&definition).unwrap();
            let read: CallerDefinition = serde_json::from_str(&json).unwrap();
            assert_eq!(shown(&read), shown(&definition), "{json}");
            let toml = toml::to_string(&definition).unwrap();
            let read: CallerDefinition = toml::from_str(&toml).unwrap();
            assert_eq!(shown(&read), shown(&definition), "{toml}");
        }
    }

    #[test]
    fn caller_definition_has_a_field_for_every_setter() {
        let json = r#"{
            "exchange": {"name": "rpc"},
            "routing_key": "rates",
            "codec": "text",
            "codecs": ["raw"],
            "max_inflated_bytes": 1000,
            "headers": {"origin": "importer"},
            "properties": {"app_id": "shop"}
        }"#;
        let read: CallerDefinition = serde_json::from_str(json).unwrap();
        let built = CallerDefinition::new("rates")
            .exchange("rpc")
            .codec(Codec::text())
            .codecs(Codecs::only(Codec::raw()))
            .max_inflated_bytes(1000)
            .properties(Properties::new().with_app_id("shop"))
            .header("origin", "importer");
        assert_eq!(shown(&read), shown(&built));
    }

    #[test]
    fn invalid_caller_definition_is_refused() {
        let long = format!(r#"{{"routing_key": "{}"}}"#, "x".repeat(256));
        for (json, named) in [
            ("{}", "queue"),
            (&*long, "routing key"),
            (r#"{"routing_key": "a", "timeout": 3}"#, "unknown field `timeout`"),
            (r#"{"routing_key": "a", "codec": "yaml"}"#, "yaml"),
            (
                r#"{"routing_key": "a", "headers": {}, "properties": {"headers": {}}}"#,
                "headers: excludes",
            ),
        ] {
            let error = serde_json::from_str::<CallerDefinition>(json).unwrap_err();
            assert!(error.to_string().contains(named), "{json}: {error}");
        }
    }
}
