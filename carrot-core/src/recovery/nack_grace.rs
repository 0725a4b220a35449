//! Whether a refusal is put down to the channel, or to the message.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long after a loss refusals may be put down to channels: a queue has long found another
/// leader by then.
const LENGTH: Duration = Duration::from_secs(5);

/// A channel that was opened after a connection was lost is in its nack grace until the broker
/// accepts something on it.
///
/// RabbitMQ 3.10 refuses for ever what is published to a quorum queue on a channel that came to
/// know the queue while it had no leader; another channel does better. A refusal by a channel that
/// was opened for the first time, or that has worked, tells of the queue.
#[derive(Debug, Default)]
pub(crate) struct NackGrace {
    /// Whether the current channel has done what it is for.
    working: AtomicBool,
    state: Mutex<NackGraceState>,
}

#[derive(Debug, Default)]
struct NackGraceState {
    /// Whether a connection was lost, and no channel opened since.
    lost: bool,
    /// When the first channel after the loss was opened.
    since: Option<Instant>,
}

impl NackGrace {
    /// A connection was lost.
    pub(crate) fn lost(&self) {
        self.lock().lost = true;
    }

    /// Another channel is in use: the first, the first after a loss, or one more since.
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

    /// The current channel has done what it is for; whether that is news.
    pub(crate) fn mark_working(&self) -> bool {
        let news = !self.working.swap(true, Ordering::AcqRel);
        if news {
            self.lock().since = None;
        }
        news
    }

    /// Whether a refusal says nothing of the message yet.
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
    fn the_first_channel_is_not_on_trial() {
        let nack_grace = NackGrace::default();
        nack_grace.opened();
        assert!(!nack_grace.is_active());
    }

    #[test]
    fn channels_after_a_loss_are_on_trial_until_one_works() {
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
    fn a_trial_ends() {
        let nack_grace = NackGrace::default();
        nack_grace.lost();
        nack_grace.opened();
        nack_grace.lock().since = Instant::now().checked_sub(LENGTH);
        nack_grace.opened();
        assert!(!nack_grace.is_active());
    }
}
