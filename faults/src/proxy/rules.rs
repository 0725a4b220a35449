use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    ToServer = 0,
    /// From the server to the client.
    ToClient = 1,
}

impl Direction {
    /// Both directions.
    pub const ALL: [Direction; 2] = [Direction::ToServer, Direction::ToClient];
}

/// The treatment of the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Forwarding {
    /// Forwards the bytes.
    #[default]
    Pass,
    /// Reads the bytes and discards them.
    Discard,
    /// Does not read the bytes, so the socket buffers of the sender fill up.
    Stall,
}

#[derive(Debug, Default)]
pub(super) struct ProxyRules {
    pub(super) forwarding: [Forwarding; 2],
    pub(super) delay: Duration,
    /// Bytes per second.
    pub(super) rate: Option<u64>,
    pub(super) cut: Option<(Direction, u64)>,
    /// The number of cuts that have started and not ended.
    pub(super) cutting: usize,
    pub(super) refusing: bool,
    pub(super) closing: bool,
}

/// The rules of a proxy, shared with its connections.
#[derive(Debug, Default)]
pub(super) struct SharedRules {
    rules: Mutex<ProxyRules>,
    changed: Condvar,
}

impl SharedRules {
    /// Changes the rules, and wakes all threads that wait for a change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut ProxyRules) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Reads or updates the rules without waking any thread.
    pub(super) fn with<T>(&self, action: impl FnOnce(&mut ProxyRules) -> T) -> T {
        action(&mut self.lock())
    }

    pub(super) fn wait(&self, timeout: Duration, condition: impl Fn(&ProxyRules) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut rules = self.lock();
        while !condition(&rules) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            rules =
                self.changed.wait_timeout(rules, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    pub(super) fn wait_while_refusing(&self) {
        let mut rules = self.lock();
        while rules.refusing && !rules.closing {
            rules = self.changed.wait(rules).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Blocks until `condition` returns `Ok` or `ended` is set. Returns `false` if `ended` is set.
    ///
    /// An `Err` of `condition` contains the time of the next check, or `None` to wait for a change.
    pub(super) fn wait_unless_ended(
        &self,
        ended: &AtomicBool,
        condition: impl Fn(&ProxyRules) -> Result<(), Option<Instant>>,
    ) -> bool {
        let mut rules = self.lock();
        loop {
            if ended.load(Ordering::Acquire) {
                return false;
            }
            match condition(&rules) {
                Ok(()) => return true,
                Err(None) => {
                    rules = self.changed.wait(rules).unwrap_or_else(PoisonError::into_inner)
                }
                Err(Some(until)) => {
                    let left = until.saturating_duration_since(Instant::now());
                    rules = self
                        .changed
                        .wait_timeout(rules, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, ProxyRules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
