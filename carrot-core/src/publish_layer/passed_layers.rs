//! Passes a message through the publish layers.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::Content;
use crate::error::{Error, Result};
use crate::panic_guard::{drop_guarded, guard};
use crate::publish_layer::layer::PublishLayers;
use crate::publish_layer::outgoing::{LayerNotes, OutgoingMessage, SentMessage};

/// The layers that a message has passed, until they see its outcome.
pub(crate) struct PassedLayers {
    layers: Arc<PublishLayers>,
    /// The number of layers whose `before_send` returned `Ok`.
    passed: usize,
    notes: Option<Box<LayerNotes>>,
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
    let mut passed = PassedLayers { layers, passed: 0, notes: None };
    // One guard for all layers: after a panic, `passed` is the position of the layer that failed.
    let result = guard(|| passed.advance(content, mandatory, deadline)).unwrap_or_else(|panic| {
        Err(Error::Layer { reason: format!("a publish layer failed: {panic}"), source: None })
    });
    if let Err(error) = result {
        passed.observe(content, &Err(error.clone()), false, started);
        return Err(error);
    }
    Ok(Some(passed))
}

impl PassedLayers {
    /// Calls `before_send` of the remaining layers, up to the first error.
    fn advance(
        &mut self,
        content: &mut Content,
        mandatory: bool,
        deadline: Option<Instant>,
    ) -> Result<()> {
        while let Some(layer) = self.layers.get(self.passed) {
            layer.before_send(&mut OutgoingMessage {
                content,
                notes: &mut self.notes,
                layer: self.passed,
                mandatory,
                deadline,
            })?;
            self.passed += 1;
        }
        Ok(())
    }

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
        let mut left = self.passed;
        while left > 0 {
            // One guard for all layers: after a panic, `left` is the position of the layer that
            // failed.
            let shown = guard(|| {
                while left > 0 {
                    left -= 1;
                    self.show(left, content, outcome, confirms, elapsed);
                }
            });
            if let Err(panic) = shown {
                log::error!(
                    "publish layer failed after a message was sent: {panic} exchange={:?}",
                    content.exchange
                );
            }
        }
        // Each alone, because a second panic of one drop aborts the process.
        for (_, value) in self.notes.into_iter().flat_map(|notes| notes.attachments) {
            drop_guarded(value);
        }
    }

    /// Calls `after_send` of one layer.
    fn show(
        &self,
        index: usize,
        content: &Content,
        outcome: &Result<()>,
        has_confirms: bool,
        elapsed: Duration,
    ) {
        let Some(layer) = self.layers.get(index) else { return };
        let notes = self.notes.as_deref();
        let attached = notes
            .and_then(|notes| notes.attachments.iter().find(|(owner, _)| *owner == index))
            .map(|(_, value)| &**value);
        let own_routing_key = notes
            .and_then(|notes| notes.former_keys.iter().find(|(layer, _)| *layer > index))
            .map_or(&content.routing_key, |(_, key)| key);
        let message =
            SentMessage { content, outcome, has_confirms, elapsed, attached, own_routing_key };
        layer.after_send(&message);
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
