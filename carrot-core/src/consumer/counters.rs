//! Counts the messages of one run, by result.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::consumer::failure::{CircuitBreaker, Failure, FailurePolicy};
use crate::consumer::report::Report;

/// The counters of one run.
#[derive(Debug)]
pub(crate) struct RunCounters {
    /// All except [`acknowledged`](RunCounters::acknowledged).
    report: Mutex<Report>,
    /// Counted without the lock, which all workers share.
    pub(super) acknowledged: AtomicU64,
    first_failure: Mutex<Option<Arc<str>>>,
    breaker: CircuitBreaker,
}

impl RunCounters {
    pub(crate) fn new(policy: &FailurePolicy) -> RunCounters {
        let breaker = CircuitBreaker::new(policy.settings().pause_after, policy.clock().clone());
        RunCounters {
            report: Mutex::default(),
            acknowledged: AtomicU64::new(0),
            first_failure: Mutex::default(),
            breaker,
        }
    }

    pub(crate) fn report(&self) -> Report {
        let mut report = *self.lock();
        report.acknowledged = self.acknowledged.load(Ordering::Acquire);
        report
    }

    pub(crate) fn first_failure(&self) -> Option<String> {
        self.first_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_deref()
            .map(str::to_string)
    }

    /// Blocks while the consumer pauses, or until `given_up` returns true.
    pub(crate) fn wait_for_breaker(&self, given_up: &dyn Fn() -> bool) {
        self.breaker.wait(given_up);
    }

    /// Counts a failure. Called before the message is settled, because a program that sees the
    /// message deleted may read the report.
    pub(crate) fn note_failure(&self, failure: &Failure, queue: &str) {
        if failure.chosen {
            return;
        }
        self.first_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| Arc::clone(&failure.reason));
        let mut report = self.lock();
        *if failure.undecodable { &mut report.undecodable } else { &mut report.failed } += 1;
        drop(report);
        // A failure of the message itself proves nothing about the services that the handler
        // depends on.
        if !failure.undecodable && !failure.permanent {
            self.breaker.note(true, queue);
        }
    }

    pub(crate) fn note_success(&self, queue: &str) {
        self.breaker.note(false, queue);
    }

    pub(crate) fn count(&self, field: impl FnOnce(&mut Report) -> &mut u64) {
        *field(&mut self.lock()) += 1;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
