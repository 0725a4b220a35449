//! The figures of a consumer and of each run, for the statistics of the connection.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::backend::Subscription;
use crate::consumer::held_bytes::SubscriptionWindow;
use crate::consumer::report::Report;
use crate::statistics::registry::Figures;
use crate::statistics::{ConsumingStatistics, ConsumingSum};

/// The figures of one run.
#[derive(Debug, Default)]
pub(crate) struct RunFigures {
    pub(crate) requeued_unhandled: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) prefetch_changes: AtomicU64,
    delivered: Mutex<Vec<Arc<DeliveryCount>>>,
    counters: OnceLock<Arc<dyn Figures<Sum = ConsumingSum>>>,
    held: Mutex<HeldBodies>,
}

/// The messages that one thread of a run received. Aligned to its own cache line, because false
/// sharing is as slow as a lock.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct DeliveryCount(AtomicU64);

impl DeliveryCount {
    /// Counts a message. Only one thread at a time may call this.
    pub(crate) fn add_one(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// The bodies that a run with a bound holds.
#[derive(Debug, Default)]
struct HeldBodies {
    /// The current subscription.
    subscription: Option<Weak<dyn Subscription>>,
    /// The current window, and those of earlier subscriptions whose messages the program has.
    windows: Vec<Weak<SubscriptionWindow>>,
}

impl RunFigures {
    /// Returns a counter for one thread.
    pub(crate) fn delivery_count(&self) -> Arc<DeliveryCount> {
        let count = Arc::<DeliveryCount>::default();
        lock(&self.delivered).push(Arc::clone(&count));
        count
    }

    /// Counts the results of the handlers of the run.
    pub(crate) fn count_results(&self, counters: Arc<dyn Figures<Sum = ConsumingSum>>) {
        let _ = self.counters.set(counters);
    }

    /// Counts the bodies that the subscription holds from now on.
    pub(crate) fn count_held(
        &self,
        subscription: &Arc<dyn Subscription>,
        window: &Arc<SubscriptionWindow>,
    ) {
        let mut held = lock(&self.held);
        held.subscription = Some(Arc::downgrade(subscription));
        held.windows.retain(|window| window.strong_count() > 0);
        held.windows.push(Arc::downgrade(window));
    }

    fn held_bytes(&self) -> u64 {
        let held = lock(&self.held);
        let subscription = held.subscription.as_ref().and_then(Weak::upgrade);
        let windows: Vec<_> = held.windows.iter().filter_map(Weak::upgrade).collect();
        drop(held);
        let arrived = subscription.map_or(0, |subscription| subscription.arrived().bytes);
        windows.iter().fold(arrived, |bytes, window| bytes.saturating_add(window.taken()))
    }
}

impl Figures for RunFigures {
    type Sum = ConsumingSum;

    fn add_to(&self, sum: &mut ConsumingSum) {
        let statistics = &mut sum.statistics;
        for DeliveryCount(count) in lock(&self.delivered).iter().map(|count| &**count) {
            statistics.delivered += count.load(Ordering::Relaxed);
        }
        statistics.requeued_unhandled += self.requeued_unhandled.load(Ordering::Acquire);
        statistics.lost += self.lost.load(Ordering::Acquire);
        statistics.prefetch_changes += self.prefetch_changes.load(Ordering::Relaxed);
        statistics.held_bytes += self.held_bytes();
        if let Some(counters) = self.counters.get() {
            counters.add_to(sum);
        }
    }
}

/// The figures of one consumer outside of its runs.
#[derive(Debug, Default)]
pub(crate) struct ConsumerFigures {
    /// The number of messages that pause in the process, apart from those that workers wait with.
    pub(crate) paused_messages: Arc<AtomicUsize>,
    pub(crate) fetched: AtomicU64,
    /// The messages that the program failed itself.
    failed: Mutex<Report>,
}

impl ConsumerFigures {
    pub(crate) fn count(&self, count: impl FnOnce(&mut Report)) {
        count(&mut lock(&self.failed));
    }
}

impl Figures for ConsumerFigures {
    type Sum = ConsumingSum;

    fn add_to(&self, sum: &mut ConsumingSum) {
        let statistics = &mut sum.statistics;
        statistics.delivered += self.fetched.load(Ordering::Relaxed);
        statistics.paused_messages += self.paused_messages.load(Ordering::Acquire) as u64;
        let failed = *lock(&self.failed);
        add_report(statistics, &failed);
    }
}

/// Adds the numbers of a run, or of messages outside of runs.
pub(super) fn add_report(statistics: &mut ConsumingStatistics, report: &Report) {
    let Report {
        acknowledged,
        rejected,
        requeued,
        failed,
        undecodable,
        retried,
        parked,
        discarded,
        paused,
        requeued_unhandled,
        lost,
        stale,
        unfinished: _,
    } = *report;
    statistics.acknowledged += acknowledged;
    statistics.rejected += rejected;
    statistics.requeued += requeued;
    statistics.failed += failed;
    statistics.undecodable += undecodable;
    statistics.retried += retried;
    statistics.parked += parked;
    statistics.discarded += discarded;
    statistics.paused += paused;
    statistics.requeued_unhandled += requeued_unhandled;
    statistics.lost += lost;
    statistics.stale += stale;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
