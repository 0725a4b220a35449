//! The threads of a publisher that wait for a channel, each because of one message.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, Weak};

/// The owner of the channel that the threads wait for.
pub(crate) trait WakeRecoveries: std::fmt::Debug + Send + Sync {
    /// Wakes the threads, to check whether their message is decided.
    fn wake_recoveries(&self);
}

/// The threads of a publisher that wait for a channel. A thread stops waiting once the outcome of
/// its message is decided.
#[derive(Debug, Default)]
pub(crate) struct RecoveryWaits {
    waiting: AtomicUsize,
    pipeline: OnceLock<Weak<dyn WakeRecoveries>>,
}

/// One waiting thread, until it is dropped.
#[derive(Debug)]
pub(crate) struct RecoveryWait<'a>(&'a RecoveryWaits);

impl RecoveryWaits {
    /// Sets the publisher whose channel the threads wait for.
    pub(crate) fn belong_to(&self, pipeline: Weak<dyn WakeRecoveries>) {
        // A publisher has one pipeline.
        let _ = self.pipeline.set(pipeline);
    }

    /// Announces that a thread waits. The thread then checks the outcome before each wait.
    pub(crate) fn begin(&self) -> RecoveryWait<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        RecoveryWait(self)
    }

    /// Wakes the threads after an outcome was recorded. The caller holds no lock.
    pub(crate) fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0
            && let Some(pipeline) = self.pipeline.get().and_then(Weak::upgrade)
        {
            pipeline.wake_recoveries();
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

impl Drop for RecoveryWait<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
