//! What a blocked broker has not read from a connection yet.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use carrot_core::backend::{Content, Event};

use crate::channel::Channel;
use crate::fault_plan::Verdict;
use crate::observers::Observers;
use crate::sync::{Deadline, lock};

/// The most bytes that are left unread, but for the last message: what the AMQP driver holds at most of what has not left.
const ROOM: usize = 512 << 10;

/// A publication that waits to be read.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) channel: Arc<Channel>,
    pub(crate) content: Arc<Content>,
    pub(crate) mandatory: bool,
    pub(crate) verdict: Verdict,
}

/// Whether the broker reads what a connection publishes, and what it has not read.
///
/// As on RabbitMQ, the connection learns of an alarm by its first publication, and only from then on is it not read from any more.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    held: AtomicBool,
    state: Mutex<State>,
    read: Condvar,
}

#[derive(Debug, Default)]
struct State {
    alarm: Option<Arc<str>>,
    told: bool,
    parked: VecDeque<Parked>,
    /// How large their bodies are.
    bytes: usize,
    gone: bool,
}

impl Throttle {
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Stops reading, from the next publication on.
    pub(crate) fn hold(&self, reason: &Arc<str>) {
        let mut state = lock(&self.state);
        if !state.gone {
            state.alarm = Some(Arc::clone(reason));
            self.held.store(true, Ordering::Release);
        }
    }

    /// Leaves a publication unread; gives it back if it is to be read now. To be called under the publishing lock of its channel.
    pub(crate) fn park(&self, parked: Parked, observers: Option<&Observers>) -> Option<Parked> {
        let mut state = lock(&self.state);
        if state.gone {
            return None;
        }
        let Some(alarm) = state.alarm.clone() else { return Some(parked) };
        let first = !state.told;
        if first {
            state.told = true;
            if let Some(observers) = observers {
                observers.note(Event::Blocked(alarm.to_string()));
            }
        }
        // RabbitMQ stops reading at the header of a message, which is the end of one with no body.
        if first && parked.content.body.is_empty() {
            return Some(parked);
        }
        state.bytes += parked.content.body.len();
        state.parked.push_back(parked);
        None
    }

    /// Waits until there is room for one more message, of any size, that may have to be left unread; false if that took longer than `timeout`.
    pub(crate) fn wait_for_room(&self, timeout: Duration) -> bool {
        if !self.is_held() {
            return true;
        }
        let deadline = Deadline::after(timeout);
        let mut state = lock(&self.state);
        while state.bytes >= ROOM {
            let passed;
            (state, passed) = deadline.wait(&self.read, state);
            if passed {
                return false;
            }
        }
        true
    }

    /// What was published first of what was not read. With nothing left, everything is read again.
    pub(crate) fn release(&self, observers: Option<&Observers>) -> Option<Parked> {
        let mut state = lock(&self.state);
        if let Some(parked) = state.parked.pop_front() {
            state.bytes -= parked.content.body.len();
            return Some(parked);
        }
        state.alarm = None;
        self.held.store(false, Ordering::Release);
        if std::mem::take(&mut state.told)
            && let Some(observers) = observers
        {
            observers.note(Event::Unblocked);
        }
        drop(state);
        self.read.notify_all();
        None
    }

    /// Loses what was not read, since the connection is gone; `event` is noted as its last.
    pub(crate) fn lose(&self, event: Option<(&Observers, Event)>) {
        let mut state = lock(&self.state);
        let lost = std::mem::take(&mut *state);
        state.gone = true;
        self.held.store(false, Ordering::Release);
        if let Some((observers, event)) = event {
            observers.note(event);
        }
        drop(state);
        drop(lost);
        self.read.notify_all();
    }

    /// Why the connection is not read from, if it has learnt of that.
    pub(crate) fn blocked(&self) -> Option<String> {
        let state = lock(&self.state);
        state.alarm.as_ref().filter(|_| state.told).map(|alarm| alarm.to_string())
    }

    /// Waits until everything that `channel`, or anybody, published was read or lost; false if the deadline came before.
    pub(crate) fn wait_read(&self, channel: Option<&Arc<Channel>>, deadline: Deadline) -> bool {
        let mine = |state: &MutexGuard<'_, State>| {
            state
                .parked
                .iter()
                .any(|parked| channel.is_none_or(|channel| Arc::ptr_eq(channel, &parked.channel)))
        };
        let mut state = lock(&self.state);
        while mine(&state) {
            let passed;
            (state, passed) = deadline.wait(&self.read, state);
            if passed {
                return false;
            }
        }
        true
    }
}
