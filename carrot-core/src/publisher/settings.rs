//! Settings of a publisher.

use std::time::Duration;

use crate::backend::{Declare, validate};
use crate::codec::{Codec, Compression};
use crate::error::{Error, Result};
use crate::model::{DeliveryMode, Exchange, Properties, Queue};
use crate::publish_layer::layer::PublishLayers;

/// The settings of a publisher, as plain data.
#[derive(Debug, Clone)]
pub(crate) struct PublisherSettings {
    pub(crate) exchange: Exchange,
    pub(crate) routing_key: String,
    /// `None`: the default, which depends on the exchange.
    pub(crate) mandatory: Option<bool>,
    /// A queue that the publisher declares besides its exchange.
    pub(crate) queue: Option<Queue>,
    pub(crate) confirms: bool,
    pub(crate) send_timeout: Duration,
    pub(crate) max_in_flight: usize,
    pub(crate) max_bytes_in_flight: usize,
    pub(crate) codec: Codec,
    pub(crate) compress: Option<Compression>,
    pub(crate) properties: Properties,
    pub(crate) layers: PublishLayers,
}

impl Default for PublisherSettings {
    fn default() -> PublisherSettings {
        PublisherSettings {
            exchange: Exchange::default_exchange(),
            routing_key: String::new(),
            mandatory: None,
            queue: None,
            confirms: true,
            send_timeout: Duration::from_secs(30),
            max_in_flight: 1000,
            max_bytes_in_flight: 16 << 20,
            codec: Codec::json(),
            compress: None,
            properties: Properties::new(),
            layers: PublishLayers::default(),
        }
    }
}

impl PublisherSettings {
    fn validate_queue(&self, queue: &Queue) -> Result<()> {
        if queue.name.is_empty() {
            return Err(Error::invalid("queue", "", "a name, because the name is the routing key"));
        }
        if queue.exclusive {
            return Err(Error::invalid(
                "queue",
                &queue.name,
                "a queue that is not exclusive, because consumers have another connection",
            ));
        }
        if !self.exchange.is_default() {
            return Err(Error::invalid(
                "exchange",
                &self.exchange.name,
                "the default exchange, because the publisher has a queue",
            ));
        }
        if self.routing_key != queue.name {
            return Err(Error::invalid(
                "routing key",
                &self.routing_key,
                "the name of the publisher's queue",
            ));
        }
        queue.validate_delayed_length()?;
        Declare::Queue(queue).validate()
    }

    /// Returns whether messages are mandatory by default. Without confirms, returned messages would
    /// not be reported.
    pub(crate) fn is_mandatory(&self) -> bool {
        self.mandatory.unwrap_or(self.exchange.is_default() && self.confirms)
    }

    /// Returns the properties that every message starts with.
    pub(crate) fn template(&self) -> Properties {
        match self.properties.delivery_mode() {
            Some(_) => self.properties.clone(),
            None => self.properties.clone().with_delivery_mode(DeliveryMode::Persistent),
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.send_timeout.is_zero() {
            return Err(Error::invalid("send timeout", "0", "more than zero"));
        }
        if self.max_in_flight == 0 || self.max_bytes_in_flight == 0 {
            return Err(Error::invalid("messages and bytes in flight", "0", "at least 1"));
        }
        if let Some(queue) = &self.queue {
            self.validate_queue(queue)?;
        }
        validate::short_string("exchange", &self.exchange.name)?;
        validate::short_string("routing key", &self.routing_key)
    }
}
