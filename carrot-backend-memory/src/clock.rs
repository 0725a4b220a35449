//! Real time and time that a test turns by hand, and what is due when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::broker::Core;
use crate::queue::Queue;
use crate::sync::lock;

/// The time that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// A clock that stands still until a test turns it.
///
/// A [`Broker`](crate::Broker) made [with it](crate::Broker::with_clock) measures message TTLs, queue expiry, the times in death records,
/// and the pauses between attempts at a message by it. The deadlines of calls (`timeout` arguments, call deadlines) are always real time, so that no call hangs because
/// nobody turns the clock.
///
/// Clones turn the same clock, and one clock can serve several brokers.
///
/// ```
/// use std::time::Duration;
/// use carrot::memory::{Broker, ManualClock};
/// use carrot::backend::{ChannelOptions, Connector, Content, Declare};
/// use carrot::Queue;
///
/// let clock = ManualClock::new();
/// let broker = Broker::with_clock(&clock);
/// let channel = broker.connector().open(&ChannelOptions::publish(), Duration::from_secs(1))?;
/// channel.declare(Declare::Queue(&Queue::new("jobs").message_ttl(Duration::from_secs(1800))))?;
/// broker.put("jobs", Content::new("", "jobs", "an hour's work"))?;
///
/// clock.advance(Duration::from_secs(1799));
/// assert_eq!(broker.queue("jobs").expect("a queue").ready.len(), 1);
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(broker.queue("jobs").expect("a queue").ready.len(), 0);
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ManualClock(Arc<Manual>);

#[derive(Default)]
struct Manual {
    now: AtomicU64,
    /// The same time, for who pauses.
    pauses: Pauses,
    turning: Mutex<Vec<Weak<Core>>>,
}

/// The clock by which pauses pass that consumers make in the process.
struct Pauses(carrot_core::backend::Clock);

impl Default for Pauses {
    fn default() -> Pauses {
        Pauses(carrot_core::backend::Clock::manual())
    }
}

impl ManualClock {
    /// A clock that stands at zero.
    pub fn new() -> ManualClock {
        ManualClock::default()
    }

    /// Turns the clock on, and lets everything happen, in order, that falls due on the way: on every broker that goes by it, messages
    /// and queues expire, and what they send on arrives, before this returns.
    ///
    /// Zero does what is due now. The clock stops at about 580,000 years. Not to be called from two threads at once for a reproducible
    /// order; the second waits for the first.
    pub fn advance(&self, by: Duration) {
        let mut brokers = lock(&self.0.turning);
        brokers.retain(|broker| broker.strong_count() > 0);
        let by = u64::try_from(by.as_micros()).unwrap_or(NEVER);
        let end = self.0.now.load(Ordering::SeqCst).saturating_add(by).min(NEVER - 1);
        let brokers: Vec<Arc<Core>> = brokers.iter().filter_map(Weak::upgrade).collect();
        while let Some((due, broker)) = brokers
            .iter()
            .map(|broker| (broker.timers.next_due(), broker))
            .min_by_key(|(due, _)| *due)
            && due <= end
        {
            self.0.now.fetch_max(due, Ordering::SeqCst);
            if let Some((due, queue)) = broker.timers.take_due(due) {
                broker.fire(&queue, due);
            }
        }
        self.0.now.store(end, Ordering::SeqCst);
        self.0.pauses.0.set(Duration::from_micros(end));
        brokers.iter().for_each(|broker| broker.faults.wake());
    }

    /// Turns the clock on to the next moment at which a message or a queue falls due on a broker that goes by it, and returns how far that
    /// was; `None`, and nothing, if nothing falls due. A failed message that pauses in a worker, rather than in a queue of the broker, is
    /// no such moment; [`advance`](ManualClock::advance) ends its pause, on the worker's own thread.
    ///
    /// ```
    /// use std::time::Duration;
    /// use carrot::memory::{Broker, ManualClock};
    /// use carrot::{Connection, Queue};
    ///
    /// let clock = ManualClock::new();
    /// let broker = Broker::with_clock(&clock);
    /// let connection = Connection::new(broker.connector());
    /// connection.declare_queue(Queue::new("slow").message_ttl(Duration::from_secs(3600)))?;
    /// connection.publisher().routing_key("slow").build()?.send("nobody comes")?;
    ///
    /// assert_eq!(clock.advance_to_next(), Some(Duration::from_secs(3600)));
    /// assert_eq!(clock.advance_to_next(), None);
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn advance_to_next(&self) -> Option<Duration> {
        let brokers: Vec<Arc<Core>> =
            lock(&self.0.turning).iter().filter_map(Weak::upgrade).collect();
        let due = brokers
            .iter()
            .map(|broker| broker.timers.next_due())
            .min()
            .filter(|due| *due < NEVER)?;
        let by = Duration::from_micros(due).saturating_sub(self.elapsed());
        self.advance(by);
        Some(by)
    }

    /// How far it has been turned.
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.now.load(Ordering::SeqCst))
    }

    pub(crate) fn attach(&self, broker: Weak<Core>) {
        lock(&self.0.turning).push(broker);
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ManualClock").field(&self.elapsed()).finish()
    }
}

/// What a broker measures time by: microseconds since it was made.
#[derive(Debug)]
pub(crate) struct Clock {
    source: Source,
    wall: Duration,
}

#[derive(Debug)]
enum Source {
    Real(Instant, carrot_core::backend::Clock),
    Manual(ManualClock),
}

impl Clock {
    pub(crate) fn real() -> Clock {
        Clock {
            source: Source::Real(Instant::now(), carrot_core::backend::Clock::real()),
            wall: wall(),
        }
    }

    /// The clock by which consumers pause.
    pub(crate) fn pauses(&self) -> carrot_core::backend::Clock {
        match &self.source {
            Source::Real(_, pauses) => pauses.clone(),
            Source::Manual(clock) => clock.0.pauses.0.clone(),
        }
    }

    pub(crate) fn manual(clock: &ManualClock) -> Clock {
        Clock {
            wall: wall().saturating_sub(clock.elapsed()),
            source: Source::Manual(clock.clone()),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        match &self.source {
            Source::Real(start, _) => {
                u64::try_from(start.elapsed().as_micros()).unwrap_or(NEVER - 1)
            }
            Source::Manual(clock) => clock.0.now.load(Ordering::SeqCst),
        }
    }

    /// Seconds since the Unix epoch.
    pub(crate) fn timestamp(&self) -> u64 {
        (self.wall + Duration::from_micros(self.now())).as_secs()
    }

    pub(crate) fn is_real(&self) -> bool {
        matches!(self.source, Source::Real(..))
    }
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Which queues are to be looked at when. With the real clock, a thread does so, started by the first timer of a broker and ended with
/// the broker; a broker without TTLs and expiries has none.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    state: Mutex<TimerState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct TimerState {
    heap: BinaryHeap<Reverse<Timer>>,
    sequence: u64,
    running: bool,
    stopped: bool,
}

#[derive(Debug)]
struct Timer {
    due: u64,
    sequence: u64,
    queue: Weak<Queue>,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Timer) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Timer) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Timer) -> std::cmp::Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}

impl Timers {
    pub(crate) fn schedule(&self, due: u64, queue: &Arc<Queue>, core: &Arc<Core>) {
        let mut state = lock(&self.state);
        state.sequence += 1;
        let timer = Timer { due, sequence: state.sequence, queue: Arc::downgrade(queue) };
        let first = state.heap.peek().is_none_or(|Reverse(next)| due < next.due);
        state.heap.push(Reverse(timer));
        if !core.clock.is_real() || state.stopped {
            return;
        }
        if !state.running {
            let timers = Arc::clone(&core.timers);
            let core = Arc::downgrade(core);
            let spawned = thread::Builder::new()
                .name("carrot-memory-timer".into())
                .spawn(move || timers.run(&core));
            match spawned {
                Ok(_) => state.running = true,
                Err(error) => log::warn!(
                    "no timer thread, so TTLs are only looked at when a queue is used: {error}"
                ),
            }
        } else if first {
            self.changed.notify_one();
        }
    }

    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
    }

    fn next_due(&self) -> u64 {
        lock(&self.state).heap.peek().map_or(NEVER, |Reverse(timer)| timer.due)
    }

    /// Takes the first timer, if it is due by `now` and its queue still exists.
    fn take_due(&self, now: u64) -> Option<(u64, Arc<Queue>)> {
        let mut state = lock(&self.state);
        let Reverse(timer) = state
            .heap
            .peek()
            .is_some_and(|Reverse(timer)| timer.due <= now)
            .then(|| state.heap.pop())??;
        Some((timer.due, timer.queue.upgrade()?))
    }

    fn run(&self, core: &Weak<Core>) {
        let mut state = lock(&self.state);
        while !state.stopped {
            let Some(Reverse(next)) = state.heap.peek() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let due = next.due;
            drop(state);
            let Some(broker) = core.upgrade() else { return };
            let now = broker.clock.now();
            if due <= now {
                if let Some((due, queue)) = self.take_due(now) {
                    broker.fire(&queue, due);
                }
                drop(broker);
                state = lock(&self.state);
                continue;
            }
            drop(broker);
            state = lock(&self.state);
            if !state.stopped && state.heap.peek().is_some_and(|Reverse(next)| next.due == due) {
                state = self
                    .changed
                    .wait_timeout(state, Duration::from_micros(due - now))
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
    }
}
