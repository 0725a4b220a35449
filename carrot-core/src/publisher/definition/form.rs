//! Serializes the definition of a publisher.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

use crate::codec::{Codec, Compression};
use crate::config::given::Given;
use crate::config::seconds::Seconds;
use crate::error::{Error, Result};
use crate::model::{DeliveryMode, Exchange, Headers, Properties, Queue};
use crate::publish_layer::layer::LAYERS_ARE_CODE;
use crate::publisher::definition::PublisherDefinition;
use crate::publisher::settings::PublisherSettings;

/// The settings to write. Tables follow all values, as in TOML.
#[derive(Serialize)]
struct WrittenPublisher<'a> {
    routing_key: &'a str,
    #[serde(rename = "codec", skip_serializing_if = "Option::is_none")]
    codec_word: Option<&'a Codec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mandatory: Option<bool>,
    without_confirms: bool,
    send_timeout: Seconds,
    max_in_flight: usize,
    max_bytes_in_flight: usize,
    #[serde(rename = "compress", skip_serializing_if = "Option::is_none")]
    compress_word: Option<&'a Compression>,
    #[serde(rename = "codec", skip_serializing_if = "Option::is_none")]
    codec_table: Option<&'a Codec>,
    #[serde(rename = "compress", skip_serializing_if = "Option::is_none")]
    compress_table: Option<&'a Compression>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<&'a Exchange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a Queue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<&'a Properties>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadPublisher {
    exchange: Option<Exchange>,
    queue: Option<Queue>,
    routing_key: Option<String>,
    codec: Option<Codec>,
    compress: Option<Compression>,
    mandatory: Option<bool>,
    #[serde(default)]
    without_confirms: bool,
    send_timeout: Option<Given>,
    max_in_flight: Option<usize>,
    max_bytes_in_flight: Option<usize>,
    #[serde(default)]
    transient: bool,
    headers: Option<Headers>,
    properties: Option<Properties>,
}

impl Serialize for PublisherDefinition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let PublisherSettings {
            exchange,
            routing_key,
            mandatory,
            queue,
            confirms,
            send_timeout,
            max_in_flight,
            max_bytes_in_flight,
            codec,
            compress,
            properties,
            layers,
        } = &self.settings;
        if !layers.is_empty() {
            return Err(S::Error::custom(LAYERS_ARE_CODE));
        }
        let written = WrittenPublisher {
            routing_key,
            codec_word: Some(codec).filter(|codec| codec.is_word()),
            codec_table: Some(codec).filter(|codec| !codec.is_word()),
            mandatory: *mandatory,
            without_confirms: !confirms,
            send_timeout: Seconds(*send_timeout),
            max_in_flight: *max_in_flight,
            max_bytes_in_flight: *max_bytes_in_flight,
            compress_word: compress.as_ref().filter(|compression| compression.is_word()),
            compress_table: compress.as_ref().filter(|compression| !compression.is_word()),
            exchange: Some(exchange).filter(|exchange| **exchange != Exchange::default_exchange()),
            queue: queue.as_ref(),
            properties: Some(properties).filter(|properties| **properties != Properties::new()),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublisherDefinition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PublisherDefinition, D::Error> {
        let settings = ReadPublisher::deserialize(deserializer)?
            .into_settings()
            .and_then(|settings| settings.validate().map(|()| settings))
            .map_err(D::Error::custom)?;
        Ok(PublisherDefinition { connection: (), settings })
    }
}

impl ReadPublisher {
    fn into_settings(self) -> Result<PublisherSettings> {
        let default = PublisherSettings::default();
        let name_of_queue = self.queue.as_ref().map(|queue| queue.name.clone());
        let mut properties = self.properties.unwrap_or_default();
        if let Some(headers) = self.headers {
            if properties.headers().is_some() {
                return Err(Error::config("headers", "excludes the headers of the properties"));
            }
            properties = properties.with_headers(headers);
        }
        if self.transient {
            if properties.delivery_mode().is_some() {
                return Err(Error::config(
                    "transient",
                    "excludes the delivery_mode of the properties",
                ));
            }
            properties = properties.with_delivery_mode(DeliveryMode::Transient);
        }
        Ok(PublisherSettings {
            exchange: self.exchange.unwrap_or(default.exchange),
            routing_key: self.routing_key.or(name_of_queue).unwrap_or(default.routing_key),
            mandatory: self.mandatory,
            queue: self.queue,
            confirms: !self.without_confirms,
            send_timeout: match self.send_timeout {
                Some(timeout) => timeout.seconds("send_timeout")?,
                None => default.send_timeout,
            },
            max_in_flight: self.max_in_flight.unwrap_or(default.max_in_flight),
            max_bytes_in_flight: self.max_bytes_in_flight.unwrap_or(default.max_bytes_in_flight),
            codec: self.codec.unwrap_or(default.codec),
            compress: self.compress,
            properties,
            layers: default.layers,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::time::Duration;

    use super::*;

    /// Returns the text of all settings, which have no equality.
    fn shown(definition: &PublisherDefinition) -> String {
        format!("{:?}", definition.settings)
    }

    #[track_caller]
    fn assert_survives(definition: &PublisherDefinition) {
        let json = serde_json::to_string(definition).unwrap();
        let read: PublisherDefinition = serde_json::from_str(&json).unwrap();
        assert_eq!(shown(&read), shown(definition), "{json}");
        let toml = toml::to_string(definition).unwrap();
        let read: PublisherDefinition = toml::from_str(&toml).unwrap();
        assert_eq!(shown(&read), shown(definition), "{toml}");
    }

    #[test]
    fn publisher_definition_survives_json_and_toml() {
        assert_survives(&PublisherDefinition::new());
        assert_survives(&PublisherDefinition::new().queue(Queue::new("jobs").quorum()));
        #[cfg(feature = "gzip")]
        for compression in [Compression::gzip(), Compression::zlib().at_least(0)] {
            let codec = Codec::text().compressed(compression);
            let definition = PublisherDefinition::new().queue("jobs").codec(codec);
            assert_survives(&definition.compress(compression));
        }
        assert_survives(
            &PublisherDefinition::new()
                .exchange(Exchange::topic("prices"))
                .routing_key("usd.stock")
                .codec(Codec::raw())
                .not_mandatory()
                .transient()
                .without_confirms()
                .send_timeout(Duration::from_millis(1500))
                .max_in_flight(7)
                .max_bytes_in_flight(8)
                .header("origin", "importer"),
        );
    }

    #[test]
    fn publisher_definition_without_fields_is_the_default() {
        let read: PublisherDefinition = serde_json::from_str("{}").unwrap();
        assert_eq!(shown(&read), shown(&PublisherDefinition::new()));
    }

    #[test]
    fn publisher_definition_has_a_field_for_every_setter() {
        let json = r#"{
            "exchange": {"name": "feed"},
            "routing_key": "importer",
            "codec": "text",
            "mandatory": true,
            "without_confirms": true,
            "send_timeout": 0.5,
            "max_in_flight": 7,
            "max_bytes_in_flight": 8,
            "transient": true,
            "headers": {"origin": "importer"},
            "properties": {"app_id": "shop"}
        }"#;
        let read: PublisherDefinition = serde_json::from_str(json).unwrap();
        let built = PublisherDefinition::new()
            .exchange("feed")
            .routing_key("importer")
            .codec(Codec::text())
            .mandatory()
            .without_confirms()
            .send_timeout(Duration::from_millis(500))
            .max_in_flight(7)
            .max_bytes_in_flight(8)
            .properties(Properties::new().with_app_id("shop"))
            .transient()
            .header("origin", "importer");
        assert_eq!(shown(&read), shown(&built));
        let read: PublisherDefinition =
            serde_json::from_str(r#"{"queue": {"name": "jobs"}}"#).unwrap();
        assert_eq!(shown(&read), shown(&PublisherDefinition::new().queue("jobs")));
    }

    #[test]
    fn invalid_publisher_definition_is_refused() {
        for (json, named) in [
            (r#"{"exchnage": {"name": "feed"}}"#, "unknown field `exchnage`"),
            (r#"{"send_timeout": "30s"}"#, "send_timeout: must be a number of seconds"),
            (r#"{"send_timeout": -1}"#, "send_timeout: must be a number of seconds"),
            (r#"{"send_timeout": 1e300}"#, "send_timeout: must be a number of seconds"),
            (r#"{"send_timeout": 0}"#, "send timeout"),
            (r#"{"max_in_flight": 0}"#, "in flight"),
            (r#"{"codec": "yaml"}"#, "yaml"),
            (r#"{"compress": "lzma"}"#, "lzma"),
            (r#"{"compress": {"method": "gzip", "level": 3}}"#, "level"),
            (r#"{"queue": {"name": "a"}, "exchange": {"name": "b"}}"#, "exchange"),
            (r#"{"queue": {"name": "a"}, "routing_key": "b"}"#, "routing key"),
            (r#"{"queue": {"name": "a", "exclusive": true}}"#, "not exclusive"),
            (r#"{"headers": {}, "properties": {"headers": {}}}"#, "headers: excludes"),
            (r#"{"transient": true, "properties": {"delivery_mode": 2}}"#, "transient: excludes"),
        ] {
            let error = serde_json::from_str::<PublisherDefinition>(json).unwrap_err();
            assert!(error.to_string().contains(named), "{json}: {error}");
        }
    }

    #[test]
    fn refused_publisher_definition_has_the_error_of_build() {
        let built = PublisherDefinition::new().queue("a").routing_key("b").settings.validate();
        let json = r#"{"queue": {"name": "a"}, "routing_key": "b"}"#;
        let read = serde_json::from_str::<PublisherDefinition>(json);
        assert_eq!(read.unwrap_err().to_string(), built.unwrap_err().to_string());
    }
}
