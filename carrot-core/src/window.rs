//! How much a publisher may have in flight.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::Content;
use crate::in_flight::InFlight;

/// Limits how many messages, and how many bytes, are in flight at once.
#[derive(Debug)]
pub(crate) struct Window {
    max_messages: usize,
    max_bytes: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: usize,
    sequence: u64,
    messages: BTreeMap<u64, Arc<InFlight>>,
}

impl Window {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Window {
        Window { max_messages, max_bytes, waiting: Mutex::default() }
    }

    /// Lets a message in if there is room, or else names the oldest message in the way. One message always fits.
    pub(crate) fn enter(
        &self,
        content: &Arc<Content>,
        mandatory: bool,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Arc<InFlight>, Arc<InFlight>> {
        let mut waiting = self.lock();
        let bytes = content.body.len();
        let fits = waiting.messages.len() < self.max_messages && waiting.bytes.saturating_add(bytes) <= self.max_bytes;
        if let Some((_, oldest)) = waiting.messages.first_key_value()
            && !fits
        {
            return Err(Arc::clone(oldest));
        }
        waiting.bytes += bytes;
        waiting.sequence += 1;
        let message = Arc::new(InFlight::new(Arc::clone(content), mandatory, timeout, deadline, waiting.sequence));
        waiting.messages.insert(message.sequence, Arc::clone(&message));
        Ok(message)
    }

    /// Lets a resolved message out.
    pub(crate) fn leave(&self, message: &InFlight) {
        let mut waiting = self.lock();
        if waiting.messages.remove(&message.sequence).is_some() {
            waiting.bytes -= message.content.body.len();
        }
    }

    /// Every message that is inside, oldest first.
    pub(crate) fn messages(&self) -> Vec<Arc<InFlight>> {
        self.lock().messages.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
