//! What is published, and what comes of it.

use std::sync::Arc;

use crate::backend::body::Body;
use crate::model::Properties;
use crate::model::ShortString;

/// What travels through a broker: a body, and all that its publisher says of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Content {
    /// The exchange it is, or was, published to; empty for the default exchange. At most 255 bytes.
    pub exchange: ShortString,
    /// The routing key it is, or was, published with. At most 255 bytes.
    pub routing_key: ShortString,
    /// Its properties.
    pub properties: Properties,
    /// Its body.
    pub body: Body,
}

impl Content {
    /// A body for an exchange and routing key, with no properties.
    pub fn new(
        exchange: impl Into<ShortString>,
        routing_key: impl Into<ShortString>,
        body: impl Into<Body>,
    ) -> Content {
        Content {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            properties: Properties::new(),
            body: body.into(),
        }
    }

    /// The same with other properties.
    #[must_use]
    pub fn with_properties(mut self, properties: Properties) -> Content {
        self.properties = properties;
        self
    }
}

/// A message on its way to the broker. The content is shared, so that a publisher can keep it until
/// it is confirmed, and a broker in the same process can keep it without a copy.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// What to publish.
    pub content: &'a Arc<Content>,
    /// Whether the broker is to return the message if it fits no queue.
    pub mandatory: bool,
}

/// The number of a publication on its channel, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishTag(pub u64);

/// The broker's answer to a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has taken responsibility (basic.ack): for a persistent message in a durable
    /// queue, it is on disk.
    Accepted,
    /// The broker could not take it (basic.nack).
    Refused,
    /// It was mandatory and fitted no queue (basic.return).
    Returned {
        /// The reply code, 312 for "no route".
        code: u16,
        /// The broker's words.
        text: String,
    },
}
