//! Counts the messages of one run, by result.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::consumer::failure::{CircuitBreaker, Failure, FailurePolicy};
use crate::consumer::figures::add_report;
use crate::consumer::report::Report;
use crate::error::Error;
use crate::escaping::printable;
use crate::statistics::ConsumingSum;
use crate::statistics::registry::Figures;

/// The maximum length of the error of a worker, in bytes.
const LONGEST_ERROR: usize = 1000;

/// The counters of one run.
#[derive(Debug)]
pub(crate) struct RunCounters {
    /// All except [`acknowledged`](RunCounters::acknowledged).
    report: Mutex<Report>,
    /// Counted without the lock, which all workers share.
    pub(super) acknowledged: AtomicU64,
    first_failure: Mutex<Option<Arc<str>>>,
    breaker: CircuitBreaker,
    /// Which threads of the run are busy with a message.
    busy: Vec<Flag>,
    /// The number of these threads that wait in the pause of a message.
    pausing: AtomicU64,
    /// The number of keys that stand still with a message that pauses.
    paused_keys: AtomicUsize,
    workers: Mutex<WorkerThreads>,
}

/// Aligned to its own cache line, because false sharing is as slow as a lock.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Flag(AtomicBool);

/// The threads of a run that were spawned as its workers.
#[derive(Debug, Default)]
struct WorkerThreads {
    running: u64,
    failed: u64,
    /// The first error that ended a worker.
    error: Option<Error>,
    /// The text of that error, which stays when the error is taken.
    reason: Option<String>,
}

impl Figures for RunCounters {
    type Sum = ConsumingSum;

    fn add_to(&self, sum: &mut ConsumingSum) {
        add_report(&mut sum.statistics, &self.report());
        let pausing = self.pausing.load(Ordering::Acquire);
        sum.statistics.handlers_running += (self.busy() as u64).saturating_sub(pausing);
        let paused_keys = self.paused_keys.load(Ordering::Acquire);
        sum.statistics.paused_messages += pausing + paused_keys as u64;
        sum.statistics.consumer_pauses += self.breaker.pauses();
        sum.statistics.paused_consumers += u64::from(self.breaker.is_pausing());
        let workers = self.workers();
        sum.workers.running += workers.running;
        sum.workers.failed += workers.failed;
        if workers.reason.is_some() {
            sum.workers.last_error.clone_from(&workers.reason);
        }
    }
}

impl RunCounters {
    /// Creates the counters of a run that `threads` threads handle.
    pub(crate) fn new(policy: &FailurePolicy, threads: usize) -> RunCounters {
        let breaker = CircuitBreaker::new(policy.settings().pause_after, policy.clock().clone());
        RunCounters {
            report: Mutex::default(),
            acknowledged: AtomicU64::new(0),
            first_failure: Mutex::default(),
            breaker,
            busy: (0..threads).map(|_| Flag::default()).collect(),
            pausing: AtomicU64::new(0),
            paused_keys: AtomicUsize::new(0),
            workers: Mutex::default(),
        }
    }

    /// Returns the number of threads that are busy with a message.
    pub(crate) fn busy(&self) -> usize {
        self.busy.iter().filter(|Flag(busy)| busy.load(Ordering::Acquire)).count()
    }

    /// Runs `work` as the handling of a message by a thread.
    pub(crate) fn while_busy<T>(&self, thread: usize, work: impl FnOnce() -> T) -> T {
        let Flag(busy) = &self.busy[thread];
        busy.store(true, Ordering::Release);
        let result = work();
        busy.store(false, Ordering::Release);
        result
    }

    /// Runs `wait`, the pause of a message in its worker.
    pub(crate) fn while_pausing(&self, wait: impl FnOnce()) {
        self.pausing.fetch_add(1, Ordering::AcqRel);
        wait();
        self.pausing.fetch_sub(1, Ordering::AcqRel);
    }

    /// Sets the number of messages that pause without a worker.
    pub(crate) fn set_paused_keys(&self, keys: usize) {
        self.paused_keys.store(keys, Ordering::Release);
    }

    pub(crate) fn worker_started(&self) {
        self.workers().running += 1;
    }

    pub(crate) fn worker_ended(&self) {
        let mut workers = self.workers();
        workers.running = workers.running.saturating_sub(1);
    }

    /// Records the error that ends a worker.
    pub(crate) fn worker_failed(&self, error: Error) {
        let mut workers = self.workers();
        workers.failed += 1;
        if workers.reason.is_none() {
            workers.reason = Some(printable(LONGEST_ERROR, &error));
            workers.error = Some(error);
        }
    }

    /// Takes the first error that ended a worker.
    pub(crate) fn take_worker_error(&self) -> Option<Error> {
        self.workers().error.take()
    }

    fn workers(&self) -> MutexGuard<'_, WorkerThreads> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.count_failure(failure);
        self.pause_after(failure, queue);
    }

    /// Pauses the consumer after too many failures in a row, of which this is one.
    pub(crate) fn pause_after(&self, failure: &Failure, queue: &str) {
        if failure.may_pause_consumer() {
            self.breaker.note(true, queue);
        }
    }

    /// Counts a failure that does not pause the consumer.
    pub(crate) fn count_failure(&self, failure: &Failure) {
        if failure.chosen {
            return;
        }
        self.first_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| Arc::clone(&failure.reason));
        let mut report = self.lock();
        *if failure.undecodable { &mut report.undecodable } else { &mut report.failed } += 1;
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
