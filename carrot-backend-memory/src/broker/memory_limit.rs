//! A limit on the memory of messages, over which brokers block publishers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};

use crate::broker::{Broker, BrokerShared};
use crate::queue::memory::{MessageLimit, MessageMemory};
use crate::sync::{Deadline, lock};

/// A limit on the memory of the messages of some brokers together, as RabbitMQ's memory alarm.
///
/// Once the messages exceed the limit, the brokers block publishers with the reason `low on
/// memory`. Everything else continues. [`run`](MemoryLimit::run) unblocks publishers once the
/// messages do not exceed the limit any more. Dropping the limit unblocks publishers, too.
///
/// A message counts with body, properties, names, and the size of its records: about 400 bytes. It
/// counts once, also in several queues, where only each further record adds about 150 bytes. It
/// counts until it has left its last queue and is settled. The messages of open transactions count.
/// Messages do not count that a broker holds when its first limit is created.
///
/// ```
/// use carrot::backend::Content;
/// use carrot::memory::{Broker, session::MemoryLimit};
/// use carrot::{Connection, Queue};
///
/// let broker = Broker::new();
/// let limit = MemoryLimit::new(1_000_000, [&broker]);
/// Connection::new(broker.connector()).declare_queue(Queue::new("jobs"))?;
/// broker.put("jobs", Content::new("", "jobs", vec![0; 5000]))?;
/// assert!((5000..6000).contains(&limit.held_bytes()));
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug)]
pub struct MemoryLimit {
    shared: Arc<MemoryLimitShared>,
}

#[derive(Debug)]
struct MemoryLimitShared {
    limit: u64,
    memories: Vec<Arc<MessageMemory>>,
    brokers: Vec<Weak<BrokerShared>>,
    is_blocking: AtomicBool,
    /// Held while publishers are blocked or unblocked.
    changing: Mutex<()>,
    state: Mutex<MemoryLimitState>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct MemoryLimitState {
    is_ended: bool,
}

impl MemoryLimit {
    /// Creates a limit in bytes for the messages of all these brokers together.
    pub fn new<'b>(bytes: u64, brokers: impl IntoIterator<Item = &'b Broker>) -> MemoryLimit {
        let mut limited: Vec<Arc<BrokerShared>> = Vec::new();
        for broker in brokers {
            if !limited.iter().any(|other| Arc::ptr_eq(other, &broker.shared)) {
                limited.push(Arc::clone(&broker.shared));
            }
        }
        let shared = Arc::new(MemoryLimitShared {
            limit: bytes,
            memories: limited.iter().map(|broker| Arc::clone(&broker.context.memory)).collect(),
            brokers: limited.iter().map(Arc::downgrade).collect(),
            is_blocking: false.into(),
            changing: Mutex::default(),
            state: Mutex::default(),
            released: Condvar::new(),
        });
        let weak: Weak<MemoryLimitShared> = Arc::downgrade(&shared);
        for memory in &shared.memories {
            memory.add_limit(Weak::clone(&weak) as Weak<dyn MessageLimit>);
        }
        MemoryLimit { shared }
    }

    /// Returns the memory of the messages that count, in bytes.
    pub fn held_bytes(&self) -> u64 {
        self.shared.bytes()
    }

    /// Unblocks publishers whenever the messages do not exceed the limit any more.
    ///
    /// Blocks until [`end`](MemoryLimit::end) is called. A server calls this on a thread of its
    /// own, which sleeps while nothing is blocked.
    pub fn run(&self) {
        let shared = &*self.shared;
        let mut state = lock(&shared.state);
        while !state.is_ended {
            if shared.is_blocking.load(Ordering::SeqCst) && !shared.is_exceeded() {
                drop(state);
                shared.unblock_if(|| !shared.is_exceeded());
                state = lock(&shared.state);
            } else {
                state = Deadline::NEVER.wait(&shared.released, state).0;
            }
        }
    }

    /// Ends the limit: [`run`](MemoryLimit::run) returns, and publishers are not blocked any more.
    pub fn end(&self) {
        lock(&self.shared.state).is_ended = true;
        self.shared.released.notify_all();
        self.shared.unblock_if(|| true);
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        self.end();
    }
}

impl MemoryLimitShared {
    fn bytes(&self) -> u64 {
        self.memories.iter().map(|memory| memory.bytes()).sum()
    }

    fn is_exceeded(&self) -> bool {
        self.bytes() > self.limit
    }

    fn brokers(&self) -> impl Iterator<Item = Arc<BrokerShared>> {
        self.brokers.iter().filter_map(Weak::upgrade)
    }

    fn unblock_if(&self, condition: impl FnOnce() -> bool) {
        let changing = lock(&self.changing);
        if !self.is_blocking.load(Ordering::SeqCst) || !condition() {
            return;
        }
        self.is_blocking.store(false, Ordering::SeqCst);
        self.memories.iter().for_each(|memory| memory.end_excess());
        let unblocked: Vec<_> = self
            .brokers()
            .flat_map(|broker| broker.change_alarms(|alarms| alarms.exceeded_limits -= 1))
            .collect();
        drop(changing);
        unblocked.iter().for_each(|connection| connection.notify_observers());
        log::info!("publishers are unblocked: messages do not exceed {} bytes", self.limit);
    }
}

impl MessageLimit for MemoryLimitShared {
    fn is_due(&self) -> bool {
        !self.is_blocking.load(Ordering::SeqCst) && self.is_exceeded()
    }

    fn block(&self) {
        let changing = lock(&self.changing);
        if !self.is_due() || lock(&self.state).is_ended {
            return;
        }
        let bytes = self.bytes();
        self.memories.iter().for_each(|memory| memory.begin_excess());
        self.is_blocking.store(true, Ordering::SeqCst);
        for broker in self.brokers() {
            drop(broker.change_alarms(|alarms| alarms.exceeded_limits += 1));
        }
        drop(changing);
        // Messages may have left before anyone looked for that.
        self.note_release();
        log::warn!("publishers are blocked: messages hold {bytes} of {} bytes", self.limit);
    }

    fn note_release(&self) {
        if self.is_blocking.load(Ordering::SeqCst) && !self.is_exceeded() {
            drop(lock(&self.state));
            self.released.notify_all();
        }
    }
}
