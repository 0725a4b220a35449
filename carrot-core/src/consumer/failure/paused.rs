//! Failed messages that pause in the process, unacknowledged, and are then requeued.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::backend::Clock;
use crate::consumer::message::Disposition;
use crate::consumer::message::Message;
use crate::consumer::subscribed::UnhandledCounts;

/// The pausing messages of one consumer. A thread requeues each after its pause, and runs only
/// while there are messages.
#[derive(Debug)]
pub(super) struct PausedMessages {
    clock: Clock,
    state: Mutex<PausedState>,
    /// The number of messages. Kept apart, because messages are dropped with no lock held.
    count: Arc<AtomicUsize>,
    /// Whether the consumer was stopped, so no message pauses any more.
    released: AtomicBool,
    /// Counts the arrivals of messages that are due before all others.
    earlier: AtomicUsize,
}

#[derive(Debug, Default)]
struct PausedState {
    heap: BinaryHeap<Reverse<PausedMessage>>,
    sequence: u64,
    running: bool,
}

#[derive(Debug)]
struct PausedMessage {
    due: Duration,
    sequence: u64,
    message: Message,
    /// Counts the message if it is requeued before its time.
    unhandled: Option<Arc<UnhandledCounts>>,
}

impl PartialEq for PausedMessage {
    fn eq(&self, other: &PausedMessage) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for PausedMessage {}

impl PartialOrd for PausedMessage {
    fn partial_cmp(&self, other: &PausedMessage) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PausedMessage {
    fn cmp(&self, other: &PausedMessage) -> std::cmp::Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}

impl PausedMessages {
    pub(super) fn new(clock: Clock, count: Arc<AtomicUsize>) -> PausedMessages {
        PausedMessages {
            clock,
            state: Mutex::default(),
            count,
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

    /// Keeps a message for `pause`, and then requeues it. Requeues at once after
    /// [`release`](PausedMessages::release).
    pub(super) fn keep(
        self: &Arc<PausedMessages>,
        message: Message,
        pause: Duration,
        unhandled: Option<Arc<UnhandledCounts>>,
    ) {
        let mut state = self.lock();
        if self.is_released() {
            drop(state);
            return requeue_early(message, unhandled);
        }
        let due = self.clock.now() + pause;
        state.sequence += 1;
        let sequence = state.sequence;
        let is_first = state.heap.peek().is_none_or(|Reverse(next)| due < next.due);
        state.heap.push(Reverse(PausedMessage { due, sequence, message, unhandled }));
        self.count.fetch_add(1, Ordering::AcqRel);
        let start = !std::mem::replace(&mut state.running, true);
        drop(state);
        if start {
            let running = PauseThread { paused: Arc::clone(self), finished: false };
            if let Err(error) =
                thread::Builder::new().name("carrot-pause".into()).spawn(move || running.work())
            {
                log::error!(
                    "starting the thread for pauses failed, failed messages are requeued at once: \
                     {error}"
                );
            }
        } else if is_first {
            self.earlier.fetch_add(1, Ordering::AcqRel);
            self.clock.wake();
        }
    }

    /// Requeues all messages now, and later ones at once.
    pub(super) fn release(&self) {
        self.released.store(true, Ordering::Release);
        self.requeue_all();
        self.clock.wake();
    }

    fn requeue_all(&self) {
        let entries = std::mem::take(&mut self.lock().heap);
        self.count.fetch_sub(entries.len(), Ordering::AcqRel);
        entries
            .into_sorted_vec()
            .into_iter()
            .rev()
            .for_each(|Reverse(entry)| requeue_early(entry.message, entry.unhandled));
    }

    fn run(&self) {
        loop {
            let mut state = self.lock();
            // The next message starts another thread.
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
                    requeue(entry.message);
                }
                None => {
                    self.clock.sleep_until(due, &|| {
                        self.is_released() || self.earlier.load(Ordering::Acquire) != earlier
                    });
                    if self.is_released() {
                        self.requeue_all();
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, PausedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the running thread. Requeues all messages if the thread cannot be started, or panics.
struct PauseThread {
    paused: Arc<PausedMessages>,
    /// Whether the thread ended because no message was left.
    finished: bool,
}

impl PauseThread {
    fn work(mut self) {
        self.paused.run();
        self.finished = true;
    }
}

impl Drop for PauseThread {
    fn drop(&mut self) {
        if !self.finished {
            self.paused.lock().running = false;
            self.paused.requeue_all();
        }
    }
}

fn requeue_early(message: Message, unhandled: Option<Arc<UnhandledCounts>>) {
    if let Some(unhandled) = unhandled {
        unhandled.count_requeued_unhandled();
    }
    requeue(message);
}

/// Requeues with nack, which counts as no failed delivery.
fn requeue(mut message: Message) {
    if let Err(error) = message.settle(Disposition::Return) {
        log::debug!(
            "requeueing a message after its pause failed, the broker requeues it: {error} \
             queue={:?}",
            message.queue()
        );
    }
}
