//! Failed messages that pause in the process, unacknowledged, and then go back to their queue.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::Message;
use crate::backend::Clock;
use crate::message::Disposition;

/// The messages of one consumer that pause. A thread gives each back when its pause is over; it runs only while there are any.
#[derive(Debug)]
pub(super) struct Paused {
    clock: Clock,
    state: Mutex<State>,
    /// How many there are; kept apart, since messages are dropped with no lock held.
    count: AtomicUsize,
    /// Whether the consumer has stopped, so that nothing pauses any more.
    released: AtomicBool,
    /// Counts the arrivals of messages that are due before all others.
    earlier: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    running: bool,
}

#[derive(Debug)]
struct Entry {
    due: Duration,
    sequence: u64,
    message: Message,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}

impl Paused {
    pub(super) fn new(clock: Clock) -> Paused {
        Paused {
            clock,
            state: Mutex::default(),
            count: AtomicUsize::new(0),
            released: AtomicBool::new(false),
            earlier: AtomicUsize::new(0),
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(super) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    /// Keeps a message for `pause`, and then gives it back; gives it back at once after [`release`](Paused::release).
    pub(super) fn keep(self: &Arc<Paused>, message: Message, pause: Duration) {
        let mut state = self.lock();
        if self.is_released() {
            drop(state);
            return give_back(message);
        }
        let due = self.clock.now() + pause;
        state.sequence += 1;
        let sequence = state.sequence;
        let is_first = state.heap.peek().is_none_or(|Reverse(next)| due < next.due);
        state.heap.push(Reverse(Entry { due, sequence, message }));
        self.count.fetch_add(1, Ordering::AcqRel);
        let start = !std::mem::replace(&mut state.running, true);
        drop(state);
        if start {
            let paused = Arc::clone(self);
            if let Err(error) = thread::Builder::new().name("carrot-pause".into()).spawn(move || paused.run()) {
                log::error!("no thread for the pauses of failed messages, which go back at once: {error}");
                self.give_all_back();
            }
        } else if is_first {
            self.earlier.fetch_add(1, Ordering::AcqRel);
            self.clock.wake();
        }
    }

    /// Gives all messages back now, and from now on each at once; returns how many there were.
    pub(super) fn release(&self) -> usize {
        self.released.store(true, Ordering::Release);
        let count = self.give_all_back();
        self.clock.wake();
        count
    }

    fn give_all_back(&self) -> usize {
        let mut state = self.lock();
        let entries = std::mem::take(&mut state.heap);
        drop(state);
        let count = entries.len();
        self.count.fetch_sub(count, Ordering::AcqRel);
        entries.into_sorted_vec().into_iter().rev().for_each(|Reverse(entry)| give_back(entry.message));
        count
    }

    fn run(&self) {
        loop {
            let mut state = self.lock();
            let Some(Reverse(next)) = state.heap.peek() else {
                state.running = false;
                return;
            };
            let due = next.due;
            let earlier = self.earlier.load(Ordering::Acquire);
            let is_due = due <= self.clock.now();
            let entry = if is_due { state.heap.pop() } else { None };
            drop(state);
            match entry {
                Some(Reverse(entry)) => {
                    self.count.fetch_sub(1, Ordering::AcqRel);
                    give_back(entry.message);
                }
                None => {
                    self.clock.sleep_until(due, &|| self.is_released() || self.earlier.load(Ordering::Acquire) != earlier);
                    if self.is_released() {
                        self.give_all_back();
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By nack, which counts as no failed delivery.
fn give_back(mut message: Message) {
    if let Err(error) = message.settle(Disposition::Return) {
        log::debug!("a message of queue {:?} whose pause is over was not given back, the broker does it: {error}", message.queue());
    }
}
