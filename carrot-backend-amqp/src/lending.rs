//! Something that one thread at a time may have, for as long as a network call takes.

use std::fmt;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A slot for something. Nobody holds a lock while it is lent; whoever wants it waits, up to a deadline.
pub(crate) struct Lending<T> {
    slot: Mutex<Slot<T>>,
    returned: Condvar,
}

enum Slot<T> {
    Here(T),
    Lent,
    Gone,
}

/// Why it could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Somebody else had it until the deadline.
    Late,
    /// Somebody took it for good.
    Gone,
}

impl<T> Lending<T> {
    pub(crate) fn new(thing: T) -> Lending<T> {
        Lending { slot: Mutex::new(Slot::Here(thing)), returned: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self, deadline: Instant) -> Result<T, Absent> {
        self.take_and_leave(Slot::Lent, deadline)
    }

    pub(crate) fn take_for_good(&self, deadline: Instant) -> Result<T, Absent> {
        self.take_and_leave(Slot::Gone, deadline)
    }

    fn take_and_leave(&self, left: Slot<T>, deadline: Instant) -> Result<T, Absent> {
        let mut slot = self.lock();
        loop {
            match mem::replace(&mut *slot, Slot::Gone) {
                Slot::Here(thing) => {
                    *slot = left;
                    drop(slot);
                    self.returned.notify_all();
                    return Ok(thing);
                }
                Slot::Gone => return Err(Absent::Gone),
                Slot::Lent => *slot = Slot::Lent,
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(Absent::Late);
            }
            slot = self
                .returned
                .wait_timeout(slot, deadline - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub(crate) fn put_back(&self, thing: T) {
        *self.lock() = Slot::Here(thing);
        self.returned.notify_all();
    }
}

impl<T> fmt::Debug for Lending<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match *self.lock() {
            Slot::Here(_) => "Here",
            Slot::Lent => "Lent",
            Slot::Gone => "Gone",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_at_a_time_and_no_longer_than_the_deadline() {
        let lending = Lending::new(7);
        assert_eq!(lending.take(Instant::now()), Ok(7));
        assert_eq!(lending.take(Instant::now() + Duration::from_millis(5)), Err(Absent::Late));
        lending.put_back(8);
        assert_eq!(lending.take_for_good(Instant::now()), Ok(8));
        assert_eq!(lending.take(Instant::now() + Duration::from_secs(60)), Err(Absent::Gone));
    }

    #[test]
    fn a_waiter_gets_what_is_put_back() {
        let lending = Lending::new(());
        let late = Instant::now() + Duration::from_secs(10);
        assert!(lending.take(late).is_ok());
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| lending.take(late));
            lending.put_back(());
            assert!(waiter.join().is_ok_and(|taken| taken.is_ok()));
        });
    }
}
