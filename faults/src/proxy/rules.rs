use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Statistics;
use super::link::{Ending, Link};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    ToServer = 0,
    /// From the server to the client.
    ToClient = 1,
}

impl Direction {
    /// Both.
    pub const ALL: [Direction; 2] = [Direction::ToServer, Direction::ToClient];
}

/// What becomes of the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Flow {
    /// They are handed on.
    #[default]
    Pass,
    /// They are taken, and go nowhere.
    Swallow,
    /// They are not taken: the sender's buffers fill up.
    Stall,
}

#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) flow: [Flow; 2],
    pub(super) delay: Duration,
    pub(super) rate: Option<u64>,
    pub(super) cut: Option<(Direction, u64)>,
    /// How many cuts are being made.
    pub(super) cutting: usize,
    /// How often all connections were ended.
    pub(super) generation: u64,
    pub(super) refusing: bool,
    pub(super) closing: bool,
}

#[derive(Debug, Default)]
struct State {
    rules: Rules,
    links: Vec<Arc<Link>>,
    ended: Vec<Statistics>,
}

/// What a proxy and its connections share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Rules) -> T) -> T {
        let result = change(&mut self.lock().rules);
        self.changed.notify_all();
        result
    }

    /// As `change`, for what nobody waits for.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Rules) -> T) -> T {
        look(&mut self.lock().rules)
    }

    pub(super) fn wait(&self, timeout: Duration, condition: impl Fn(&Rules) -> bool) -> bool {
        self.wait_for(timeout, |state| condition(&state.rules))
    }

    pub(super) fn wait_for_links(&self, timeout: Duration) -> bool {
        self.wait_for(timeout, |state| state.links.is_empty())
    }

    fn wait_for(&self, timeout: Duration, condition: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while !condition(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    pub(super) fn wait_while_refusing(&self) {
        let mut state = self.lock();
        while state.rules.refusing && !state.rules.closing {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until `condition` holds or the connection ended; `false` if it ended.
    pub(super) fn wait_on_link(
        &self,
        link: &Link,
        condition: impl Fn(&Rules) -> Result<(), Option<Instant>>,
    ) -> bool {
        let mut state = self.lock();
        loop {
            if link.has_ended() {
                return false;
            }
            match condition(&state.rules) {
                Ok(()) => return true,
                Err(None) => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
                Err(Some(until)) => {
                    let left = until.saturating_duration_since(Instant::now());
                    state = self
                        .changed
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
    }

    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        self.lock().links.clone()
    }

    /// Takes note of a connection; not if all were ended since it was accepted.
    pub(super) fn add(&self, link: &Arc<Link>, generation: u64) -> bool {
        let mut state = self.lock();
        if state.rules.closing || state.rules.generation != generation {
            return false;
        }
        state.links.push(Arc::clone(link));
        true
    }

    pub(super) fn remove(&self, link: &Arc<Link>) {
        let mut state = self.lock();
        state.links.retain(|other| !Arc::ptr_eq(other, link));
        state.ended.push(Statistics { open: false, ..link.statistics() });
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn end(&self, link: &Link, ending: Ending) {
        // Under the lock, so that who is about to wait sees it.
        let state = self.lock();
        link.end(ending);
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn end_links(&self, ending: Ending) {
        self.look(|rules| rules.generation += 1);
        self.links().iter().for_each(|link| self.end(link, ending));
    }

    pub(super) fn statistics(&self) -> Vec<Statistics> {
        let state = self.lock();
        state
            .ended
            .iter()
            .copied()
            .chain(state.links.iter().map(|link| link.statistics()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
