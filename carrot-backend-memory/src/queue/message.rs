//! Messages on their way through the broker.

use std::sync::Arc;

use carrot_core::backend::Content;
use carrot_routing::{CC, copy_keys};

use crate::queue::memory::{HeldBytes, MessageMemory};

/// A published message inside the broker.
#[derive(Debug, Clone)]
pub(crate) struct RoutedMessage {
    pub(crate) content: Arc<Content>,
    /// The routing keys of the `BCC` header, which no consumer sees. They count until a queue
    /// replaces the routing key.
    pub(crate) blind_keys: Option<Arc<[String]>>,
    /// Whether a queue replaced the routing key, so that the keys of the `CC` header do not count.
    pub(crate) has_new_key: bool,
    /// Whether the message was dead-lettered, so that its records of deaths are the broker's.
    pub(crate) has_died: bool,
    /// The number of failed deliveries in earlier queues.
    pub(crate) failures: u32,
    /// The reference for the first delivery. Cloning `content` then would touch a count that the
    /// publisher's processor core has in its cache.
    first_reference: Option<Arc<Content>>,
    /// The size of the body in bytes, for the same reason.
    size: u32,
    /// The memory that the message and its copies in other queues count with.
    held: Option<Arc<HeldBytes>>,
}

impl RoutedMessage {
    pub(crate) fn new(content: Arc<Content>) -> RoutedMessage {
        RoutedMessage::with_blind_keys(content, None)
    }

    pub(crate) fn with_blind_keys(
        content: Arc<Content>,
        blind_keys: Option<Arc<[String]>>,
    ) -> RoutedMessage {
        let first_reference = Some(Arc::clone(&content));
        let size = u32::try_from(content.body.len()).unwrap_or(u32::MAX);
        RoutedMessage {
            content,
            blind_keys,
            has_new_key: false,
            has_died: false,
            failures: 0,
            first_reference,
            size,
            held: None,
        }
    }

    /// Counts the memory of the message, which enters this number of queues.
    pub(crate) fn count_in(&mut self, memory: &Arc<MessageMemory>, queues: usize) {
        self.held = memory.hold(&self.content, queues * size_of::<QueuedMessage>());
    }

    /// Whether the memory of the message counts.
    pub(crate) fn is_counted(&self) -> bool {
        self.held.is_some()
    }

    /// Returns the routing keys in the `CC` header that count.
    pub(crate) fn copies(&self) -> Vec<&str> {
        let headers = self.content.properties.headers().filter(|_| !self.has_new_key);
        headers.map(|headers| copy_keys(headers, CC)).unwrap_or_default()
    }

    /// Returns a reference to the content for a delivery.
    pub(crate) fn reference(&mut self) -> Arc<Content> {
        self.first_reference.take().unwrap_or_else(|| Arc::clone(&self.content))
    }

    /// Returns the size of the body in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size.into()
    }
}

/// A message in a queue, or delivered and not yet settled.
#[derive(Debug)]
pub(crate) struct QueuedMessage {
    pub(crate) message: RoutedMessage,
    /// The time at which the message expires, or [`NEVER`](crate::clock::NEVER).
    pub(crate) expires: u64,
    /// The position in the queue's order.
    pub(crate) number: u64,
    /// The number of times the message was requeued. Before the first time, the failures in earlier
    /// queues.
    pub(crate) returns: u32,
    has_returned: bool,
    /// The number of failed deliveries.
    pub(crate) failures: u32,
    /// Whether a quorum queue delivers the message before all messages that are not marked.
    pub(crate) first: bool,
    /// Whether the message has waited in the queue, and not only passed through it.
    pub(crate) has_waited: bool,
}

impl QueuedMessage {
    pub(crate) fn new(message: RoutedMessage, expires: u64, number: u64) -> QueuedMessage {
        let failures = message.failures;
        QueuedMessage {
            message,
            expires,
            number,
            returns: failures,
            has_returned: false,
            failures,
            first: false,
            has_waited: false,
        }
    }

    pub(crate) fn is_redelivered(&self) -> bool {
        self.returns > 0
    }

    pub(crate) fn count_return(&mut self, has_failed: bool) {
        self.returns = if self.has_returned { self.returns.saturating_add(1) } else { 1 };
        self.has_returned = true;
        self.failures = self.failures.saturating_add(u32::from(has_failed));
    }
}
