//! Assembles the messages that a peer publishes.

use carrot_amqp_wire::{BasicPublish, BodyPart, ContentHeader, Method, WireError};
use carrot_core::backend::{Body, ShortString};
use carrot_listener::{BudgetShare, MemoryBudget};

use crate::close::Close;

/// The class and the number of `basic.publish`.
pub(crate) const PUBLISH: (u16, u16) = (60, 40);

/// A message that a peer has published completely.
#[derive(Debug)]
pub(crate) struct PublishedMessage {
    pub(crate) envelope: Envelope,
    /// The octets of the properties.
    pub(crate) property_list: Box<[u8]>,
    pub(crate) body: Body,
    /// The size of a body that was too large to be kept, in bytes.
    pub(crate) too_large: Option<u64>,
}

/// The frames of a message that may still follow.
#[derive(Debug, Default)]
pub(crate) enum ContentState<'b> {
    /// A method.
    #[default]
    Method,
    /// The header of this message.
    Header(Envelope),
    /// The body of this message.
    Body(Box<UnfinishedMessage<'b>>),
}

/// The fields of `basic.publish`.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: ShortString,
    pub(crate) mandatory: bool,
    pub(crate) is_immediate: bool,
    /// The class and the number of the method.
    pub(crate) method: (u16, u16),
}

/// A message whose body has not arrived completely.
#[derive(Debug)]
pub(crate) struct UnfinishedMessage<'b> {
    envelope: Envelope,
    /// The octets of the properties, which are read when the message is complete.
    property_list: Box<[u8]>,
    body: Vec<u8>,
    /// The size of the body, in bytes.
    size: u64,
    /// The number of bytes that are missing.
    missing: u64,
    /// Whether the body is too large to be kept.
    is_too_large: bool,
    memory: BudgetShare<'b>,
}

impl Envelope {
    pub(crate) fn new(publish: &BasicPublish<'_>) -> Envelope {
        Envelope {
            exchange: publish.exchange.to_short_string(),
            routing_key: publish.routing_key.to_short_string(),
            mandatory: publish.mandatory,
            is_immediate: publish.immediate,
            method: PUBLISH,
        }
    }

    /// Returns the envelope of a method that only brokers send.
    fn of_broker(method: (u16, u16)) -> Envelope {
        Envelope { method, ..Envelope::new(&BasicPublish::default()) }
    }

    fn message(self, property_list: Box<[u8]>, body: Body) -> PublishedMessage {
        PublishedMessage { envelope: self, property_list, body, too_large: None }
    }
}

impl<'b> ContentState<'b> {
    /// Returns the close over a frame that does not follow, other than the header or body.
    pub(crate) fn unexpected(&self) -> Close {
        match self {
            ContentState::Method => {
                Close::unexpected_frame("expected method frame, got non method frame instead")
            }
            ContentState::Header(envelope) => Close::unexpected_frame(
                "expected content header for class 60, got non content header frame instead",
            )
            .caused_by(envelope.method),
            ContentState::Body(message) => {
                Close::unexpected_frame("expected content body, got non content body frame instead")
                    .caused_by(message.envelope.method)
            }
        }
    }

    /// Takes the payload of a method frame. Returns the method, unless a message follows.
    pub(crate) fn method<'p>(&mut self, payload: &'p [u8]) -> Result<Option<Method<'p>>, Close> {
        const HEAD: usize = 4;
        let method = Method::read(payload);
        let malformed = |error| Close::malformed_method(&error, payload);
        // RabbitMQ reads the numbers of a method before it looks for the end of a message.
        if payload.len() < HEAD || matches!(method, Err(WireError::UnknownMethod { .. })) {
            method.map_err(malformed)?;
            return Ok(None);
        }
        if !matches!(self, ContentState::Method) {
            return Err(self.unexpected());
        }
        let method = method.map_err(malformed)?;
        let envelope = match &method {
            Method::BasicPublish(publish) => {
                publish.exchange.as_str().ok_or_else(Close::malformed_text)?;
                Envelope::new(publish)
            }
            // Content follows these methods, too, before they are refused.
            Method::BasicReturn(_) | Method::BasicDeliver(_) | Method::BasicGetOk(_) => {
                Envelope::of_broker(method.id())
            }
            _ => return Ok(Some(method)),
        };
        *self = ContentState::Header(envelope);
        Ok(None)
    }

    /// Takes the header of a message. Returns the message if it has no body.
    pub(crate) fn header(
        &mut self,
        payload: &[u8],
        max_body: usize,
        budget: &'b MemoryBudget,
    ) -> Result<Option<PublishedMessage>, Close> {
        const HEAD: usize = 12;
        let header = ContentHeader::read(payload);
        // RabbitMQ reads a header before it looks for its publication.
        if payload.len() < HEAD
            && let Err(error) = &header
        {
            return Err(Close::malformed_frame(error));
        }
        if !matches!(self, ContentState::Header(_)) {
            return Err(self.unexpected());
        }
        let header = header.map_err(|_| match payload {
            [high, low, ..] if [*high, *low] != [0, 60] => Close::unexpected_frame(&format!(
                "expected content header for class 60, got one for class {} instead",
                u16::from_be_bytes([*high, *low])
            ))
            .caused_by(PUBLISH),
            _ => self.unexpected(),
        })?;
        let property_list = header.property_list.into();
        let size = header.body_size;
        let ContentState::Header(envelope) = std::mem::take(self) else { return Ok(None) };
        if size == 0 {
            return Ok(Some(envelope.message(property_list, Body::default())));
        }
        let is_too_large = usize::try_from(size).map_or(true, |size| size > max_body);
        *self = ContentState::Body(Box::new(UnfinishedMessage {
            envelope,
            property_list,
            body: Vec::new(),
            size,
            missing: size,
            is_too_large,
            memory: budget.share(),
        }));
        Ok(None)
    }

    /// Refuses a message under way that is too large.
    pub(crate) fn check_size(&self, max_body: usize) -> Result<(), Close> {
        match self {
            ContentState::Body(message) if message.is_too_large => {
                let size = message.size;
                let reason = format!(
                    "FRAME_ERROR - content body size {size} exceeds maximum allowed size {max_body}"
                );
                Err(Close::connection(501, reason).caused_by(PUBLISH))
            }
            _ => Ok(()),
        }
    }

    /// Takes a part of a body. Returns the message if its body is complete.
    pub(crate) fn body(
        &mut self,
        part: &BodyPart<'_>,
        budget: &MemoryBudget,
    ) -> Result<Option<PublishedMessage>, Close> {
        let ContentState::Body(message) = self else { return Err(self.unexpected()) };
        let Some(missing) = message.missing.checked_sub(part.octets.len() as u64) else {
            return Err(Close::connection(
                501,
                "FRAME_ERROR - content body frame exceeds remaining content size",
            )
            .caused_by(PUBLISH));
        };
        message.missing = missing;
        let is_complete = missing == 0 && part.ends_frame;
        // Most bodies arrive in one part, and are copied once.
        if is_complete && message.body.is_empty() && !message.is_too_large {
            let ContentState::Body(message) = std::mem::take(self) else { return Ok(None) };
            let UnfinishedMessage { envelope, property_list, .. } = *message;
            return Ok(Some(envelope.message(property_list, Body::from(part.octets))));
        }
        if !message.is_too_large {
            message.append(part.octets, budget)?;
        }
        if !is_complete {
            return Ok(None);
        }
        let ContentState::Body(message) = std::mem::take(self) else { return Ok(None) };
        let UnfinishedMessage { envelope, property_list, body, size, is_too_large, .. } = *message;
        let message = envelope.message(property_list, Body::from(body));
        Ok(Some(PublishedMessage { too_large: is_too_large.then_some(size), ..message }))
    }
}

impl UnfinishedMessage<'_> {
    /// Adds octets. The memory grows with the octets that have arrived, up to the announced size.
    fn append(&mut self, octets: &[u8], budget: &MemoryBudget) -> Result<(), Close> {
        let needed = self.body.len() + octets.len();
        if needed > self.body.capacity() {
            let announced = usize::try_from(self.size).unwrap_or(usize::MAX);
            let capacity = needed.saturating_mul(2).min(announced).max(needed);
            if !self.memory.grow(capacity - self.body.capacity()) {
                let limit = budget.limit();
                let reason = format!(
                    "RESOURCE_ERROR - the messages that have not arrived completely exceed {limit} \
                     bytes, the limit of the server"
                );
                return Err(Close::connection(506, reason).caused_by(PUBLISH));
            }
            self.body.reserve_exact(capacity - self.body.len());
        }
        self.body.extend_from_slice(octets);
        Ok(())
    }
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
