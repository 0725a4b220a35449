use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use crate::layers::destination::OTHER;

/// The number of destinations that are found without a lock.
const FIRST: usize = 8;

/// The metrics of each destination, up to a limit. Further destinations share one.
pub(super) struct Destinations<T> {
    first: [OnceLock<(Box<str>, Arc<T>)>; FIRST],
    further: RwLock<HashMap<Box<str>, Arc<T>>>,
    beyond: OnceLock<Arc<T>>,
    /// The number of destinations. Locked while one is added.
    count: Mutex<usize>,
    most: usize,
}

/// The metrics of a destination.
pub(super) enum FoundMetrics<'a, T> {
    Here(&'a T),
    Shared(Arc<T>),
}

impl<T> Deref for FoundMetrics<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            FoundMetrics::Here(metrics) => metrics,
            FoundMetrics::Shared(metrics) => metrics,
        }
    }
}

impl<T> Destinations<T> {
    pub(super) fn new(most: usize) -> Destinations<T> {
        Destinations {
            first: Default::default(),
            further: RwLock::default(),
            beyond: OnceLock::new(),
            count: Mutex::new(0),
            most,
        }
    }

    /// Returns the metrics of a destination. `create` makes them at first, and is called without a
    /// lock, possibly by several threads at once.
    #[inline]
    pub(super) fn find(&self, name: &str, create: impl Fn(&str) -> T) -> FoundMetrics<'_, T> {
        for known in self.first.iter().map_while(OnceLock::get) {
            if *known.0 == *name {
                return FoundMetrics::Here(&known.1);
            }
        }
        FoundMetrics::Shared(self.further(name).unwrap_or_else(|| self.add(name, create)))
    }

    fn further(&self, name: &str) -> Option<Arc<T>> {
        self.further.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    fn known(&self, name: &str) -> Option<Arc<T>> {
        let mut first = self.first.iter().map_while(OnceLock::get);
        first
            .find(|known| *known.0 == *name)
            .map_or_else(|| self.further(name), |known| Some(Arc::clone(&known.1)))
    }

    #[cold]
    fn add(&self, name: &str, create: impl Fn(&str) -> T) -> Arc<T> {
        let is_full = *self.count.lock().unwrap_or_else(PoisonError::into_inner) >= self.most;
        if is_full || name == OTHER {
            let beyond = self.beyond.get().map(Arc::clone);
            return beyond.unwrap_or_else(|| {
                let created = Arc::new(create(OTHER));
                Arc::clone(self.beyond.get_or_init(|| created))
            });
        }
        let created = Arc::new(create(name));
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.known(name) {
            return known;
        }
        *count += 1;
        let mut new = (Box::from(name), Arc::clone(&created));
        for place in &self.first {
            match place.set(new) {
                Ok(()) => return created,
                Err(refused) => new = refused,
            }
        }
        self.further.write().unwrap_or_else(PoisonError::into_inner).insert(new.0, new.1);
        created
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    #[test]
    fn destinations_beyond_the_limit_share_one() {
        let destinations = Destinations::new(20);
        let name = |number: usize| format!("q{number}");
        for number in 0..30 {
            let expected = if number < 20 { name(number) } else { OTHER.to_string() };
            for _ in 0..2 {
                let found = destinations.find(&name(number), str::to_string).clone();
                assert_eq!(found, expected);
            }
        }
        assert_eq!(*destinations.find(OTHER, str::to_string), OTHER);
        assert_eq!(*destinations.count.lock().unwrap(), 20);
        assert_eq!(destinations.further.read().unwrap().len(), 20 - FIRST);
    }

    #[test]
    fn destinations_added_by_several_threads_at_once_exist_once() {
        let destinations = Destinations::new(1000);
        let (names, barrier) = (0..40, std::sync::Barrier::new(4));
        let found: Vec<Vec<usize>> = std::thread::scope(|scope| {
            let find = || {
                names
                    .clone()
                    .map(|number| {
                        barrier.wait();
                        let name = format!("q{number}");
                        destinations.find(&name, str::to_string).as_ptr() as usize
                    })
                    .collect()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(find)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(found.iter().all(|of_thread| *of_thread == found[0]));
        assert_eq!(*destinations.count.lock().unwrap(), 40);
    }
}
