use std::sync::Arc;

use crate::consumer::counters::RunCounters;
use crate::consumer::message::Message;
use crate::consumer::run::{CachedSubscription, ConsumerRun};
use crate::deadline::FOREVER;
use crate::error::Error;

/// The state that the threads of one `spawn` share.
#[derive(Debug)]
pub(crate) struct WorkerPool {
    pub(crate) run: Arc<ConsumerRun>,
    pub(crate) counters: Arc<RunCounters>,
}

impl WorkerPool {
    /// Passes messages to `handle`, until the run ends.
    pub(super) fn work(&self, worker: usize, handle: &dyn Fn(&WorkerPool, Message)) {
        let mut cached = CachedSubscription::default();
        loop {
            self.counters.wait_for_breaker(&|| self.run.is_stopped());
            match self.next(&mut cached) {
                Some(message) => self.counters.while_busy(worker, || handle(self, message)),
                None => return,
            }
        }
    }

    /// Returns the next message; `None` once the run has ended. Records the error that ended it.
    pub(super) fn next(&self, cached: &mut CachedSubscription) -> Option<Message> {
        loop {
            match self.run.next(cached, FOREVER) {
                Ok(None) if !self.run.is_stopped() => {}
                Ok(message) => return message,
                Err(error) => {
                    self.failed(error);
                    return None;
                }
            }
        }
    }

    /// Records the error that ends a thread.
    pub(super) fn failed(&self, error: Error) {
        log::warn!("worker ended: {error} queue={:?}", self.run.queue());
        self.counters.worker_failed(error);
    }
}
