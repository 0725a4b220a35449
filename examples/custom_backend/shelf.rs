//! The lock of the broker.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::state::State;

/// A broker. One lock protects all state, which is simple and slow.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    state: Mutex<State>,
    changed: Condvar,
}

/// The state during a change. The end of the change delivers ready messages and wakes all waiting
/// threads, also if the call fails.
pub(crate) struct Change<'a> {
    state: MutexGuard<'a, State>,
    changed: &'a Condvar,
}

impl Shelf {
    pub(crate) fn change(&self) -> Change<'_> {
        Change { state: self.lock(), changed: &self.changed }
    }

    /// Returns the state for a call that frees no room and adds no message.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics with this lock held")
    }

    /// Waits for a change.
    pub(crate) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        timeout: Duration,
    ) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, timeout);
        waited.expect("no code panics with this lock held").0
    }
}

impl Deref for Change<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.state.dispatch();
        self.changed.notify_all();
    }
}
