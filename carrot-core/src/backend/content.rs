//! Published messages and the broker's answers.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::body::Body;
use crate::model::Properties;
use crate::model::ShortString;

/// A message as a broker carries it: exchange, routing key, properties and body.
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(clippy::exhaustive_structs, reason = "AMQP 0-9-1 defines the parts of a message")]
pub struct Content {
    /// The exchange that the message is, or was, published to; empty for the default exchange. At
    /// most 255 bytes.
    pub exchange: ShortString,
    /// The routing key that the message is, or was, published with. At most 255 bytes.
    pub routing_key: ShortString,
    /// The properties.
    pub properties: Properties,
    /// The body.
    pub body: Body,
}

impl Content {
    /// Creates a message for an exchange and a routing key, without properties.
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

    /// Replaces the properties.
    #[must_use]
    pub fn with_properties(mut self, properties: Properties) -> Content {
        self.properties = properties;
        self
    }
}

/// A message to publish. The content is shared: a publisher keeps it until the confirm, and a
/// broker in the same process keeps it without a copy.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Publication<'a> {
    /// The message.
    pub content: &'a Arc<Content>,
    /// Whether the broker returns the message if it cannot be routed. Defaults to `false`.
    pub mandatory: bool,
    /// The time for which the broker holds the message before it routes it. `None`, the default,
    /// routes at once.
    ///
    /// A broker confirms a delayed message once it holds it. A delayed message cannot be mandatory.
    /// A backend that routes when the message is published, and not when the delay ends, answers
    /// with [`Outcome::Returned`] if no queue takes it. Only a backend with
    /// [`Capabilities::delayed_publish`] accepts a delay.
    ///
    /// [`Capabilities::delayed_publish`]: crate::backend::Capabilities::delayed_publish
    pub delay: Option<Duration>,
    /// The content whose names and headers were validated before.
    validated: Option<&'a Arc<Content>>,
}

impl<'a> Publication<'a> {
    /// Creates a publication that is routed at once, and dropped if it cannot be routed.
    #[inline]
    pub fn new(content: &'a Arc<Content>) -> Publication<'a> {
        Publication { content, mandatory: false, delay: None, validated: None }
    }

    /// Sets whether the broker returns the message if it cannot be routed.
    #[must_use]
    #[inline]
    pub fn with_mandatory(self, mandatory: bool) -> Publication<'a> {
        Publication { mandatory, ..self }
    }

    /// Sets the time for which the broker holds the message before it routes it.
    #[must_use]
    #[inline]
    pub fn with_delay(self, delay: Duration) -> Publication<'a> {
        Publication { delay: Some(delay), ..self }
    }

    /// Marks the content as one that [`validate`](Publication::validate) has accepted.
    #[inline]
    pub(crate) fn already_validated(self) -> Publication<'a> {
        Publication { validated: Some(self.content), ..self }
    }

    #[inline]
    pub(super) fn is_validated(&self) -> bool {
        self.validated.is_some_and(|content| std::ptr::eq(content, self.content))
    }
}

/// The number of a publication on its channel, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a tag is a number")]
pub struct PublishTag(pub u64);

/// The broker's answer to a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The broker has accepted the message (basic.ack). A persistent message in a durable queue is
    /// on disk.
    Accepted,
    /// The broker has refused the message (basic.nack).
    Refused,
    /// The message was mandatory and could not be routed (basic.return).
    Returned {
        /// The reply code, 312 for "no route".
        code: u16,
        /// The broker's reply text.
        text: String,
    },
}
