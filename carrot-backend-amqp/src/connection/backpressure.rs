//! Bounds the octets of messages that wait for the socket.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::sync::{lock, wait_while};
use crate::time::deadline_after;

/// The number of waiting octets at which no further message enters. It is enough to keep the socket
/// busy, and little enough to hold in memory.
const LIMIT: u64 = 512 << 10;

/// Delays publishers while the broker reads more slowly than they send.
#[derive(Debug, Default)]
pub(crate) struct SendBufferLimit {
    handed: AtomicU64,
    left: AtomicU64,
    waiting: AtomicUsize,
    closed: Mutex<bool>,
    moved: Condvar,
}

impl SendBufferLimit {
    /// Waits until `bytes` more fit, and counts them. Returns false if `timeout` passes first.
    /// After [`close`](SendBufferLimit::close), all fit.
    pub(crate) fn enter(&self, bytes: usize, timeout: Duration) -> bool {
        if self.try_enter(bytes as u64) {
            return true;
        }
        let closed = lock(&self.closed);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let is_full = |closed: &bool| !*closed && !self.try_enter(bytes as u64);
        let entered = wait_while(&self.moved, closed, deadline_after(timeout), is_full).is_some();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        entered
    }

    fn try_enter(&self, bytes: u64) -> bool {
        let mut handed = self.handed.load(Ordering::SeqCst);
        loop {
            // Acknowledgements and calls leave too, and are not counted on entry, so the octets
            // that have left may exceed those that entered.
            let start = handed.max(self.left.load(Ordering::SeqCst));
            let backlog = start - self.left.load(Ordering::SeqCst).min(start);
            // The size does not matter: a large message would otherwise never find a gap between
            // small ones.
            if backlog >= LIMIT {
                return false;
            }
            match self.handed.compare_exchange_weak(
                handed,
                start + bytes,
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => return true,
                Err(current) => handed = current,
            }
        }
    }

    /// Counts octets that have left.
    pub(crate) fn left(&self, bytes: usize) {
        self.left.fetch_add(bytes as u64, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.closed));
            self.moved.notify_all();
        }
    }

    /// Admits every message from now on. Sending it fails by itself.
    pub(crate) fn close(&self) {
        *lock(&self.closed) = true;
        self.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const A_MOMENT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn the_limit_holds_until_bytes_leave() {
        let send_buffer = SendBufferLimit::default();
        assert!(send_buffer.enter(LIMIT as usize, A_MOMENT));
        assert!(!send_buffer.enter(1, A_MOMENT));
        send_buffer.left(1);
        assert!(send_buffer.enter(1, A_MOMENT));
        assert!(!send_buffer.enter(1, A_MOMENT));
    }

    #[test]
    fn a_message_is_let_in_where_a_smaller_one_would_be() {
        let send_buffer = SendBufferLimit::default();
        assert!(send_buffer.enter(LIMIT as usize - 1, A_MOMENT));
        assert!(send_buffer.enter(LIMIT as usize * 2, A_MOMENT));
        assert!(!send_buffer.enter(1, A_MOMENT));
        send_buffer.left(LIMIT as usize * 2);
        assert!(send_buffer.enter(LIMIT as usize * 2, A_MOMENT));
    }

    #[test]
    fn uncounted_traffic_gives_no_credit() {
        let send_buffer = SendBufferLimit::default();
        send_buffer.left(LIMIT as usize * 5);
        assert!(send_buffer.enter(LIMIT as usize, A_MOMENT));
        assert!(!send_buffer.enter(1, A_MOMENT));
    }

    #[test]
    fn a_waiter_wakes_when_bytes_leave_and_when_closed() {
        let send_buffer = SendBufferLimit::default();
        assert!(send_buffer.enter(LIMIT as usize, A_MOMENT));
        let started = Instant::now();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| send_buffer.enter(10, LONG));
            send_buffer.left(10);
            assert!(first.join().is_ok_and(|entered| entered));
            let second = scope.spawn(|| send_buffer.enter(10, LONG));
            send_buffer.close();
            assert!(second.join().is_ok_and(|entered| entered));
        });
        assert!(started.elapsed() < LONG);
    }
}
