//! Locks that survive a panic of their holder.
//!
//! # Lock order
//!
//! From the outermost to the innermost lock. A thread that holds one takes only later ones:
//!
//! 1. a connector's current connection
//! 2. a limit on memory, which its holder enforces; then the alarms, which their holder changes
//! 3. a channel's confirms, which keeps the order of the channel's publications
//! 4. the sending of dead letters, which keeps their order
//! 5. the topology; for writing, no later lock is taken
//! 6. one queue's state
//! 7. one channel's state: tags, unsettled deliveries, inboxes
//! 8. a connection's publish gate: the publications that are held back
//! 9. the innermost locks, under which no other lock is taken: the timers, the outbox, the
//!    recordings, the limits on memory and their states, the direct replies, the fault plan, the
//!    connections, a connection's channels, a connector's observers
//!
//! No thread locks two queues, or two channels, at once. A queue puts dead letters for another
//! queue into the outbox, and they are sent on after its lock is released.

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

/// A real time until which a call may wait. A duration beyond the range of the clock never ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// A deadline that never passes.
    pub(crate) const NEVER: Deadline = Deadline(None);

    pub(crate) fn after(timeout: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(timeout))
    }

    /// Waits on `condvar` until a notification or the deadline. Returns whether the deadline had
    /// passed before.
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
