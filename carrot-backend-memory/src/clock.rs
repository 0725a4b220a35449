//! Real time, time that a test advances by hand, and timers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::sync::lock;

/// A time that is never reached.
pub(crate) const NEVER: u64 = u64::MAX;

/// A clock that stands still until a test advances it.
///
/// A [`Broker`](crate::Broker) created [with a manual clock](crate::Broker::with_clock) uses it for
/// message TTLs, queue expiry, the times in death records, and the pauses between attempts at a
/// message. The deadlines of calls (`timeout` arguments, call deadlines) are always real time, so
/// no call blocks forever because the clock stands still.
///
/// Clones stand for the same clock. Several brokers can share one clock.
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
/// let jobs = Queue::new("jobs").message_ttl(Duration::from_secs(1800));
/// channel.declare(Declare::Queue(&jobs), Duration::from_secs(1))?;
/// broker.put("jobs", Content::new("", "jobs", "an hour's work"))?;
///
/// clock.advance(Duration::from_secs(1799));
/// assert_eq!(broker.queue("jobs").expect("a queue").ready.len(), 1);
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(broker.queue("jobs").expect("a queue").ready.len(), 0);
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ManualClock(Arc<ManualTime>);

#[derive(Default)]
struct ManualTime {
    now: AtomicU64,
    /// The same time, for the pauses of consumers.
    pauses: Pauses,
    /// The brokers that use the clock. Locked while the clock is advanced.
    owners: Mutex<Vec<Weak<dyn TimerOwner>>>,
}

/// The clock for the pauses of consumers in this process.
struct Pauses(carrot_core::backend::Clock);

impl Default for Pauses {
    fn default() -> Pauses {
        Pauses(carrot_core::backend::Clock::manual())
    }
}

impl ManualClock {
    /// Creates a clock that stands at zero.
    pub fn new() -> ManualClock {
        ManualClock::default()
    }

    /// Advances the clock, and handles everything that falls due on the way, in order.
    ///
    /// On every broker with this clock, messages and queues expire, and dead letters arrive, before
    /// this returns. Zero handles what is due now. The clock stops at about 580,000 years.
    ///
    /// Blocks while another thread advances the clock; the order of two such calls is not defined.
    pub fn advance(&self, by: Duration) {
        let mut owners = lock(&self.0.owners);
        owners.retain(|owner| owner.strong_count() > 0);
        let by = u64::try_from(by.as_micros()).unwrap_or(NEVER);
        let end = self.0.now.load(Ordering::SeqCst).saturating_add(by).min(NEVER - 1);
        let live: Vec<Arc<dyn TimerOwner>> = owners.iter().filter_map(Weak::upgrade).collect();
        while let Some((due, owner)) =
            live.iter().map(|owner| (owner.next_due(), owner)).min_by_key(|(due, _)| *due)
            && due <= end
        {
            self.0.now.fetch_max(due, Ordering::SeqCst);
            owner.handle_due(due);
        }
        self.0.now.store(end, Ordering::SeqCst);
        self.0.pauses.0.advance_to(Duration::from_micros(end));
        live.iter().for_each(|owner| owner.clock_advanced());
    }

    /// Advances the clock to the next time at which a message or a queue of a broker expires.
    ///
    /// Returns how far the clock advanced; `None`, without any change, if nothing expires. A failed
    /// message that pauses in a worker, rather than in a queue, does not count.
    /// [`advance`](ManualClock::advance) ends its pause, on the thread of the worker. Does not
    /// block.
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
    /// connection.publisher().routing_key("slow").build()?.send("not consumed")?;
    ///
    /// assert_eq!(clock.advance_to_next(), Some(Duration::from_secs(3600)));
    /// assert_eq!(clock.advance_to_next(), None);
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn advance_to_next(&self) -> Option<Duration> {
        let live: Vec<Arc<dyn TimerOwner>> =
            lock(&self.0.owners).iter().filter_map(Weak::upgrade).collect();
        let due = live.iter().map(|owner| owner.next_due()).min().filter(|due| *due < NEVER)?;
        let by = Duration::from_micros(due).saturating_sub(self.elapsed());
        self.advance(by);
        Some(by)
    }

    /// Returns how far the clock has been advanced.
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.now.load(Ordering::SeqCst))
    }

    pub(crate) fn attach(&self, owner: Weak<dyn TimerOwner>) {
        lock(&self.0.owners).push(owner);
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ManualClock").field(&self.elapsed()).finish()
    }
}

/// The clock of a broker, in microseconds since the broker was made.
#[derive(Debug)]
pub(crate) struct BrokerClock {
    source: TimeSource,
    wall: Duration,
}

#[derive(Debug)]
enum TimeSource {
    Real(Instant, carrot_core::backend::Clock),
    Manual(ManualClock),
}

impl BrokerClock {
    pub(crate) fn real() -> BrokerClock {
        BrokerClock {
            source: TimeSource::Real(Instant::now(), carrot_core::backend::Clock::real()),
            wall: wall(),
        }
    }

    /// Returns the clock for the pauses of consumers.
    pub(crate) fn pauses(&self) -> carrot_core::backend::Clock {
        match &self.source {
            TimeSource::Real(_, pauses) => pauses.clone(),
            TimeSource::Manual(clock) => clock.0.pauses.0.clone(),
        }
    }

    pub(crate) fn manual(clock: &ManualClock) -> BrokerClock {
        BrokerClock {
            wall: wall().saturating_sub(clock.elapsed()),
            source: TimeSource::Manual(clock.clone()),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        match &self.source {
            TimeSource::Real(start, _) => {
                u64::try_from(start.elapsed().as_micros()).unwrap_or(NEVER - 1)
            }
            TimeSource::Manual(clock) => clock.0.now.load(Ordering::SeqCst),
        }
    }

    /// Returns the seconds since the Unix epoch.
    pub(crate) fn timestamp(&self) -> u64 {
        (self.wall + Duration::from_micros(self.now())).as_secs()
    }

    /// Returns the clock that a test advances, unless this is the real clock.
    pub(crate) fn manual_clock(&self) -> Option<&ManualClock> {
        match &self.source {
            TimeSource::Real(..) => None,
            TimeSource::Manual(clock) => Some(clock),
        }
    }

    pub(crate) fn is_real(&self) -> bool {
        matches!(self.source, TimeSource::Real(..))
    }
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Runs timers, and wakes what waits for the clock.
pub(crate) trait TimerOwner: Send + Sync {
    /// Returns when the first timer is due, or [`NEVER`].
    fn next_due(&self) -> u64;

    /// Handles the first timer, if it is due by `now`.
    fn handle_due(&self, now: u64);

    /// Wakes the threads that wait for a time of the clock.
    fn clock_advanced(&self);
}

/// Timers, each with the target that it is set for.
///
/// With the real clock, a thread handles them. The first timer starts it, and the end of the broker
/// ends it.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    state: Mutex<TimerState<T>>,
    changed: Condvar,
    clock: Arc<BrokerClock>,
    owner: Weak<dyn TimerOwner>,
}

#[derive(Debug)]
struct TimerState<T> {
    heap: BinaryHeap<Reverse<Timer<T>>>,
    sequence: u64,
    running: bool,
    stopped: bool,
}

#[derive(Debug)]
struct Timer<T> {
    due: u64,
    sequence: u64,
    target: T,
}

impl<T> PartialEq for Timer<T> {
    fn eq(&self, other: &Timer<T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Timer<T> {}

impl<T> PartialOrd for Timer<T> {
    fn partial_cmp(&self, other: &Timer<T>) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Timer<T> {
    fn cmp(&self, other: &Timer<T>) -> std::cmp::Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}

impl<T: Send + 'static> Timers<T> {
    pub(crate) fn new(clock: Arc<BrokerClock>, owner: Weak<dyn TimerOwner>) -> Timers<T> {
        let state =
            TimerState { heap: BinaryHeap::new(), sequence: 0, running: false, stopped: false };
        Timers { state: Mutex::new(state), changed: Condvar::new(), clock, owner }
    }

    pub(crate) fn schedule(self: &Arc<Timers<T>>, due: u64, target: T) {
        let mut state = lock(&self.state);
        state.sequence += 1;
        let timer = Timer { due, sequence: state.sequence, target };
        let is_first = state.heap.peek().is_none_or(|Reverse(next)| due < next.due);
        state.heap.push(Reverse(timer));
        if !self.clock.is_real() || state.stopped {
            return;
        }
        if !state.running {
            let timers = Arc::clone(self);
            let spawned = thread::Builder::new()
                .name("carrot-memory-timer".into())
                .spawn(move || timers.run());
            match spawned {
                Ok(_) => state.running = true,
                Err(error) => {
                    log::warn!(
                        "starting the timer thread failed, messages expire only when their queue is used: {error}"
                    );
                }
            }
        } else if is_first {
            self.changed.notify_one();
        }
    }

    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
    }

    /// Returns when the first timer is due, or [`NEVER`].
    pub(crate) fn next_due(&self) -> u64 {
        lock(&self.state).heap.peek().map_or(NEVER, |Reverse(timer)| timer.due)
    }

    /// Takes the first timer, if it is due by `now`.
    pub(crate) fn take_due(&self, now: u64) -> Option<(u64, T)> {
        let mut state = lock(&self.state);
        let Reverse(timer) = state
            .heap
            .peek()
            .is_some_and(|Reverse(timer)| timer.due <= now)
            .then(|| state.heap.pop())??;
        Some((timer.due, timer.target))
    }

    fn run(&self) {
        let mut state = lock(&self.state);
        while !state.stopped {
            let Some(Reverse(next)) = state.heap.peek() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (due, now) = (next.due, self.clock.now());
            if due <= now {
                drop(state);
                let Some(owner) = self.owner.upgrade() else { return };
                owner.handle_due(now);
                drop(owner);
                state = lock(&self.state);
            } else {
                let wait = Duration::from_micros(due - now);
                state = self
                    .changed
                    .wait_timeout(state, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
    }
}
