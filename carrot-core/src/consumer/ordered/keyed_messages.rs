use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::backend::Clock;
use crate::consumer::counters::RunCounters;
use crate::consumer::failure::{Failure, PauseQueue, Pausing};
use crate::consumer::message::Message;
use crate::consumer::ordered::key_queues::{KeyQueues, OrderKey};

/// The messages that a run has received and not yet treated, by key.
#[derive(Debug)]
pub(super) struct KeyedMessages {
    counters: Arc<RunCounters>,
    state: Mutex<KeyedState>,
    /// Signalled when a key is ready, and when the run ends.
    ready: Condvar,
    /// Signalled when a message was taken, and when the run ends.
    room: Condvar,
    pauses: Arc<PauseQueue<PausedKey>>,
}

#[derive(Debug, Default)]
struct KeyedState {
    queues: KeyQueues<InHand>,
    /// The number of workers that wait for a key.
    idle: usize,
    /// Whether no more messages are received.
    ended: bool,
}

/// A message that is not yet treated.
#[derive(Debug)]
pub(super) struct InHand {
    pub(super) message: Message,
    /// The time of all its pauses.
    pub(super) held: Duration,
    /// Whether an attempt failed, after which the message paused.
    pub(super) has_paused: bool,
    /// The reason why the message has no key.
    pub(super) keyless: Option<Failure>,
}

/// A key that pauses.
#[derive(Debug)]
struct PausedKey {
    messages: Weak<KeyedMessages>,
    key: OrderKey,
    pause: u64,
}

impl Pausing for PausedKey {
    fn end(self) {
        if let Some(messages) = self.messages.upgrade() {
            messages.change(|queues| queues.resume(self.key, self.pause));
        }
    }

    fn release(self) {
        self.end();
    }
}

impl KeyedMessages {
    pub(super) fn new(clock: Clock, counters: &Arc<RunCounters>) -> KeyedMessages {
        KeyedMessages {
            counters: Arc::clone(counters),
            state: Mutex::default(),
            ready: Condvar::new(),
            room: Condvar::new(),
            pauses: Arc::new(PauseQueue::new(clock, Arc::default())),
        }
    }

    /// Adds the last message of a key.
    pub(super) fn push(&self, key: OrderKey, message: InHand) {
        self.change(|queues| queues.push(key, message));
    }

    /// Waits until fewer than `limit` messages wait for workers, or `given_up` returns true.
    pub(super) fn wait_for_room(&self, limit: usize, given_up: &dyn Fn() -> bool) {
        let mut state = self.lock();
        while state.queues.waiting() >= limit && !given_up() {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes the thread in [`wait_for_room`](KeyedMessages::wait_for_room).
    pub(super) fn wake_receiver(&self) {
        // The lock orders this after the check of a receiver that is about to wait.
        drop(self.lock());
        self.room.notify_all();
    }

    /// Takes the next message whose key is free. Waits for one; returns `None` once the run has
    /// ended, or `stopped` returns true.
    pub(super) fn take(self: &Arc<Self>, stopped: &dyn Fn() -> bool) -> Option<KeyTurn> {
        let mut state = self.lock();
        loop {
            if state.ended || stopped() {
                return None;
            }
            if let Some((key, message)) = state.queues.take() {
                drop(state);
                self.room.notify_all();
                return Some(KeyTurn {
                    messages: Arc::clone(self),
                    key: Some(key),
                    message: Some(message),
                });
            }
            state.idle += 1;
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Drops the messages of lost channels, which the broker delivers again. `lost` is called for
    /// each of them.
    pub(super) fn remove_lost(&self, lost: impl Fn(&InHand)) {
        let is_lost = |entry: &InHand| entry.message.is_lost();
        let removed = self.change(|queues| queues.remove(is_lost));
        removed.iter().for_each(lost);
    }

    /// Ends the run: workers receive no more messages. Returns those that were not taken.
    pub(super) fn end(&self) -> Vec<InHand> {
        self.lock().ended = true;
        let removed = self.change(|queues| queues.remove(|_| true));
        self.ready.notify_all();
        self.room.notify_all();
        self.pauses.release();
        removed
    }

    /// Puts a message back, unless the run has ended. Returns the message then.
    fn put_back(
        &self,
        message: InHand,
        put: impl FnOnce(&mut KeyQueues<InHand>, InHand),
    ) -> Option<InHand> {
        let state = self.lock();
        if state.ended {
            return Some(message);
        }
        self.change_locked(state, |queues| put(queues, message));
        None
    }

    fn change<T>(&self, change: impl FnOnce(&mut KeyQueues<InHand>) -> T) -> T {
        self.change_locked(self.lock(), change)
    }

    /// Changes the queues, and wakes a worker for each key that became ready.
    fn change_locked<T>(
        &self,
        mut state: MutexGuard<'_, KeyedState>,
        change: impl FnOnce(&mut KeyQueues<InHand>) -> T,
    ) -> T {
        let before = state.queues.ready();
        let changed = change(&mut state.queues);
        self.counters.set_paused_keys(state.queues.paused());
        let woken = state.queues.ready().saturating_sub(before).min(state.idle);
        drop(state);
        (0..woken).for_each(|_| self.ready.notify_one());
        changed
    }

    fn lock(&self) -> MutexGuard<'_, KeyedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InHand {
    pub(super) fn new(message: Message) -> InHand {
        InHand { message, held: Duration::ZERO, has_paused: false, keyless: None }
    }
}

/// The turn of a key: no other message of the key is handled before its end.
#[derive(Debug)]
pub(super) struct KeyTurn {
    messages: Arc<KeyedMessages>,
    /// `None` once the turn has ended.
    key: Option<OrderKey>,
    message: Option<InHand>,
}

impl KeyTurn {
    /// Takes the message.
    pub(super) fn take(&mut self) -> Option<InHand> {
        self.message.take()
    }

    /// Ends the turn: the message can be taken again, before the others of its key. Returns the
    /// message if the run has ended.
    pub(super) fn try_again(mut self, message: InHand) -> Option<InHand> {
        let key = self.key.take()?;
        self.messages.put_back(message, |queues, message| queues.try_again(key, message))
    }

    /// Ends the turn: the message can be taken again after a pause, before the others of its key.
    /// Returns the message if the run has ended.
    pub(super) fn pause(mut self, message: InHand, pause: Duration) -> Option<InHand> {
        let key = self.key.take()?;
        let mut number = None;
        let returned = self.messages.put_back(message, |queues, message| {
            number = Some(queues.pause(key, message));
        });
        if let Some(number) = number {
            let messages = Arc::downgrade(&self.messages);
            self.messages.pauses.keep(PausedKey { messages, key, pause: number }, pause);
        }
        returned
    }
}

impl Drop for KeyTurn {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.messages.change(|queues| queues.finish(key));
        }
    }
}
