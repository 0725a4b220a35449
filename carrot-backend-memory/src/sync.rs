//! Locks that outlive a panic of whoever held them.
//!
//! # Lock order
//!
//! From the outside in; a thread that holds one takes only those further down:
//!
//! 1. a connector's current connection
//! 2. the alarm: whoever holds it may block and unblock publishers
//! 3. a channel's publishing lock: keeps the order of one channel's publications
//! 4. the right to send dead letters on: keeps their order
//! 5. one queue's state
//! 6. one channel's state: tags, unacked deliveries, inboxes
//! 7. a connection's throttle: what a blocked broker has not read
//! 8. leaves, under which no other lock is taken: a queue's arrivals, the timers, the outbox, recordings, the fault plan, the connections, a
//!    connection's channels, a connector's observers
//!
//! The topology lock stands apart: nothing else is locked while it is held, and it is not taken while a queue's or channel's state is.
//! No two queues, and no two channels, are ever locked at once; what one queue sends to another (dead letters) is put into the outbox
//! under the first one's lock and sent after it is released.

use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::{Duration, Instant};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// A point in real time until which a call may wait; a duration beyond what the clock can tell never comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(timeout: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(timeout))
    }

    /// Waits on `condvar` until it is notified or the deadline comes; whether the deadline had already come.
    pub(crate) fn wait<'a, T>(
        self,
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
    ) -> (MutexGuard<'a, T>, bool) {
        let Some(deadline) = self.0 else {
            return (condvar.wait(guard).unwrap_or_else(PoisonError::into_inner), false);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (guard, true);
        }
        (condvar.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0, false)
    }
}
