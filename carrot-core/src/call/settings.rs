//! Settings of a caller.

use crate::backend::validate;
use crate::codec::compression::DEFAULT_MAX_INFLATED;
use crate::codec::{Codec, Codecs};
use crate::error::{Error, Result};
use crate::model::{DeliveryMode, Exchange, Properties};
use crate::publish_layer::layer::PublishLayers;

/// The settings of a caller, as plain data.
#[derive(Debug, Clone)]
pub(crate) struct CallerSettings {
    pub(crate) exchange: Exchange,
    pub(crate) routing_key: String,
    pub(crate) codec: Codec,
    /// The codecs that decode answers; `None` for those of the default.
    pub(crate) codecs: Option<Codecs>,
    pub(crate) max_inflated_bytes: u64,
    pub(crate) properties: Properties,
    pub(crate) layers: PublishLayers,
}

impl CallerSettings {
    pub(crate) fn new(routing_key: String) -> CallerSettings {
        CallerSettings {
            exchange: Exchange::default_exchange(),
            routing_key,
            codec: Codec::json(),
            codecs: None,
            max_inflated_bytes: DEFAULT_MAX_INFLATED,
            properties: Properties::new(),
            layers: PublishLayers::default(),
        }
    }

    /// Returns the properties that every request starts with.
    pub(crate) fn template(&self) -> Properties {
        match self.properties.delivery_mode() {
            Some(_) => self.properties.clone(),
            // The answer needs the connection, and a broker that restarts has lost it.
            None => self.properties.clone().with_delivery_mode(DeliveryMode::Transient),
        }
    }

    /// Returns the codecs that decode answers. An answer without a content type has the codec of
    /// the requests.
    pub(crate) fn answers(&self) -> Codecs {
        self.codecs.clone().unwrap_or_else(|| {
            Codecs::default()
                .iter()
                .filter(|codec| codec.content_type() != self.codec.content_type())
                .fold(Codecs::only(&self.codec), Codecs::with)
        })
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.exchange.is_default() && self.routing_key.is_empty() {
            return Err(Error::invalid(
                "queue",
                "",
                "the name of the server's queue, because the name is the routing key",
            ));
        }
        validate::short_string("exchange", &self.exchange.name)?;
        validate::short_string("routing key", &self.routing_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_without_content_type_have_the_codec_of_requests() {
        for codec in [Codec::json(), Codec::text(), Codec::raw()] {
            let settings =
                CallerSettings { codec: codec.clone(), ..CallerSettings::new("rates".into()) };
            let codecs = settings.answers();
            let first = codecs.find(None, None).map(Codec::content_type);
            assert!(first.is_ok_and(|first| first == codec.content_type()));
            assert!(codecs.find(Some("application/json"), None).is_ok());
        }
    }
}
