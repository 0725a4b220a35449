//! Passes a message through the publish layers.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use crate::backend::Content;
use crate::deadline;
use crate::error::{Error, Result};
use crate::panic_guard::guard;
use crate::publish_layer::layer::PublishLayers;
use crate::publish_layer::outgoing::{LayerNotes, OutgoingMessage, SentMessage};

/// The layers that a message has passed, until they see its outcome.
#[derive(Default)]
pub(crate) struct PassedLayers {
    /// The number of layers whose `before_send` returned `Ok`.
    passed: usize,
    notes: Option<Box<LayerNotes>>,
}

impl fmt::Debug for PassedLayers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed layers", self.passed)
    }
}

/// The time that a call has for one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallTime {
    pub(crate) deadline: Instant,
    pub(crate) timeout: Duration,
}

impl CallTime {
    /// Returns the time since the start of the call.
    fn elapsed(self) -> Duration {
        deadline::start(self.deadline, self.timeout).elapsed()
    }
}

/// Calls `before_send` of each layer. `until` is `None` if the layers must not wait.
///
/// # Errors
/// The first error of a layer. The layers before it have seen the outcome.
pub(crate) fn pass_layers<'a>(
    layers: &'a PublishLayers,
    content: &mut Content,
    mandatory: bool,
    time: CallTime,
    until: Option<Instant>,
) -> Result<Unobserved<'a>> {
    let mut passed = PassedLayers::default();
    if layers.is_empty() {
        return Ok(Unobserved { layers, passed: Cell::new(None), time });
    }
    let PassedLayers { passed: layer, notes } = &mut passed;
    let mut message =
        OutgoingMessage { content: &mut *content, notes, layer: 0, mandatory, deadline: until };
    // One guard for all layers: after a panic, `layer` is the position of the layer that failed.
    let result = guard(|| {
        for next in layers.iter() {
            message.layer = *layer;
            next.before_send(&mut message)?;
            *layer += 1;
        }
        Ok(())
    });
    match result {
        Ok(Ok(())) => Ok(Unobserved { layers, passed: Cell::new(Some(passed)), time }),
        Ok(Err(error)) => Err(refused(layers, passed, content, error, time)),
        Err(panic) => {
            let reason = format!("a publish layer failed: {panic}");
            let error = Error::Layer { reason, source: None };
            Err(refused(layers, passed, content, error, time))
        }
    }
}

/// Shows the error of a layer to the layers before it.
#[cold]
fn refused(
    layers: &PublishLayers,
    passed: PassedLayers,
    content: &Content,
    error: Error,
    time: CallTime,
) -> Error {
    passed.observe(layers, content, &Err(error.clone()), false, time);
    error
}

impl PassedLayers {
    /// Calls `after_send` of each layer that the message passed, the last one first. `layers` are
    /// those that the message passed, and `time` is that of the call that sent the message.
    pub(crate) fn observe(
        self,
        layers: &PublishLayers,
        content: &Content,
        outcome: &Result<()>,
        has_confirms: bool,
        time: CallTime,
    ) {
        let elapsed = time.elapsed();
        let own_routing_key = &content.routing_key;
        let mut message = SentMessage {
            content,
            outcome,
            has_confirms,
            elapsed,
            attached: None,
            own_routing_key,
        };
        let mut left = self.passed;
        while left > 0 {
            // One guard for all layers: after a panic, `left` is the position of the layer that
            // failed.
            let shown = guard(|| {
                while left > 0 {
                    left -= 1;
                    let Some(layer) = layers.get(left) else { continue };
                    if let Some(notes) = &self.notes {
                        message.attached = notes.attached_by(left);
                        message.own_routing_key =
                            notes.key_after(left).unwrap_or(&content.routing_key);
                    }
                    layer.after_send(&message);
                }
            });
            if let Err(panic) = shown {
                log::error!(
                    "publish layer failed after a message was sent: {panic} exchange={:?}",
                    content.exchange
                );
            }
        }
        if let Some(notes) = self.notes {
            notes.drop_guarded();
        }
    }
}

/// The layers that a message has passed, until the message is in flight.
pub(crate) struct Unobserved<'a> {
    layers: &'a PublishLayers,
    passed: Cell<Option<PassedLayers>>,
    time: CallTime,
}

impl Unobserved<'_> {
    pub(crate) fn take(&self) -> Option<PassedLayers> {
        self.passed.take()
    }

    /// Returns whether the layers took all the time of the call.
    pub(crate) fn is_late(&self) -> bool {
        !self.layers.is_empty() && Instant::now() >= self.time.deadline
    }

    /// Shows a message's outcome to the layers, unless the message is in flight.
    #[inline]
    pub(crate) fn observe<T>(&self, content: &Content, outcome: &Result<T>, confirms: bool) {
        if let Some(passed) = self.take() {
            let outcome = outcome.as_ref().map(|_| ()).map_err(Error::clone);
            passed.observe(self.layers, content, &outcome, confirms, self.time);
        }
    }
}
