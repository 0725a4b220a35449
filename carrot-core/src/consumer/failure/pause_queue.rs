//! Pauses that end by themselves at a time of the clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::backend::Clock;

/// Something that pauses.
pub(crate) trait Pausing: Debug + Send + 'static {
    /// Ends the pause at its time. Called with no lock held.
    fn end(self);

    /// Ends the pause before its time, because no pause is allowed any more. Called with no lock
    /// held.
    fn release(self);
}

/// Items that pause. A thread ends each pause, and runs only while there are items.
#[derive(Debug)]
pub(crate) struct PauseQueue<T> {
    clock: Clock,
    state: Mutex<PauseQueueState<T>>,
    /// The number of items. Kept apart, because items are dropped with no lock held.
    count: Arc<AtomicUsize>,
    /// Whether nothing pauses any more.
    released: AtomicBool,
    /// Counts the arrivals of items that are due before all others.
    earlier: AtomicUsize,
}

#[derive(Debug)]
struct PauseQueueState<T> {
    heap: BinaryHeap<Reverse<Pause<T>>>,
    sequence: u64,
    running: bool,
}

#[derive(Debug)]
struct Pause<T> {
    due: Duration,
    sequence: u64,
    item: T,
}

impl<T> PartialEq for Pause<T> {
    fn eq(&self, other: &Pause<T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Pause<T> {}

impl<T> PartialOrd for Pause<T> {
    fn partial_cmp(&self, other: &Pause<T>) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Pause<T> {
    fn cmp(&self, other: &Pause<T>) -> std::cmp::Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}

impl<T: Pausing> PauseQueue<T> {
    /// Creates pauses on `clock`. `count` shows the number of items.
    pub(crate) fn new(clock: Clock, count: Arc<AtomicUsize>) -> PauseQueue<T> {
        let state = PauseQueueState { heap: BinaryHeap::new(), sequence: 0, running: false };
        PauseQueue {
            clock,
            state: Mutex::new(state),
            count,
            released: AtomicBool::new(false),
            earlier: AtomicUsize::new(0),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    /// Keeps an item for `pause`, and then ends its pause. Releases the item at once after
    /// [`release`](PauseQueue::release).
    pub(crate) fn keep(self: &Arc<PauseQueue<T>>, item: T, pause: Duration) {
        let mut state = self.lock();
        if self.is_released() {
            drop(state);
            return item.release();
        }
        let due = self.clock.now() + pause;
        state.sequence += 1;
        let sequence = state.sequence;
        let is_first = state.heap.peek().is_none_or(|Reverse(next)| due < next.due);
        state.heap.push(Reverse(Pause { due, sequence, item }));
        self.count.fetch_add(1, Ordering::AcqRel);
        let start = !std::mem::replace(&mut state.running, true);
        drop(state);
        if start {
            let running = PauseThread { pauses: Arc::clone(self), finished: false };
            if let Err(error) =
                thread::Builder::new().name("carrot-pause".into()).spawn(move || running.work())
            {
                log::error!("starting the thread for pauses failed, they end at once: {error}");
            }
        } else if is_first {
            self.earlier.fetch_add(1, Ordering::AcqRel);
            self.clock.wake();
        }
    }

    /// Ends the pauses of the items that `unwanted` is true for.
    pub(crate) fn end_if(&self, unwanted: impl Fn(&T) -> bool) {
        let mut state = self.lock();
        let pauses = std::mem::take(&mut state.heap).into_vec();
        let (ended, kept): (Vec<_>, Vec<_>) =
            pauses.into_iter().partition(|Reverse(pause)| unwanted(&pause.item));
        state.heap = kept.into();
        self.count.fetch_sub(ended.len(), Ordering::AcqRel);
        drop(state);
        ended.into_iter().for_each(|Reverse(pause)| pause.item.end());
    }

    /// Releases all items now, and later ones at once.
    pub(crate) fn release(&self) {
        self.released.store(true, Ordering::Release);
        self.release_all();
        self.clock.wake();
    }

    fn release_all(&self) {
        let items = std::mem::take(&mut self.lock().heap);
        self.count.fetch_sub(items.len(), Ordering::AcqRel);
        items.into_sorted_vec().into_iter().rev().for_each(|Reverse(pause)| pause.item.release());
    }

    fn run(&self) {
        loop {
            let mut state = self.lock();
            // The next item starts another thread.
            let Some(Reverse(next)) = state.heap.peek() else {
                state.running = false;
                return;
            };
            let due = next.due;
            let earlier = self.earlier.load(Ordering::Acquire);
            let is_due = due <= self.clock.now();
            let ended = if is_due { state.heap.pop() } else { None };
            drop(state);
            match ended {
                Some(Reverse(pause)) => {
                    self.count.fetch_sub(1, Ordering::AcqRel);
                    pause.item.end();
                }
                None => {
                    self.clock.sleep_until(due, &|| {
                        self.is_released() || self.earlier.load(Ordering::Acquire) != earlier
                    });
                    if self.is_released() {
                        self.release_all();
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, PauseQueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the running thread. Releases all items if the thread cannot be started, or panics.
struct PauseThread<T: Pausing> {
    pauses: Arc<PauseQueue<T>>,
    /// Whether the thread ended because no item was left.
    finished: bool,
}

impl<T: Pausing> PauseThread<T> {
    fn work(mut self) {
        self.pauses.run();
        self.finished = true;
    }
}

impl<T: Pausing> Drop for PauseThread<T> {
    fn drop(&mut self) {
        if !self.finished {
            self.pauses.lock().running = false;
            self.pauses.release_all();
        }
    }
}
