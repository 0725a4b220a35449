//! Counts the attempts at messages of which no copy could be sent.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The maximum number of messages with counted attempts. The oldest are forgotten first.
const MOST: usize = 1000;

/// Attempts by message id, while the process lives and the message is unsettled.
#[derive(Debug, Default)]
pub(crate) struct LocalAttempts {
    state: Mutex<LocalAttemptsState>,
    /// Readable without the lock.
    holds_some: AtomicBool,
}

#[derive(Debug, Default)]
struct LocalAttemptsState {
    attempts: HashMap<String, u32>,
    /// Ids by the time of their first failure. May hold forgotten ids.
    order: VecDeque<String>,
}

impl LocalAttempts {
    /// Returns the attempt number of the next delivery of a message, if counted here.
    pub(crate) fn get(&self, id: Option<&str>) -> Option<u32> {
        if self.is_empty() { None } else { self.lock().attempts.get(id?).copied() }
    }

    pub(super) fn set(&self, id: Option<&str>, attempt: u32) {
        let Some(id) = id else { return };
        let mut state = self.lock();
        if state.attempts.insert(id.to_string(), attempt).is_none() {
            state.order.push_back(id.to_string());
        }
        while state.order.len() > MOST {
            if let Some(oldest) = state.order.pop_front() {
                state.attempts.remove(&oldest);
            }
        }
        self.holds_some.store(true, Ordering::Relaxed);
    }

    /// Returns whether no unsettled message is counted.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.holds_some.load(Ordering::Relaxed)
    }

    /// Forgets a settled message.
    #[cold]
    pub(crate) fn forget(&self, id: Option<&str>) {
        let Some(id) = id else { return };
        let mut state = self.lock();
        if state.attempts.remove(id).is_some() {
            state.order.retain(|other| other != id);
        }
        self.holds_some.store(!state.attempts.is_empty(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, LocalAttemptsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_kept_until_its_message_is_settled() {
        let counted = LocalAttempts::default();
        counted.set(Some("a"), 2);
        counted.set(Some("a"), 3);
        counted.set(None, 9);
        assert_eq!(
            (counted.get(Some("a")), counted.get(Some("b")), counted.get(None)),
            (Some(3), None, None)
        );
        counted.forget(Some("a"));
        assert_eq!(counted.get(Some("a")), None);
        assert!(!counted.holds_some.load(Ordering::Relaxed) && counted.lock().order.is_empty());
    }

    #[test]
    fn a_full_list_forgets_the_oldest_message() {
        let counted = LocalAttempts::default();
        (0..MOST + 10).for_each(|number| counted.set(Some(&number.to_string()), 2));
        assert_eq!((counted.get(Some("9")), counted.get(Some("10"))), (None, Some(2)));
        assert_eq!(counted.lock().attempts.len(), MOST);
    }
}
