use std::any::Any;
use std::fmt;
use std::time::{Duration, Instant};

use crate::backend::Content;
use crate::error::{Error, Result};
use crate::model::{Properties, ShortString, Value};
use crate::panic_guard::drop_guarded;

/// A message that is about to be sent. Passed to [`PublishLayer::before_send`](crate::PublishLayer::before_send).
///
/// Names and sizes are validated after the layers, with the errors of
/// [`Publisher::send`](crate::Publisher::send).
pub struct OutgoingMessage<'a> {
    pub(super) content: &'a mut Content,
    pub(super) notes: &'a mut Option<Box<LayerNotes>>,
    /// The position of the layer that sees the message.
    pub(super) layer: usize,
    pub(super) mandatory: bool,
    pub(super) deadline: Option<Instant>,
}

/// The notes of layers until the outcome of their message is known, with the position of each
/// layer. Most messages have none.
#[derive(Default)]
pub(super) struct LayerNotes {
    /// The values that layers attached.
    pub(super) attachments: Vec<(usize, Box<dyn Any + Send>)>,
    /// The routing keys that layers have replaced.
    pub(super) former_keys: Vec<(usize, ShortString)>,
}

impl LayerNotes {
    /// Returns the value that a layer attached.
    pub(super) fn attached_by(&self, layer: usize) -> Option<&(dyn Any + Send)> {
        self.attachments.iter().find(|(owner, _)| *owner == layer).map(|(_, value)| &**value)
    }

    /// Returns the routing key after a layer, if a later layer has replaced it.
    pub(super) fn key_after(&self, layer: usize) -> Option<&ShortString> {
        self.former_keys.iter().find(|(later, _)| *later > layer).map(|(_, key)| key)
    }

    /// Drops each value alone, because a second panic of one drop aborts the process.
    pub(super) fn drop_guarded(self) {
        for (_, value) in self.attachments {
            drop_guarded(value);
        }
    }
}

impl OutgoingMessage<'_> {
    /// Returns the name of the exchange; empty for the default exchange.
    pub fn exchange(&self) -> &ShortString {
        &self.content.exchange
    }

    /// Returns the routing key.
    pub fn routing_key(&self) -> &ShortString {
        &self.content.routing_key
    }

    /// Replaces the routing key, at most 255 bytes.
    pub fn set_routing_key(&mut self, routing_key: impl Into<ShortString>) {
        let former = std::mem::replace(&mut self.content.routing_key, routing_key.into());
        self.notes.get_or_insert_default().former_keys.push((self.layer, former));
    }

    /// Returns the properties. The message id is set, unless the message was built
    /// [`without_message_id`](crate::MessageBuilder::without_message_id).
    pub fn properties(&self) -> &Properties {
        &self.content.properties
    }

    /// Changes any of the properties.
    pub fn change_properties(&mut self, change: impl FnOnce(Properties) -> Properties) {
        self.content.properties = change(std::mem::take(&mut self.content.properties));
    }

    /// Returns the value of one header, or `None` if that header is not set.
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.content.properties.header(name)
    }

    /// Sets one header, and keeps the others. The name has at most 255 bytes.
    pub fn set_header(&mut self, name: impl Into<ShortString>, value: impl Into<Value>) {
        self.content.properties.insert_header(name.into(), value.into());
    }

    /// Returns the encoded body.
    pub fn body(&self) -> &[u8] {
        &self.content.body
    }

    /// Replaces the body. The content type and encoding stay as they are, unless the layer changes
    /// them, too.
    pub fn set_body(&mut self, body: impl Into<Vec<u8>>) {
        self.content.body = body.into().into();
    }

    /// Returns whether the message is returned if it cannot be routed.
    pub fn is_mandatory(&self) -> bool {
        self.mandatory
    }

    /// Returns the time until which the layer may wait, or `None` if it must not wait, because the
    /// program called [`try_publish`](crate::Publisher::try_publish).
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Keeps a value of this layer until the outcome of the message is known. A second value
    /// replaces the first. [`SentMessage::attached`] returns the value.
    pub fn attach<T: Any + Send>(&mut self, value: T) {
        let attachments = &mut self.notes.get_or_insert_default().attachments;
        attachments.retain(|(layer, _)| *layer != self.layer);
        attachments.push((self.layer, Box::new(value)));
    }
}

impl fmt::Debug for OutgoingMessage<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OutgoingMessage")
            .field("content", self.content)
            .field("mandatory", &self.mandatory)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// A message whose outcome is known. Passed to [`PublishLayer::after_send`](crate::PublishLayer::after_send).
pub struct SentMessage<'a> {
    pub(super) content: &'a Content,
    pub(super) outcome: &'a Result<()>,
    pub(super) has_confirms: bool,
    pub(super) elapsed: Duration,
    pub(super) attached: Option<&'a (dyn Any + Send)>,
    /// The routing key after `before_send` of this layer.
    pub(super) own_routing_key: &'a ShortString,
}

impl SentMessage<'_> {
    /// Returns the name of the exchange; empty for the default exchange.
    pub fn exchange(&self) -> &ShortString {
        &self.content.exchange
    }

    /// Returns the routing key.
    pub fn routing_key(&self) -> &ShortString {
        &self.content.routing_key
    }

    /// Returns the routing key as this layer left it in
    /// [`before_send`](crate::PublishLayer::before_send). Later layers may have replaced it.
    pub fn own_routing_key(&self) -> &ShortString {
        self.own_routing_key
    }

    /// Returns the properties.
    pub fn properties(&self) -> &Properties {
        &self.content.properties
    }

    /// Returns the body.
    pub fn body(&self) -> &[u8] {
        &self.content.body
    }

    /// Returns the error with which the message failed, if it failed. The errors are those of
    /// [`Publisher::send`](crate::Publisher::send).
    pub fn error(&self) -> Option<&Error> {
        self.outcome.as_ref().err()
    }

    /// Returns whether the broker confirmed the message. Always false for a publisher without
    /// confirms.
    pub fn is_confirmed(&self) -> bool {
        self.has_confirms && self.outcome.is_ok()
    }

    /// Returns the time from the call that sent the message until its outcome was known.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Returns the value that this layer attached before sending, if it has this type.
    pub fn attached<T: Any>(&self) -> Option<&T> {
        self.attached?.downcast_ref()
    }
}

impl fmt::Debug for SentMessage<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SentMessage")
            .field("content", self.content)
            .field("outcome", self.outcome)
            .field("elapsed", &self.elapsed)
            .finish_non_exhaustive()
    }
}
