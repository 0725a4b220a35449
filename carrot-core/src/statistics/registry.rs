//! Sums figures of objects that come and go.

use std::collections::HashMap;
use std::fmt::{self, Debug, Formatter};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The figures of one object, such as a publisher.
pub(crate) trait Figures: Debug + Send + Sync {
    type Sum: FigureSum;

    /// Adds the figures to `sum`. Takes leaf locks only.
    fn add_to(&self, sum: &mut Self::Sum);
}

/// A sum of figures.
pub(crate) trait FigureSum: Clone + Default + Debug + Send {
    /// Removes the figures that are only valid while their object exists.
    fn forget_current(&mut self);
}

/// Sums the figures of objects of one kind: of the live ones, and of those that have ended. Ended
/// objects take no memory.
#[derive(Default)]
pub(crate) struct Registry<S> {
    state: Mutex<RegistryState<S>>,
}

#[derive(Default)]
struct RegistryState<S> {
    ended: S,
    live: HashMap<u64, Arc<dyn Figures<Sum = S>>>,
    last_id: u64,
}

impl<S: FigureSum> Registry<S> {
    /// Counts `figures` in the sum. Their object has ended once the result is dropped, so each
    /// thread that changes the figures has to hold the result.
    pub(crate) fn register<F>(self: &Arc<Registry<S>>, figures: Arc<F>) -> Registered<F>
    where
        F: Figures<Sum = S> + 'static,
    {
        let mut state = self.lock();
        state.last_id += 1;
        let id = state.last_id;
        state.live.insert(id, Arc::clone(&figures) as Arc<dyn Figures<Sum = S>>);
        drop(state);
        Registered { figures, entry: Some((Arc::clone(self), id)) }
    }

    /// Returns the sum over all objects. Each object counts once, also if it ends meanwhile.
    pub(crate) fn sum(&self) -> S {
        let state = self.lock();
        let mut sum = state.ended.clone();
        let live: Vec<_> = state.live.values().cloned().collect();
        drop(state);
        live.iter().for_each(|figures| figures.add_to(&mut sum));
        sum
    }

    fn end(&self, id: u64) {
        let mut state = self.lock();
        let ended = state.live.remove(&id);
        if let Some(figures) = &ended {
            figures.add_to(&mut state.ended);
            state.ended.forget_current();
        }
        drop(state);
        drop(ended);
    }

    fn lock(&self) -> MutexGuard<'_, RegistryState<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Debug for Registry<S> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// Figures that a [`Registry`] counts as those of a live object.
#[derive(Debug)]
pub(crate) struct Registered<F: Figures + 'static> {
    figures: Arc<F>,
    entry: Option<(Arc<Registry<F::Sum>>, u64)>,
}

impl<F: Figures + Default> Default for Registered<F> {
    /// Creates figures that no registry counts.
    fn default() -> Registered<F> {
        Registered { figures: Arc::default(), entry: None }
    }
}

impl<F: Figures> Deref for Registered<F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.figures
    }
}

impl<F: Figures + 'static> Drop for Registered<F> {
    fn drop(&mut self) {
        if let Some((registry, id)) = self.entry.take() {
            registry.end(id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::thread;

    use super::*;

    #[derive(Debug, Default)]
    struct Counter(AtomicU64);

    #[derive(Debug, Clone, Default)]
    struct CounterSum {
        total: u64,
        live: u64,
    }

    impl FigureSum for CounterSum {
        fn forget_current(&mut self) {
            self.live = 0;
        }
    }

    impl Figures for Counter {
        type Sum = CounterSum;

        fn add_to(&self, sum: &mut CounterSum) {
            sum.total += self.0.load(Ordering::Relaxed);
            sum.live += 1;
        }
    }

    #[test]
    fn registry_ended_objects_keep_counting_and_take_no_memory() {
        let registry = Arc::<Registry<CounterSum>>::default();
        let kept = registry.register(Arc::new(Counter::default()));
        for number in 0..1_000 {
            let counter = registry.register(Arc::new(Counter::default()));
            counter.0.store(number, Ordering::Relaxed);
            assert_eq!(registry.sum().live, 2);
        }
        kept.0.store(1, Ordering::Relaxed);
        let sum = registry.sum();
        assert_eq!((sum.total, sum.live), (499_501, 1));
        assert_eq!(registry.lock().live.len(), 1);
        drop(kept);
        assert_eq!((registry.sum().total, registry.sum().live), (499_501, 0));
    }

    #[test]
    fn registry_sum_never_falls_while_objects_end() {
        let registry = Arc::<Registry<CounterSum>>::default();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let counter = registry.register(Arc::new(Counter::default()));
                    counter.0.fetch_add(1, Ordering::Relaxed);
                }
                done.store(true, Ordering::Release);
            });
            let mut last = 0;
            while !done.load(Ordering::Acquire) {
                let total = registry.sum().total;
                assert!(total >= last, "{total} after {last}");
                last = total;
            }
        });
        assert_eq!(registry.sum().total, 20_000);
    }
}
