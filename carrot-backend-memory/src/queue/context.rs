//! State shared by all queues of one broker.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::clock::{BrokerClock, Timers};
use crate::queue::dead_letter::Outbox;
use crate::queue::memory::MessageMemory;
use crate::release_rules::ReleaseRules;
use crate::sync::lock;

/// State shared by all queues of one broker.
#[derive(Debug)]
pub(crate) struct QueueContext {
    pub(crate) clock: Arc<BrokerClock>,
    pub(crate) rules: &'static ReleaseRules,
    pub(crate) timers: Arc<Timers<QueueId>>,
    pub(crate) dead_letters: Outbox,
    pub(crate) idle: IdleSignal,
    pub(crate) memory: Arc<MessageMemory>,
}

/// Identifies a queue. A queue that is declared again under the same name has another number.
#[derive(Debug, Clone)]
pub(crate) struct QueueId {
    pub(crate) name: Arc<str>,
    pub(crate) number: u64,
}

/// Wakes the threads that wait for queues to become empty.
#[derive(Debug, Default)]
pub(crate) struct IdleSignal {
    pub(crate) waiting: AtomicUsize,
    pub(crate) generation: Mutex<u64>,
    pub(crate) changed: Condvar,
}

impl IdleSignal {
    pub(crate) fn notify(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            *lock(&self.generation) += 1;
            self.changed.notify_all();
        }
    }
}
