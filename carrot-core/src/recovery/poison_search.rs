//! Finds the consumer whose queue holds a poison message, which closes the connection. Suspects
//! subscribe one at a time. A suspect whose subscription survives is cleared.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;

/// The time for which a suspect is the only one that is subscribed.
const ALONE_FOR: Duration = Duration::from_secs(1);

/// Shared by the consumers of one connection.
#[derive(Debug, Default)]
pub(crate) struct PoisonSearch {
    sole_suspect: Mutex<Option<SoleSuspect>>,
    changed: Condvar,
}

#[derive(Debug)]
struct SoleSuspect {
    /// The end of its time alone; `None` while the suspect has not subscribed yet.
    ends: Option<Instant>,
}

impl PoisonSearch {
    /// Waits until no other suspect is subscribing. Returns `None` at `deadline`, or if `given_up`
    /// returns true. Calls `given_up` after each [`wake`](PoisonSearch::wake).
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

    /// Wakes every waiting thread to check again whether to give up.
    pub(crate) fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Option<SoleSuspect>> {
        self.sole_suspect.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The only suspect that is subscribing. The next one starts when it is dropped, or after its time
/// alone.
#[derive(Debug)]
pub(crate) struct Suspect<'a> {
    poison_search: &'a PoisonSearch,
}

impl Suspect<'_> {
    /// Starts the time alone of a suspect that has subscribed. Returns its end.
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

/// The evidence that the queue of this consumer holds a poison message.
#[derive(Debug, Default)]
pub(crate) struct Suspicion {
    /// The number of consecutive losses by an unreadable message before a readable one was
    /// delivered.
    losses: u32,
    /// The number of such losses while no other suspect was subscribed.
    losses_alone: u32,
}

impl Suspicion {
    /// The number of losses from which suspects subscribe one at a time.
    const SUSPECT: u32 = 2;
    const POISON: u32 = 2;

    pub(crate) fn is_suspect(&self) -> bool {
        self.losses >= Suspicion::SUSPECT
    }

    pub(crate) fn is_poison(&self) -> bool {
        self.losses_alone >= Suspicion::POISON
    }

    /// Records the loss of a subscription: whether it delivered a message, and until when it was
    /// the only suspect.
    pub(crate) fn note(&mut self, error: &Error, delivered: bool, alone_until: Option<Instant>) {
        if delivered {
            *self = Suspicion::default();
        }
        if matches!(error, Error::Unreadable { .. }) {
            self.losses += 1;
            self.losses_alone +=
                u32::from(!delivered && alone_until.is_some_and(|until| Instant::now() < until));
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
    fn suspects_subscribe_one_at_a_time() {
        let poison_search = PoisonSearch::default();
        let first = poison_search.enter(soon(), NEVER).unwrap();
        assert!(poison_search.enter(Instant::now() + Duration::from_millis(5), NEVER).is_none());
        drop(first);
        assert!(poison_search.enter(soon(), NEVER).is_some());
    }

    #[test]
    fn the_next_suspect_waits_for_the_end_of_the_time_alone() {
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
