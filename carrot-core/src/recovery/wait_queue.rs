//! A wait queue in FIFO order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A queue of threads that wait for a resource which one thread at a time may use. Threads are
/// served in FIFO order.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    state: Mutex<WaitQueueState>,
    /// The number of waiting threads, readable without the lock.
    length: AtomicUsize,
}

#[derive(Debug, Default)]
struct WaitQueueState {
    last: u64,
    /// The tickets in FIFO order, each with the condition that wakes its thread once it is first.
    waiting: VecDeque<(u64, Arc<Condvar>)>,
}

impl WaitQueueState {
    fn is_first(&self, number: u64) -> bool {
        self.waiting.front().is_some_and(|(first, _)| *first == number)
    }
}

/// A place in the queue. Dropping the ticket leaves the queue and wakes the next thread.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    queue: &'a FairQueue,
    number: u64,
}

impl FairQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.length.load(Ordering::SeqCst) == 0
    }

    /// Joins the queue and waits until the ticket is first. Returns `None` at `deadline`.
    pub(crate) fn ticket(&self, deadline: Instant) -> Option<Ticket<'_>> {
        let (ticket, moved_up) = self.join();
        let mut state = self.lock();
        while !state.is_first(ticket.number) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = moved_up.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        Some(ticket)
    }

    fn join(&self) -> (Ticket<'_>, Arc<Condvar>) {
        let moved_up = Arc::<Condvar>::default();
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.waiting.push_back((number, Arc::clone(&moved_up)));
        self.length.store(state.waiting.len(), Ordering::SeqCst);
        (Ticket { queue: self, number }, moved_up)
    }

    fn lock(&self) -> MutexGuard<'_, WaitQueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        let was_first = state.is_first(self.number);
        state.waiting.retain(|(number, _)| *number != self.number);
        self.queue.length.store(state.waiting.len(), Ordering::SeqCst);
        let next =
            state.waiting.front().filter(|_| was_first).map(|(_, moved_up)| Arc::clone(moved_up));
        drop(state);
        if let Some(moved_up) = next {
            moved_up.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// Returns a deadline beyond all waits of the tests.
    fn late() -> Instant {
        Instant::now() + 10 * SOON
    }

    /// Waits until the queue holds `length` tickets.
    fn await_length(queue: &FairQueue, length: usize) {
        let deadline = Instant::now() + SOON;
        while queue.length.load(Ordering::SeqCst) != length {
            assert!(Instant::now() < deadline, "the queue never reached a length of {length}");
            thread::yield_now();
        }
    }

    #[test]
    fn tickets_are_served_in_fifo_order() {
        let queue = FairQueue::default();
        assert!(queue.is_empty());
        let ticket = queue.ticket(late()).unwrap();
        let (sender, order) = mpsc::channel();
        thread::scope(|scope| {
            for number in 0..8 {
                let (sender, queue) = (sender.clone(), &queue);
                scope.spawn(move || {
                    let _ticket = queue.ticket(late()).unwrap();
                    sender.send(number).unwrap();
                });
                await_length(queue, number + 2);
            }
            assert!(order.try_recv().is_err(), "the ticket is taken");
            drop(ticket);
            let order: Vec<usize> = (0..8).map(|_| order.recv_timeout(SOON).unwrap()).collect();
            assert_eq!(order, (0..8).collect::<Vec<_>>());
        });
        assert!(queue.is_empty());
    }

    #[test]
    fn an_expired_ticket_leaves_the_queue() {
        let queue = FairQueue::default();
        let ticket = queue.ticket(late()).unwrap();
        assert!(queue.ticket(Instant::now()).is_none());
        assert_eq!(queue.length.load(Ordering::SeqCst), 1);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.ticket(late()).is_some());
            await_length(&queue, 2);
            assert!(queue.ticket(Instant::now() + Duration::from_millis(1)).is_none());
            drop(ticket);
            assert!(waiting.join().unwrap());
        });
        assert!(queue.is_empty());
    }
}
