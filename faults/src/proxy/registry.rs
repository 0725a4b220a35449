use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::{Closing, ProxiedConnection, ProxyStatistics};
use super::rules::SharedRules;

/// The connections of a proxy.
#[derive(Debug, Default)]
pub(super) struct Connections {
    state: Mutex<ConnectionsState>,
    removed: Condvar,
}

#[derive(Debug, Default)]
struct ConnectionsState {
    open: Vec<Arc<ProxiedConnection>>,
    ended: Vec<ProxyStatistics>,
    /// The number of times that all connections were ended.
    generation: u64,
}

impl Connections {
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Connects to the server, and forwards bytes until the connection ends.
    ///
    /// Drops the connection if all connections were ended after `generation` was read.
    pub(super) fn serve(
        &self,
        client: TcpStream,
        server: &(String, u16),
        rules: &Arc<SharedRules>,
        generation: u64,
    ) {
        let Some(connection) = ProxiedConnection::open(client, server, rules) else { return };
        let connection = Arc::new(connection);
        if self.add(&connection, generation) {
            connection.forward();
            self.remove(&connection);
        }
    }

    fn add(&self, connection: &Arc<ProxiedConnection>, generation: u64) -> bool {
        let mut state = self.lock();
        if state.generation != generation {
            return false;
        }
        state.open.push(Arc::clone(connection));
        true
    }

    fn remove(&self, connection: &Arc<ProxiedConnection>) {
        let mut state = self.lock();
        state.open.retain(|other| !Arc::ptr_eq(other, connection));
        state.ended.push(ProxyStatistics { open: false, ..connection.statistics() });
        drop(state);
        self.removed.notify_all();
    }

    pub(super) fn open(&self) -> Vec<Arc<ProxiedConnection>> {
        self.lock().open.clone()
    }

    /// Ends all connections, also those that were accepted and are not yet in this registry.
    pub(super) fn end_all(&self, closing: Closing) {
        self.lock().generation += 1;
        self.open().iter().for_each(|connection| connection.end(closing));
    }

    /// Blocks until no connection is open, for at most `timeout`. Returns whether none is open.
    pub(super) fn wait_until_none(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while !state.open.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state =
                self.removed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    pub(super) fn statistics(&self) -> Vec<ProxyStatistics> {
        let state = self.lock();
        state
            .ended
            .iter()
            .copied()
            .chain(state.open.iter().map(|connection| connection.statistics()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
