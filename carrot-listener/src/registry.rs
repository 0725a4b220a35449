//! The open connections of a server.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::sync::{lock, wait, wait_until};

/// The most connections at once whose peers have not authenticated themselves.
const MOST_UNAUTHENTICATED: usize = 256;

/// A connection, as far as the server uses it.
pub trait ServedConnection: Send + Sync {
    /// Asks the peer to close the connection.
    fn request_close(&self);

    /// Closes the socket at once.
    fn cut(&self);
}

/// The open connections of a server.
#[derive(Default)]
pub struct ConnectionRegistry {
    state: Mutex<ConnectionRegistryState>,
    changed: Condvar,
}

#[derive(Default)]
struct ConnectionRegistryState {
    connections: BTreeMap<u64, Arc<dyn ServedConnection>>,
    last_id: u64,
    /// The number of accepted sockets, whose threads may not have started.
    open: usize,
    unauthenticated: usize,
    is_stopping: bool,
}

/// The place of one connection in the registry, until it is dropped.
pub struct Registration {
    registry: Arc<ConnectionRegistry>,
    id: u64,
    is_authenticated: bool,
}

impl ConnectionRegistry {
    /// Registers a socket, unless there are too many, or the server stops.
    pub fn admit(self: &Arc<ConnectionRegistry>, most: usize) -> Option<Registration> {
        let mut state = lock(&self.state);
        if state.is_stopping || state.open >= most || state.unauthenticated >= MOST_UNAUTHENTICATED
        {
            return None;
        }
        state.open += 1;
        state.unauthenticated += 1;
        state.last_id += 1;
        let id = state.last_id;
        Some(Registration { registry: Arc::clone(self), id, is_authenticated: false })
    }

    /// Returns whether the server stops.
    pub fn is_stopping(&self) -> bool {
        lock(&self.state).is_stopping
    }

    /// Returns the number of open connections.
    pub fn count(&self) -> usize {
        lock(&self.state).open
    }

    /// Waits for `pause`, or until the server stops.
    pub fn pause(&self, pause: Duration) {
        let Some(deadline) = Instant::now().checked_add(pause) else { return };
        let mut state = lock(&self.state);
        let mut passed = false;
        while !state.is_stopping && !passed {
            (state, passed) = wait_until(&self.changed, state, deadline);
        }
    }

    /// Waits until fewer than `most` connections are open, or until the server stops.
    pub fn wait_for_room(&self, most: usize) {
        let mut state = lock(&self.state);
        while state.open >= most && !state.is_stopping {
            state = wait(&self.changed, state);
        }
    }

    /// Admits no more connections, and calls `each` with the open ones.
    pub fn stop(&self, each: impl Fn(&dyn ServedConnection)) {
        let mut state = lock(&self.state);
        state.is_stopping = true;
        let connections: Vec<_> = state.connections.values().cloned().collect();
        drop(state);
        self.changed.notify_all();
        connections.iter().for_each(|connection| each(&**connection));
    }

    /// Waits until no connection is open, at most for `timeout`. Returns `false` if that passed
    /// first. [`Duration::MAX`] stands for no limit.
    pub fn wait_until_empty(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = lock(&self.state);
        let mut passed = false;
        while state.open > 0 && !passed {
            match deadline {
                Some(deadline) => {
                    (state, passed) = wait_until(&self.changed, state, deadline);
                }
                None => state = wait(&self.changed, state),
            }
        }
        state.open == 0
    }
}

impl Registration {
    /// Adds the connection that the registration is for. Returns `false` if the server stops.
    pub fn add(&self, connection: Arc<dyn ServedConnection>) -> bool {
        let mut state = lock(&self.registry.state);
        state.connections.insert(self.id, connection);
        !state.is_stopping
    }

    /// Notes that the peer has authenticated itself.
    pub fn note_authenticated(&mut self) {
        if !std::mem::replace(&mut self.is_authenticated, true) {
            lock(&self.registry.state).unauthenticated -= 1;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = lock(&self.registry.state);
        state.open -= 1;
        state.unauthenticated -= usize::from(!self.is_authenticated);
        let connection = state.connections.remove(&self.id);
        drop(state);
        drop(connection);
        self.registry.changed.notify_all();
    }
}

impl fmt::Debug for ConnectionRegistry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.count();
        formatter.debug_struct("ConnectionRegistry").field("open", &open).finish_non_exhaustive()
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registration").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    #[test]
    fn connections_are_limited_until_one_ends() {
        let registry = Arc::new(ConnectionRegistry::default());
        let mut first = registry.admit(2).unwrap();
        let second = registry.admit(2).unwrap();
        assert!(registry.admit(2).is_none());
        first.note_authenticated();
        first.note_authenticated();
        assert!(registry.admit(2).is_none());
        drop(second);
        assert!(registry.admit(2).is_some());
        assert_eq!(registry.count(), 1);
    }

    #[test]
    fn unauthenticated_connections_have_a_limit_of_their_own() {
        let registry = Arc::new(ConnectionRegistry::default());
        let mut held: Vec<Registration> =
            (0..MOST_UNAUTHENTICATED).map(|_| registry.admit(usize::MAX).unwrap()).collect();
        assert!(registry.admit(usize::MAX).is_none());
        held[0].note_authenticated();
        assert!(registry.admit(usize::MAX).is_some());
    }

    #[test]
    fn wait_for_room_ends_with_a_connection_or_with_the_server() {
        let registry = Arc::new(ConnectionRegistry::default());
        let held = registry.admit(1).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| registry.wait_for_room(1));
            drop(held);
            waiting.join().unwrap();
            let _held = registry.admit(1).unwrap();
            let waiting = scope.spawn(|| registry.wait_for_room(1));
            registry.stop(|_| ());
            waiting.join().unwrap();
        });
    }

    #[test]
    fn stopping_registry_admits_nothing_and_ends_pauses() {
        let registry = Arc::new(ConnectionRegistry::default());
        let held = registry.admit(1).unwrap();
        registry.stop(|_| ());
        assert!(registry.admit(9).is_none());
        registry.pause(Duration::from_secs(3600));
        assert!(!registry.wait_until_empty(Duration::ZERO));
        drop(held);
        assert!(registry.wait_until_empty(Duration::ZERO));
    }

    #[test]
    fn wait_without_a_limit_ends_with_the_last_connection() {
        let registry = Arc::new(ConnectionRegistry::default());
        let held = registry.admit(1).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| registry.wait_until_empty(Duration::MAX));
            assert!(!registry.wait_until_empty(Duration::from_millis(50)));
            assert!(!waiting.is_finished());
            drop(held);
            assert!(waiting.join().unwrap());
        });
    }
}
