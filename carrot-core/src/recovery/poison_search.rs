//! Finds the consumer whose queue holds a message that kills the connection: suspects subscribe one
//! at a time, and who survives is none.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;

/// How long a suspect has the connection to itself once it has subscribed.
const ALONE_FOR: Duration = Duration::from_secs(1);

/// Shared by the consumers of one connection.
#[derive(Debug, Default)]
pub(crate) struct PoisonSearch {
    sole_suspect: Mutex<Option<SoleSuspect>>,
    changed: Condvar,
}

#[derive(Debug)]
struct SoleSuspect {
    /// When it ends; `None` while the suspect has not subscribed yet.
    ends: Option<Instant>,
}

impl PoisonSearch {
    /// Waits for a suspect's turn until `deadline`, or until `given_up` says so, which is asked
    /// again after [`wake`](PoisonSearch::wake).
    pub(crate) fn enter(
        &self,
        deadline: Instant,
        given_up: &dyn Fn() -> bool,
    ) -> Option<Suspect<'_>> {
        let mut sole_suspect = self.lock();
        loop {
            let now = Instant::now();
            let ends = match &*sole_suspect {
                None => now,
                Some(suspect) => suspect.ends.unwrap_or(deadline),
            };
            if ends <= now && (sole_suspect.is_none() || ends < deadline) {
                *sole_suspect = Some(SoleSuspect { ends: None });
                return Some(Suspect { poison_search: self });
            }
            if now >= deadline || given_up() {
                return None;
            }
            sole_suspect = self
                .changed
                .wait_timeout(sole_suspect, ends.min(deadline) - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Has everybody who waits ask again whether to give up.
    pub(crate) fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Option<SoleSuspect>> {
        self.sole_suspect.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The only suspect that is subscribing; the next comes when it is dropped, or when its suspect has
/// passed.
#[derive(Debug)]
pub(crate) struct Suspect<'a> {
    poison_search: &'a PoisonSearch,
}

impl Suspect<'_> {
    /// Starts the suspect of a suspect that has subscribed; gives when it ends.
    pub(crate) fn subscribed(self) -> Instant {
        let ends = Instant::now() + ALONE_FOR;
        *self.poison_search.lock() = Some(SoleSuspect { ends: Some(ends) });
        self.poison_search.changed.notify_all();
        std::mem::forget(self);
        ends
    }
}

impl Drop for Suspect<'_> {
    fn drop(&mut self) {
        *self.poison_search.lock() = None;
        self.poison_search.changed.notify_all();
    }
}

/// Whether the queue of this consumer holds a message that kills the connection.
#[derive(Debug, Default)]
pub(crate) struct Suspicion {
    /// How often in a row the connection died of something unreadable before a message came.
    deaths: u32,
    /// How often that happened while no other suspect was subscribed.
    convictions: u32,
}

impl Suspicion {
    /// From so many deaths on, suspects subscribe one at a time.
    const SUSPECT: u32 = 2;
    const POISON: u32 = 2;

    pub(crate) fn is_suspect(&self) -> bool {
        self.deaths >= Suspicion::SUSPECT
    }

    pub(crate) fn is_poison(&self) -> bool {
        self.convictions >= Suspicion::POISON
    }

    /// Notes the loss of a subscription that gave a message or not, and was or was not the only
    /// suspect until a point in time.
    pub(crate) fn note(&mut self, error: &Error, gave: bool, on_trial_until: Option<Instant>) {
        if gave {
            *self = Suspicion::default();
        }
        if matches!(error, Error::Unreadable { .. }) {
            self.deaths += 1;
            self.convictions +=
                u32::from(!gave && on_trial_until.is_some_and(|until| Instant::now() < until));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    const NEVER: &dyn Fn() -> bool = &|| false;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn suspects_come_one_at_a_time() {
        let poison_search = PoisonSearch::default();
        let first = poison_search.enter(soon(), NEVER).unwrap();
        assert!(poison_search.enter(Instant::now() + Duration::from_millis(5), NEVER).is_none());
        drop(first);
        assert!(poison_search.enter(soon(), NEVER).is_some());
    }

    #[test]
    fn the_next_suspect_waits_for_the_end_of_the_trial() {
        let poison_search = PoisonSearch::default();
        let ends = poison_search.enter(soon(), NEVER).unwrap().subscribed();
        let _next = poison_search.enter(soon(), NEVER).unwrap();
        assert!(Instant::now() >= ends);
    }

    #[test]
    fn a_suspect_that_gives_up_stops_waiting() {
        let poison_search = PoisonSearch::default();
        let _first = poison_search.enter(soon(), NEVER).unwrap();
        assert!(poison_search.enter(soon(), &|| true).is_none());
    }
}
