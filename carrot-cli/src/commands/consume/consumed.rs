//! The numbers of messages that were consumed, and whether the command waits for the broker.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The numbers, which the thread that consumes increases.
#[derive(Debug, Default)]
pub(super) struct Consumed {
    handled: AtomicU64,
    failed: AtomicU64,
    steps: AtomicU64,
    /// Whether a message is printed, or its program runs. Both may take any time.
    handles: AtomicBool,
}

impl Consumed {
    pub(super) fn handled(&self) -> u64 {
        self.handled.load(Ordering::Acquire)
    }

    /// Returns how many messages could not be read, or failed in the program.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Acquire)
    }

    /// Counts a message that was handled, and settled or held.
    pub(super) fn handle(&self) {
        self.handled.fetch_add(1, Ordering::AcqRel);
        self.step();
    }

    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts a step that is no message, such as a requeue.
    pub(super) fn step(&self) {
        self.steps.fetch_add(1, Ordering::AcqRel);
    }

    /// Runs work that does not wait for the broker.
    pub(super) fn handling<T>(&self, work: impl FnOnce() -> T) -> T {
        self.handles.store(true, Ordering::Release);
        let done = work();
        self.step();
        self.handles.store(false, Ordering::Release);
        done
    }

    /// Returns a number that increases, unless the command waits for the broker.
    pub(super) fn progress(&self) -> u64 {
        if self.handles.load(Ordering::Acquire) {
            self.step();
        }
        self.steps.load(Ordering::Acquire)
    }
}
