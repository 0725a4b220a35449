//! How much a publisher may have in flight.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::in_flight::InFlight;
use crate::line::{Line, Turn};

/// Limits how many messages, and how many bytes, are in flight at once.
#[derive(Debug)]
pub(crate) struct Window {
    max_messages: usize,
    max_bytes: usize,
    inside: Mutex<Inside>,
    /// Where threads wait for room: one of them sees to it, the others to being the next.
    pub(crate) line: Line,
}

#[derive(Debug, Default)]
struct Inside {
    bytes: usize,
    sequence: u64,
    messages: BTreeMap<u64, Arc<InFlight>>,
}

impl Window {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Window {
        Window { max_messages, max_bytes, inside: Mutex::default(), line: Line::default() }
    }

    /// Lets in what `message` makes of its place in the order of sending, with a body of so many bytes, if there is room and nobody waits
    /// for that.
    pub(crate) fn enter(&self, bytes: usize, message: impl FnOnce(u64) -> InFlight) -> Option<Arc<InFlight>> {
        if !self.line.is_empty() {
            return None;
        }
        self.admit(bytes, message).ok()
    }

    /// Lets a message in as [`enter`](Window::enter) does, when it is its turn; or else names the oldest message in the way. One message
    /// always fits.
    pub(crate) fn enter_in_turn(
        &self,
        _turn: &Turn<'_>,
        bytes: usize,
        message: impl FnOnce(u64) -> InFlight,
    ) -> Result<Arc<InFlight>, Arc<InFlight>> {
        self.admit(bytes, message)
    }

    fn admit(&self, bytes: usize, message: impl FnOnce(u64) -> InFlight) -> Result<Arc<InFlight>, Arc<InFlight>> {
        let mut inside = self.lock();
        let fits = inside.messages.len() < self.max_messages && inside.bytes.saturating_add(bytes) <= self.max_bytes;
        if let Some((_, oldest)) = inside.messages.first_key_value()
            && !fits
        {
            return Err(Arc::clone(oldest));
        }
        inside.bytes += bytes;
        inside.sequence += 1;
        let message = Arc::new(message(inside.sequence));
        inside.messages.insert(message.sequence, Arc::clone(&message));
        Ok(message)
    }

    /// Lets a message out.
    pub(crate) fn leave(&self, message: &InFlight) {
        let mut inside = self.lock();
        if inside.messages.remove(&message.sequence).is_some() {
            inside.bytes -= message.content.body.len();
        }
    }

    /// Every message that is inside, oldest first.
    pub(crate) fn messages(&self) -> Vec<Arc<InFlight>> {
        self.lock().messages.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
