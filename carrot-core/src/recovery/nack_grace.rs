//! Decides whether a nack is the fault of the channel or of the message.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time after a loss in which nacks may be the fault of channels. A quorum queue elects another
/// leader within this time.
const LENGTH: Duration = Duration::from_secs(5);

/// A channel that was opened after a loss is in its nack grace until the broker accepts a message
/// on it.
///
/// RabbitMQ 3.10 refuses every message for a quorum queue on a channel that first used the queue
/// while it had no leader. Another channel succeeds. A nack on the first channel, or on a channel
/// that has worked, is the fault of the queue.
#[derive(Debug, Default)]
pub(crate) struct NackGrace {
    /// Whether the current channel has worked.
    working: AtomicBool,
    state: Mutex<NackGraceState>,
}

#[derive(Debug, Default)]
struct NackGraceState {
    /// Whether a connection was lost, and no channel opened after that.
    lost: bool,
    /// The time when the first channel after the loss was opened.
    since: Option<Instant>,
}

impl NackGrace {
    /// Records the loss of a connection.
    pub(crate) fn lost(&self) {
        self.lock().lost = true;
    }

    /// Records another channel: the first, the first after a loss, or a later one.
    pub(crate) fn opened(&self) {
        let mut state = self.lock();
        if std::mem::take(&mut state.lost) {
            state.since = Some(Instant::now());
        }
        self.working.store(false, Ordering::Release);
    }

    pub(crate) fn is_working(&self) -> bool {
        self.working.load(Ordering::Relaxed)
    }

    /// Records that the current channel has worked. Returns whether this is new.
    pub(crate) fn mark_working(&self) -> bool {
        let is_new = !self.working.swap(true, Ordering::AcqRel);
        if is_new {
            self.lock().since = None;
        }
        is_new
    }

    /// Returns whether a nack may be the fault of the channel.
    pub(crate) fn is_active(&self) -> bool {
        !self.working.load(Ordering::Acquire)
            && self.lock().since.is_some_and(|since| since.elapsed() < LENGTH)
    }

    fn lock(&self) -> MutexGuard<'_, NackGraceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_channel_has_no_nack_grace() {
        let nack_grace = NackGrace::default();
        nack_grace.opened();
        assert!(!nack_grace.is_active());
    }

    #[test]
    fn channels_after_a_loss_have_a_nack_grace_until_one_works() {
        let nack_grace = NackGrace::default();
        nack_grace.opened();
        assert!(nack_grace.mark_working() && !nack_grace.mark_working());
        nack_grace.lost();
        assert!(!nack_grace.is_active());
        nack_grace.opened();
        assert!(nack_grace.is_active());
        nack_grace.opened();
        assert!(nack_grace.is_active());
        assert!(nack_grace.mark_working());
        assert!(!nack_grace.is_active());
        nack_grace.opened();
        assert!(!nack_grace.is_active());
    }

    #[test]
    fn a_nack_grace_ends_after_its_length() {
        let nack_grace = NackGrace::default();
        nack_grace.lost();
        nack_grace.opened();
        nack_grace.lock().since = Instant::now().checked_sub(LENGTH);
        nack_grace.opened();
        assert!(!nack_grace.is_active());
    }
}
