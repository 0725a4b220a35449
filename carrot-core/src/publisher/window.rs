//! How much a publisher may have in flight.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::publisher::in_flight::InFlight;
use crate::publisher::wait_queue::{Line, Turn};

/// Limits how many messages, and how many bytes, are in flight at once.
#[derive(Debug)]
pub(crate) struct Window {
    max_messages: usize,
    max_bytes: usize,
    inside: Mutex<Inside>,
    left: Condvar,
    /// Where threads wait for room: one of them sees to it, the others to being the next.
    pub(crate) line: Line,
}

#[derive(Debug, Default)]
struct Inside {
    bytes: usize,
    sequence: u64,
    messages: BTreeMap<u64, Arc<InFlight>>,
    /// How many have left.
    departures: u64,
}

/// Why there is no room.
#[derive(Debug)]
pub(crate) struct InTheWay {
    pub(crate) oldest: Arc<InFlight>,
    departures: u64,
}

impl Window {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Window {
        Window { max_messages, max_bytes, inside: Mutex::default(), left: Condvar::new(), line: Line::default() }
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
    ) -> Result<Arc<InFlight>, InTheWay> {
        self.admit(bytes, message)
    }

    fn admit(&self, bytes: usize, message: impl FnOnce(u64) -> InFlight) -> Result<Arc<InFlight>, InTheWay> {
        let mut inside = self.lock();
        let fits = inside.messages.len() < self.max_messages && inside.bytes.saturating_add(bytes) <= self.max_bytes;
        if let Some((_, oldest)) = inside.messages.first_key_value()
            && !fits
        {
            return Err(InTheWay { oldest: Arc::clone(oldest), departures: inside.departures });
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
            inside.departures += 1;
            drop(inside);
            self.left.notify_all();
        }
    }

    /// Waits until a message has left since there was no room, `until` at most.
    pub(crate) fn wait_for_departure(&self, since: &InTheWay, until: Instant) {
        let mut inside = self.lock();
        while inside.departures == since.departures {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            inside = self.left.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
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
