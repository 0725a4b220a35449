//! Passes a message through the publish layers.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::backend::Content;
use crate::error::{Error, Result};
use crate::panic_guard::{drop_guarded, guard};
use crate::publish_layer::layer::PublishLayers;
use crate::publish_layer::outgoing::{Attachments, FormerKeys, OutgoingMessage, SentMessage};

/// The layers that a message has passed, until they see its outcome.
pub(crate) struct PassedLayers {
    layers: Arc<PublishLayers>,
    /// The number of layers whose `before_send` returned `Ok`.
    passed: usize,
    attachments: Attachments,
    former_keys: FormerKeys,
}

impl fmt::Debug for PassedLayers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed layers", self.passed)
    }
}

/// Calls `before_send` of each layer. `started` is the time of the call that sends. `deadline` is
/// `None` if the layers must not wait.
///
/// # Errors
/// The first error of a layer. The layers before it have seen the outcome.
pub(crate) fn pass_layers(
    layers: &Arc<PublishLayers>,
    content: &mut Content,
    mandatory: bool,
    started: Instant,
    deadline: Option<Instant>,
) -> Result<Option<PassedLayers>> {
    if layers.is_empty() {
        return Ok(None);
    }
    let layers = Arc::clone(layers);
    let mut passed =
        PassedLayers { layers, passed: 0, attachments: Vec::new(), former_keys: Vec::new() };
    while let Some(layer) = passed.layers.get(passed.passed) {
        let mut message = OutgoingMessage {
            content,
            attachments: &mut passed.attachments,
            former_keys: &mut passed.former_keys,
            layer: passed.passed,
            mandatory,
            deadline,
        };
        let result = guard(|| layer.before_send(&mut message)).unwrap_or_else(|panic| {
            Err(Error::Layer { reason: format!("a publish layer failed: {panic}"), source: None })
        });
        if let Err(error) = result {
            passed.observe(content, &Err(error.clone()), false, started);
            return Err(error);
        }
        passed.passed += 1;
    }
    Ok(Some(passed))
}

impl PassedLayers {
    /// Calls `after_send` of each layer that the message passed, the last one first.
    /// `started` is the time of the call that sent the message.
    pub(crate) fn observe(
        self,
        content: &Content,
        outcome: &Result<()>,
        confirms: bool,
        started: Instant,
    ) {
        let elapsed = started.elapsed();
        for index in (0..self.passed.min(self.layers.len())).rev() {
            let Some(layer) = self.layers.get(index) else { continue };
            let attached = self.attachments.iter().find(|(owner, _)| *owner == index);
            let replaced = self.former_keys.iter().find(|(layer, _)| *layer > index);
            let message = SentMessage {
                content,
                outcome,
                has_confirms: confirms,
                elapsed,
                attached: attached.map(|(_, value)| &**value),
                own_routing_key: replaced.map_or(&content.routing_key, |(_, key)| key),
            };
            if let Err(panic) = guard(|| layer.after_send(&message)) {
                log::error!(
                    "publish layer failed after a message was sent: {panic} exchange={:?}",
                    content.exchange
                );
            }
        }
        // Each alone, because a second panic of one drop aborts the process.
        self.attachments.into_iter().for_each(|(_, value)| drop_guarded(value));
    }
}

/// The layers that a message has passed, until the message is in flight.
pub(crate) struct Unobserved {
    passed: Cell<Option<PassedLayers>>,
    started: Instant,
}

impl Unobserved {
    pub(crate) fn new(passed: Option<PassedLayers>, started: Instant) -> Unobserved {
        Unobserved { passed: Cell::new(passed), started }
    }

    pub(crate) fn take(&self) -> Option<PassedLayers> {
        self.passed.take()
    }

    /// Shows a message's outcome to the layers, unless the message is in flight.
    pub(crate) fn observe<T>(&self, content: &Content, outcome: &Result<T>, confirms: bool) {
        if let Some(passed) = self.take() {
            let outcome = outcome.as_ref().map(|_| ()).map_err(Error::clone);
            passed.observe(content, &outcome, confirms, self.started);
        }
    }
}
