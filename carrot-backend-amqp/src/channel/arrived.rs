//! Messages as they arrive, before their heads are converted.

use std::sync::Arc;

use carrot_amqp_wire::{PropertiesRef, ShortStr, WireError};
use carrot_core::Properties;
use carrot_core::backend::{Body, Content, Delivery, DeliveryTag};

/// The largest body that is kept, in bytes: the largest that RabbitMQ can be configured to accept.
pub(super) const MAX_BODY: u64 = 512 << 20;
/// The memory that a message that waits takes beside its octets, in bytes.
const OVERHEAD: u64 = 256;

/// The exchange, the routing key and the property list of a message, as octets in one piece of
/// memory. Its reader converts them, so that the thread that reads the socket need not.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct MessageHead {
    pub(super) octets: Vec<u8>,
    exchange: u8,
    routing_key: u8,
    /// The size of a body that was not kept because it is too large; else 0.
    pub(super) oversize: u64,
}

impl MessageHead {
    pub(super) fn new(exchange: &[u8], routing_key: &[u8]) -> MessageHead {
        const PROPERTIES: usize = 48;
        let mut octets = Vec::with_capacity(exchange.len() + routing_key.len() + PROPERTIES);
        octets.extend_from_slice(exchange);
        octets.extend_from_slice(routing_key);
        // A short string has at most 255 octets.
        let (exchange, routing_key) = (exchange.len() as u8, routing_key.len() as u8);
        MessageHead { octets, exchange, routing_key, oversize: 0 }
    }

    fn split(&self) -> (&[u8], &[u8], &[u8]) {
        let (exchange, rest) =
            self.octets.split_at_checked(self.exchange.into()).unwrap_or_default();
        let (routing_key, properties) =
            rest.split_at_checked(self.routing_key.into()).unwrap_or_default();
        (exchange, routing_key, properties)
    }

    pub(crate) fn exchange(&self) -> ShortStr<'_> {
        ShortStr::new(self.split().0)
    }

    pub(crate) fn routing_key(&self) -> ShortStr<'_> {
        ShortStr::new(self.split().1)
    }

    /// Returns the properties.
    ///
    /// # Errors
    /// The properties are malformed, or nested too deep.
    pub(crate) fn properties(&self) -> Result<PropertiesRef<'_>, WireError> {
        PropertiesRef::read(self.split().2)
    }

    fn body_fault(&self) -> Option<String> {
        let reason =
            || format!("the body has {} bytes, and the limit is {MAX_BODY}", self.oversize);
        (self.oversize > 0).then(reason)
    }
}

/// A message that has arrived, before its head is converted.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) tag: u64,
    pub(crate) redelivered: bool,
    pub(crate) head: MessageHead,
    pub(crate) body: Body,
}

impl Arrived {
    /// Returns the approximate number of bytes that the message takes in memory.
    pub(crate) fn memory(&self) -> u64 {
        OVERHEAD + self.head.octets.len() as u64 + self.body.len() as u64
    }

    /// Converts the message. A message whose properties cannot be read has none, and is unreadable.
    /// So is one whose body was not kept.
    pub(crate) fn into_delivery(self) -> Delivery {
        let (properties, unreadable) = match self.head.properties() {
            Ok(properties) => (properties.to_properties(), self.head.body_fault()),
            Err(error) => (Properties::new(), Some(error.to_string())),
        };
        let content = Content {
            exchange: self.head.exchange().to_short_string(),
            routing_key: self.head.routing_key().to_short_string(),
            properties,
            body: self.body,
        };
        let delivery = Delivery::new(DeliveryTag(self.tag), Arc::new(content))
            .with_redelivered(self.redelivered);
        match unreadable {
            None => delivery,
            Some(reason) => delivery.with_unreadable(reason),
        }
    }
}
