//! Serializes properties as a table of those that are set.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::properties::{BodyFormat, DeliveryMode, Properties, Rare, WireOctets};
use crate::model::short_string::ShortString;
use crate::model::value::Headers;

macro_rules! form {
    ($($(#[$attribute:meta])* $name:ident: $type:ty,)*) => {
        #[derive(Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[derive(Default)]
        struct PropertiesForm {
            $(
                $(#[$attribute])*
                #[serde(skip_serializing_if = "Option::is_none")]
                $name: Option<$type>,
            )*
        }
    };
}

form! {
    content_type: ShortString,
    content_encoding: ShortString,
    message_id: ShortString,
    correlation_id: ShortString,
    reply_to: ShortString,
    expiration: ShortString,
    #[serde(rename = "type")]
    kind: ShortString,
    user_id: ShortString,
    app_id: ShortString,
    cluster_id: ShortString,
    timestamp: u64,
    delivery_mode: DeliveryMode,
    priority: u8,
    // Last, because a table follows all values in TOML.
    headers: Headers,
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let BodyFormat { content_type, content_encoding } =
            self.format.as_deref().cloned().unwrap_or_default();
        let Rare {
            timestamp,
            correlation_id,
            reply_to,
            expiration,
            kind,
            user_id,
            app_id,
            cluster_id,
        } = self.rare.as_deref().cloned().unwrap_or_default();
        let form = PropertiesForm {
            content_type,
            content_encoding,
            message_id: self.message_id.clone(),
            correlation_id,
            reply_to,
            expiration,
            kind,
            user_id,
            app_id,
            cluster_id,
            timestamp,
            delivery_mode: self.delivery_mode,
            priority: self.priority,
            headers: self.headers.clone(),
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Properties, D::Error> {
        let form = PropertiesForm::deserialize(deserializer)?;
        let format =
            BodyFormat { content_type: form.content_type, content_encoding: form.content_encoding };
        let rare = Rare {
            timestamp: form.timestamp,
            correlation_id: form.correlation_id,
            reply_to: form.reply_to,
            expiration: form.expiration,
            kind: form.kind,
            user_id: form.user_id,
            app_id: form.app_id,
            cluster_id: form.cluster_id,
        };
        Ok(Properties {
            format: boxed_unless_default(format),
            message_id: form.message_id,
            headers: form.headers,
            delivery_mode: form.delivery_mode,
            priority: form.priority,
            rare: boxed_unless_default(rare),
            wire_octets: WireOctets::default(),
        })
    }
}

fn boxed_unless_default<T: Default + PartialEq>(group: T) -> Option<Box<T>> {
    (group != T::default()).then(|| Box::new(group))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn every_property() -> Properties {
        Properties::new()
            .with_content_type("text/plain")
            .with_content_encoding("utf-8")
            .with_message_id("m1")
            .with_correlation_id("c1")
            .with_reply_to("replies")
            .with_expiration("60000")
            .with_kind("order")
            .with_user_id("guest")
            .with_app_id("shop")
            .with_cluster_id("old")
            .with_timestamp(7)
            .with_delivery_mode(DeliveryMode::Persistent)
            .with_priority(9)
            .with_header("attempt", 2)
            .with_header("flags", vec![1_u8, 2])
    }

    #[test]
    fn every_property_survives_json_and_toml() {
        let json = serde_json::to_string(&every_property()).unwrap();
        assert_eq!(serde_json::from_str::<Properties>(&json).unwrap(), every_property());
        let toml = toml::to_string(&every_property()).unwrap();
        assert_eq!(toml::from_str::<Properties>(&toml).unwrap(), every_property());
        assert_eq!(
            json,
            r#"{"content_type":"text/plain","content_encoding":"utf-8","message_id":"m1","#
                .to_string()
                + r#""correlation_id":"c1","reply_to":"replies","expiration":"60000","#
                + r#""type":"order","user_id":"guest","app_id":"shop","cluster_id":"old","#
                + r#""timestamp":7,"delivery_mode":2,"priority":9,"#
                + r#""headers":{"attempt":2,"flags":{"!bytes":[1,2]}}}"#
        );
    }

    #[test]
    fn only_set_properties_are_written() {
        assert_eq!(serde_json::to_string(&Properties::new()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<Properties>("{}").unwrap(), Properties::new());
        for properties in [
            Properties::new().with_content_type("a"),
            Properties::new().with_priority(0),
            Properties::new().with_app_id(ShortString::from_octets(b"caf\xe9")),
            Properties::new().with_headers(Headers::new()),
            Properties::new().with_delivery_mode(DeliveryMode::Other(7)),
        ] {
            let json = serde_json::to_string(&properties).unwrap();
            assert_eq!(json.matches(':').count(), 1, "{json}");
            assert_eq!(serde_json::from_str::<Properties>(&json).unwrap(), properties);
        }
    }

    #[test]
    fn a_misspelt_property_is_refused() {
        let error = serde_json::from_str::<Properties>(r#"{"kind": "order"}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `kind`"), "{error}");
    }
}
