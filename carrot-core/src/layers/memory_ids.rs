use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::backend::Clock;
use crate::consumer::handler_error::HandlerError;
use crate::error::{Error, Result};
use crate::layers::id_store::{Claim, IdStore};

const DEFAULT_CAPACITY: usize = 100_000;
const MAX_CAPACITY: usize = 100_000_000;

/// Remembers the ids of handled messages in the memory of the process, for
/// [`Deduplicate`](crate::Deduplicate).
///
/// Above its capacity, the least recently used id is forgotten. An id is used when it is
/// remembered, and when a duplicate arrives. The ids of messages in progress are kept besides, at
/// most one for each worker. An id of Carrot's takes about 200 bytes, the longest id of the longest
/// queue name about 700. The ids are lost with the process.
///
/// Consumers of several queues can share the ids through an `Arc`.
///
/// ```
/// use std::time::Duration;
/// use carrot::layers::{Deduplicate, MemoryIds};
///
/// let ids = MemoryIds::new().capacity(10_000)?.lifetime(Duration::from_secs(3600))?;
/// let layer = Deduplicate::new(ids);
/// # Ok::<(), carrot::Error>(())
/// ```
pub struct MemoryIds {
    capacity: usize,
    lifetime: Option<Duration>,
    clock: Clock,
    ids: Mutex<Ids>,
}

#[derive(Default)]
struct Ids {
    states: HashMap<Arc<str>, IdState>,
    /// The remembered ids, by the number of their last use.
    by_use: BTreeMap<u64, Arc<str>>,
    uses: u64,
}

#[derive(Debug, Clone, Copy)]
enum IdState {
    InProgress,
    Done { since: Duration, last_use: u64 },
}

impl MemoryIds {
    /// Creates an empty store for 100,000 ids.
    pub fn new() -> MemoryIds {
        MemoryIds {
            capacity: DEFAULT_CAPACITY,
            lifetime: None,
            clock: Clock::real(),
            ids: Mutex::default(),
        }
    }

    /// Sets the number of ids that are remembered, from 1 to 100,000,000.
    ///
    /// Defaults to 100,000.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: the capacity is out of its limits.
    pub fn capacity(mut self, ids: usize) -> Result<MemoryIds> {
        if !(1..=MAX_CAPACITY).contains(&ids) {
            return Err(Error::invalid(
                "capacity of message ids",
                &ids.to_string(),
                "1 to 100000000",
            ));
        }
        self.capacity = ids;
        Ok(self)
    }

    /// Limits the time for which an id is remembered, counted from the end of its handling. More
    /// than zero.
    ///
    /// Defaults to no limit.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: the lifetime is zero.
    pub fn lifetime(mut self, lifetime: Duration) -> Result<MemoryIds> {
        if lifetime.is_zero() {
            return Err(Error::invalid("lifetime of message ids", "0", "more than zero"));
        }
        self.lifetime = Some(lifetime);
        Ok(self)
    }

    /// Sets the clock that measures the lifetime. For tests with the clock of a memory broker.
    ///
    /// Defaults to real time.
    #[must_use = "it returns the changed store"]
    pub fn clock(mut self, clock: Clock) -> MemoryIds {
        self.clock = clock;
        self
    }

    /// Returns the number of remembered ids. Includes ids whose lifetime has passed.
    pub fn len(&self) -> usize {
        self.lock().by_use.len()
    }

    /// Returns whether no id is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn is_valid(&self, since: Duration) -> bool {
        self.lifetime.is_none_or(|lifetime| self.clock.now().saturating_sub(since) < lifetime)
    }

    fn lock(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ids {
    /// Records a state. Forgets the last use of an earlier one.
    fn set(&mut self, key: Arc<str>, state: IdState) {
        if let IdState::Done { last_use, .. } = state {
            self.by_use.insert(last_use, Arc::clone(&key));
        }
        if let Some(IdState::Done { last_use, .. }) = self.states.insert(key, state) {
            self.by_use.remove(&last_use);
        }
    }

    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }
}

impl IdStore for MemoryIds {
    fn begin(&self, queue: &str, id: &str) -> Result<Claim, HandlerError> {
        let key = key(queue, id);
        let mut ids = self.lock();
        match ids.states.get(&key).copied() {
            Some(IdState::InProgress) => Ok(Claim::InProgress),
            Some(IdState::Done { since, .. }) if self.is_valid(since) => {
                let last_use = ids.next_use();
                ids.set(key, IdState::Done { since, last_use });
                Ok(Claim::Done)
            }
            Some(IdState::Done { .. }) | None => {
                ids.set(key, IdState::InProgress);
                Ok(Claim::New)
            }
        }
    }

    fn finish(&self, queue: &str, id: &str) -> Result<(), HandlerError> {
        let since = self.clock.now();
        let mut ids = self.lock();
        let last_use = ids.next_use();
        ids.set(key(queue, id), IdState::Done { since, last_use });
        while ids.by_use.len() > self.capacity
            && let Some((_, oldest)) = ids.by_use.pop_first()
        {
            ids.states.remove(&oldest);
        }
        Ok(())
    }

    fn release(&self, queue: &str, id: &str) -> Result<(), HandlerError> {
        let key = key(queue, id);
        let mut ids = self.lock();
        if let Some(IdState::InProgress) = ids.states.get(&key) {
            ids.states.remove(&key);
        }
        Ok(())
    }
}

/// Returns a key for an id of a queue. No two pairs have the same key.
fn key(queue: &str, id: &str) -> Arc<str> {
    format!("{} {queue}{id}", queue.len()).into()
}

impl Default for MemoryIds {
    fn default() -> MemoryIds {
        MemoryIds::new()
    }
}

impl fmt::Debug for MemoryIds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MemoryIds")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn remember(ids: &MemoryIds, id: &str) {
        assert_eq!(ids.begin("q", id).unwrap(), Claim::New);
        ids.finish("q", id).unwrap();
    }

    #[test]
    fn id_is_new_then_in_progress_then_done() {
        let ids = MemoryIds::new();
        assert_eq!(ids.begin("q", "1").unwrap(), Claim::New);
        assert_eq!(ids.begin("q", "1").unwrap(), Claim::InProgress);
        ids.finish("q", "1").unwrap();
        assert_eq!(ids.begin("q", "1").unwrap(), Claim::Done);
        ids.release("q", "1").unwrap();
        assert_eq!(ids.begin("q", "1").unwrap(), Claim::Done, "only a claim is released");
    }

    #[test]
    fn released_id_is_new_again() {
        let ids = MemoryIds::new();
        assert_eq!(ids.begin("q", "1").unwrap(), Claim::New);
        ids.release("q", "1").unwrap();
        assert!(ids.lock().states.is_empty());
        assert_eq!(ids.begin("q", "1").unwrap(), Claim::New);
    }

    #[test]
    fn same_id_of_another_queue_is_new() {
        let ids = MemoryIds::new();
        remember(&ids, "1");
        assert_eq!(ids.begin("other", "1").unwrap(), Claim::New);
        // The end of the queue name is no beginning of the id.
        assert_ne!(key("q1", "2"), key("q", "12"));
        assert_ne!(key("1 a", "b"), key("a", "b"));
    }

    #[test]
    fn capacity_reached_forgets_least_recently_used_id() {
        let ids = MemoryIds::new().capacity(2).unwrap();
        remember(&ids, "1");
        remember(&ids, "2");
        assert_eq!(ids.begin("q", "1").unwrap(), Claim::Done);
        remember(&ids, "3");
        assert_eq!(ids.begin("q", "1").unwrap(), Claim::Done);
        assert_eq!(ids.begin("q", "3").unwrap(), Claim::Done);
        assert_eq!(ids.begin("q", "2").unwrap(), Claim::New);
        assert_eq!(ids.len(), 2);
    }

    #[test]
    fn many_ids_take_no_more_than_the_capacity() {
        let ids = MemoryIds::new().capacity(100).unwrap();
        for number in 0..10_000 {
            remember(&ids, &number.to_string());
            ids.begin("q", &number.to_string()).unwrap();
        }
        let state = ids.lock();
        assert_eq!((state.states.len(), state.by_use.len()), (100, 100));
    }

    #[test]
    fn id_past_its_lifetime_is_new() {
        let clock = Clock::manual();
        let lifetime = Duration::from_secs(60);
        let ids = MemoryIds::new().lifetime(lifetime).unwrap().clock(clock.clone());
        remember(&ids, "1");
        clock.advance_to(Duration::from_secs(59));
        assert_eq!(ids.begin("q", "1").unwrap(), Claim::Done, "a use does not prolong it");
        clock.advance_to(lifetime);
        assert_eq!(ids.begin("q", "1").unwrap(), Claim::New);
        assert!(ids.is_empty());
    }

    #[test]
    fn claim_is_kept_beyond_capacity_and_lifetime() {
        let clock = Clock::manual();
        let ids = MemoryIds::new().capacity(1).unwrap();
        let ids = ids.lifetime(Duration::from_secs(1)).unwrap().clock(clock.clone());
        assert_eq!(ids.begin("q", "slow").unwrap(), Claim::New);
        remember(&ids, "1");
        remember(&ids, "2");
        clock.advance_to(Duration::from_secs(3600));
        assert_eq!(ids.begin("q", "slow").unwrap(), Claim::InProgress);
    }

    #[test]
    fn settings_out_of_limits_are_refused() {
        for refused in [
            MemoryIds::new().capacity(0),
            MemoryIds::new().capacity(usize::MAX),
            MemoryIds::new().lifetime(Duration::ZERO),
        ] {
            assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
        }
    }
}
