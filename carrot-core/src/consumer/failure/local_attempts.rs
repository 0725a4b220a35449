//! The attempts at messages that no header carries, because no copy of them could be sent.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of how many messages the attempts are kept. The oldest are forgotten first.
const MOST: usize = 1000;

/// Attempts by message id, for as long as the process lives and the message is not settled.
#[derive(Debug, Default)]
pub(crate) struct LocalAttempts {
    state: Mutex<LocalAttemptsState>,
    /// For those that ask without the lock.
    holds_some: AtomicBool,
}

#[derive(Debug, Default)]
struct LocalAttemptsState {
    attempts: HashMap<String, u32>,
    /// In the order of their first failure. May hold ids that are forgotten.
    order: VecDeque<String>,
}

impl LocalAttempts {
    /// Which attempt the next delivery of a message is, if it was counted here.
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

    /// Whether any message was counted that is not settled yet.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.holds_some.load(Ordering::Relaxed)
    }

    /// The message is settled.
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
    fn attempts_are_kept_until_the_message_is_settled() {
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
    fn the_oldest_are_forgotten_first() {
        let counted = LocalAttempts::default();
        (0..MOST + 10).for_each(|number| counted.set(Some(&number.to_string()), 2));
        assert_eq!((counted.get(Some("9")), counted.get(Some("10"))), (None, Some(2)));
        assert_eq!(counted.lock().attempts.len(), MOST);
    }
}
