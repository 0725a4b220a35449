//! Locks that survive a panic of their holder, and waits that end at a deadline.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for one notification. Returns `None` if `deadline` has passed.
pub(crate) fn wait_until<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    deadline: Instant,
) -> Option<MutexGuard<'a, T>> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return None;
    }
    Some(changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0)
}

/// Waits while `is_busy` holds. Returns `None` if `deadline` passes first.
pub(crate) fn wait_while<'a, T>(
    changed: &Condvar,
    mut guard: MutexGuard<'a, T>,
    deadline: Instant,
    mut is_busy: impl FnMut(&T) -> bool,
) -> Option<MutexGuard<'a, T>> {
    while is_busy(&guard) {
        guard = wait_until(changed, guard, deadline)?;
    }
    Some(guard)
}
