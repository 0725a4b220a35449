//! The broker: what its connections share.

pub(crate) mod alarm;
pub(crate) mod alarms;
pub(crate) mod blocking;
pub(crate) mod builder;
pub(crate) mod connection;
pub(crate) mod dead_letters;
pub(crate) mod direct_reply_to;
pub(crate) mod fault_injection;
pub(crate) mod fault_plan;
pub(crate) mod memory_limit;
pub(crate) mod names;
pub(crate) mod observers;
pub(crate) mod options;
pub(crate) mod publish;
pub(crate) mod recordings;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use carrot_core::{Error, ExchangeKind, RabbitMqRelease, Result};
use carrot_routing::ExchangeBehaviour;

use crate::broker::alarms::BrokerAlarms;
use crate::broker::direct_reply_to::DirectReplies;
use crate::broker::fault_plan::FaultPlan;
use crate::broker::options::BrokerOptions;
use crate::broker::recordings::Recordings;
use crate::channel::{BrokerChannel, ClosedChannel};
use crate::clock::{BrokerClock, ManualClock, TimerOwner, Timers};
use crate::queue::context::{IdleSignal, QueueContext};
use crate::queue::dead_letter::Outbox;
use crate::queue::sink::{ConsumerKey, UnackedMessage};
use crate::queue::state::ReturnCause;
use crate::queue::{BrokerQueue, DeletedQueue, QueueFate};
use crate::release_rules::ReleaseRules;
use crate::routing::topology::BrokerTopology;
use crate::sync::{lock, read, write};

/// The named brokers of the process. The map keeps no broker alive.
static NAMED: LazyLock<Mutex<HashMap<String, Weak<BrokerShared>>>> = LazyLock::new(Mutex::default);

/// A message broker in this process, which behaves like RabbitMQ 4.3 with one virtual host, or like
/// 3.10 if [`builder`](Broker::builder) says so.
///
/// A handle: clones stand for the same broker, which exists as long as a clone, a connector or a
/// channel does. Creating a broker takes microseconds, so each test can have its own. Two brokers
/// share nothing.
///
/// ```
/// use std::time::Duration;
/// use carrot::memory::Broker;
/// use carrot::Queue;
/// use carrot::backend::{
///     Acknowledgement, ChannelOptions, Connector, Content, Declare, Extent, Outcome, Publication,
/// };
/// use std::sync::Arc;
///
/// let broker = Broker::new();
/// let channel = broker.connector().open(&ChannelOptions::publish(), Duration::from_secs(1))?;
/// channel.declare(Declare::Queue(&Queue::new("feed")), Duration::from_secs(1))?;
///
/// let content = Arc::new(Content::new("", "feed", "hello"));
/// let publication = Publication::new(&content).with_mandatory(true);
/// let tag = channel.publish(&publication, Duration::from_secs(1))?;
/// assert_eq!(channel.confirm(tag, Duration::from_secs(1))?, Outcome::Accepted);
///
/// let second = Duration::from_secs(1);
/// let delivery = channel.get("feed", Acknowledgement::Manual, second)?.expect("a message");
/// assert_eq!(delivery.content.body, b"hello");
/// channel.ack(delivery.tag, Extent::One)?;
/// assert!(broker.queue("feed").expect("a queue").is_idle());
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Clone)]
pub struct Broker {
    pub(crate) shared: Arc<BrokerShared>,
}

impl Broker {
    /// Creates a broker with the real clock, which imitates RabbitMQ 4.3.
    pub fn new() -> Broker {
        Broker::create(None, &BrokerOptions::default())
    }

    /// Returns the broker of this name in this process, or creates it.
    ///
    /// A named broker ends, with its messages, when its last handle is dropped.
    ///
    /// ```
    /// use carrot::memory::Broker;
    ///
    /// let one = Broker::named("orders");
    /// assert_eq!(one, Broker::named("orders"));
    /// assert_ne!(one, Broker::named("invoices"));
    /// ```
    pub fn named(name: &str) -> Broker {
        Broker::find_or_create(name, &BrokerOptions::default()).0
    }

    /// Creates a broker with a clock that the test advances.
    pub fn with_clock(clock: &ManualClock) -> Broker {
        let clock = Some(clock.clone());
        Broker::create(None, &BrokerOptions { clock, ..BrokerOptions::default() })
    }

    /// Returns the broker of a name, and whether it was created for that.
    pub(crate) fn find_or_create(name: &str, options: &BrokerOptions) -> (Broker, bool) {
        let mut named = lock(&NAMED);
        if let Some(shared) = named.get(name).and_then(Weak::upgrade) {
            return (Broker { shared }, false);
        }
        named.retain(|_, shared| shared.strong_count() > 0);
        let broker = Broker::create(Some(name), options);
        named.insert(name.to_string(), Arc::downgrade(&broker.shared));
        (broker, true)
    }

    pub(crate) fn create(name: Option<&str>, options: &BrokerOptions) -> Broker {
        let shared = BrokerShared::new(name, options);
        if let Some(clock) = &options.clock {
            clock.attach(Arc::downgrade(&shared) as Weak<dyn TimerOwner>);
        }
        Broker { shared }
    }

    /// Returns the release of RabbitMQ that the broker imitates.
    pub fn release(&self) -> RabbitMqRelease {
        self.shared.rules().release
    }

    /// Returns the clock that a test advances; `None` if the broker has the real clock.
    ///
    /// ```
    /// use std::time::Duration;
    /// use carrot::memory::{Broker, ManualClock};
    ///
    /// let broker = Broker::with_clock(&ManualClock::new());
    /// let clock = broker.manual_clock().expect("a manual clock");
    /// clock.advance(Duration::from_secs(60));
    /// assert!(Broker::new().manual_clock().is_none());
    /// ```
    pub fn manual_clock(&self) -> Option<ManualClock> {
        self.shared.clock().manual_clock().cloned()
    }

    /// Returns the name given to [`named`](Broker::named).
    pub fn name(&self) -> Option<&str> {
        self.shared.name.as_deref()
    }

    /// Adds an exchange type, as a plug-in of RabbitMQ does. Its exchanges route as one of the
    /// standard types.
    ///
    /// Without this, declaring an exchange of another type closes the connection, as on RabbitMQ.
    ///
    /// # Errors
    /// [`Error::Invalid`]: `behaviour` is not one of the standard types, or `name` is one.
    pub fn register_exchange_type(&self, name: &str, behaviour: ExchangeKind) -> Result<()> {
        let Some(behaviour) = ExchangeBehaviour::of(&behaviour) else {
            return Err(Error::invalid(
                "behaviour",
                behaviour.as_str(),
                "one of the four standard exchange types",
            ));
        };
        if !matches!(ExchangeKind::from(name), ExchangeKind::Custom(_)) {
            return Err(Error::invalid("exchange type", name, "a name that no standard type has"));
        }
        self.shared.topology_mut().register_kind(name, behaviour);
        Ok(())
    }
}

impl Default for Broker {
    fn default() -> Broker {
        Broker::new()
    }
}

/// Two handles are equal if they stand for the same broker.
impl PartialEq for Broker {
    fn eq(&self, other: &Broker) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Broker {}

impl fmt::Debug for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Broker").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

/// State shared by the handles and connections of one broker.
pub(crate) struct BrokerShared {
    name: Option<String>,
    /// Whether the default type of queues is quorum.
    pub(crate) quorum_by_default: bool,
    pub(crate) context: Arc<QueueContext>,
    topology: RwLock<BrokerTopology>,
    pub(crate) connections: Mutex<Vec<Weak<dyn OpenConnection>>>,
    pub(crate) replies: DirectReplies,
    pub(crate) faults: FaultPlan,
    pub(crate) alarms: Mutex<BrokerAlarms>,
    pub(crate) recordings: Recordings,
    last_id: AtomicU64,
}

/// Displays the name only: connections are displayed, and a broker can hold any number of messages.
impl fmt::Debug for BrokerShared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BrokerShared").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A connection, as far as the broker uses it.
pub(crate) trait OpenConnection: fmt::Debug + Send + Sync {
    fn name(&self) -> &str;

    /// Returns the user whose id messages may have.
    fn user(&self) -> &str;

    fn is_open(&self) -> bool;

    /// Closes the connection, unless it was closed before. The caller holds no lock.
    fn fail(&self, error: Error);

    /// Stops reading publications, from the next one on.
    fn block(&self, reason: &Arc<str>);

    /// Reads the publications that were held back, in their order. One thread at a time calls this.
    fn unblock(&self);

    /// Notifies the observers. The caller holds no lock.
    fn notify_observers(&self);

    fn channels(&self) -> Vec<Arc<BrokerChannel>>;
}

impl BrokerShared {
    fn new(name: Option<&str>, options: &BrokerOptions) -> Arc<BrokerShared> {
        let clock =
            Arc::new(options.clock.as_ref().map_or_else(BrokerClock::real, BrokerClock::manual));
        let rules = ReleaseRules::of(options.release.unwrap_or_default());
        Arc::new_cyclic(|shared: &Weak<BrokerShared>| BrokerShared {
            name: name.map(String::from),
            quorum_by_default: options.quorum_by_default,
            context: Arc::new(QueueContext {
                timers: Arc::new(Timers::new(
                    Arc::clone(&clock),
                    Weak::clone(shared) as Weak<dyn TimerOwner>,
                )),
                clock,
                rules,
                dead_letters: Outbox::default(),
                idle: IdleSignal::default(),
                memory: Arc::default(),
            }),
            topology: RwLock::new(BrokerTopology::new(rules)),
            connections: Mutex::default(),
            replies: DirectReplies::default(),
            faults: FaultPlan::default(),
            alarms: Mutex::default(),
            recordings: Recordings::default(),
            last_id: AtomicU64::new(0),
        })
    }

    /// Returns the broker's address, for errors.
    pub(crate) fn endpoint(&self) -> String {
        format!("memory://{}", self.name.as_deref().unwrap_or_default())
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn topology(&self) -> RwLockReadGuard<'_, BrokerTopology> {
        read(&self.topology)
    }

    pub(crate) fn topology_mut(&self) -> RwLockWriteGuard<'_, BrokerTopology> {
        write(&self.topology)
    }

    /// Returns the rules of the imitated release.
    pub(crate) fn rules(&self) -> &'static ReleaseRules {
        self.context.rules
    }

    pub(crate) fn clock(&self) -> &BrokerClock {
        &self.context.clock
    }

    pub(crate) fn connections(&self) -> Vec<Arc<dyn OpenConnection>> {
        lock(&self.connections).iter().filter_map(Weak::upgrade).collect()
    }

    /// Takes a queue out of the topology, if it deleted itself.
    pub(crate) fn remove_if_deleted(&self, queue: &Arc<BrokerQueue>, fate: QueueFate) {
        if fate == QueueFate::Deleted {
            self.topology_mut().remove_queue(queue);
            self.context.idle.notify();
        }
    }

    /// Takes a deleted queue out of the topology, and cancels its consumers.
    pub(crate) fn remove_queue(&self, queue: &Arc<BrokerQueue>, deleted: DeletedQueue) {
        self.topology_mut().remove_queue(queue);
        deleted.consumers.iter().for_each(|consumer| consumer.sink.cancel());
        self.context.idle.notify();
    }

    /// Requeues the deliveries of a closed channel. The caller holds no lock.
    pub(crate) fn release_channel(&self, closed: ClosedChannel) {
        if let Some(name) = &closed.reply_to {
            self.replies.remove(name);
        }
        let cause =
            if closed.given_back { ReturnCause::GivenBack } else { ReturnCause::ChannelLost };
        let mut parts: Vec<ReleasedFromQueue> = Vec::new();
        for (queue, consumer) in closed.consumers {
            part_of(&mut parts, queue).consumers.push(consumer);
        }
        for unacked in closed.unacked {
            part_of(&mut parts, unacked.queue).unacked.push(unacked.delivery);
        }
        for ReleasedFromQueue { queue, consumers, unacked } in parts {
            let fate = queue.release_channel(&consumers, unacked, cause);
            self.remove_if_deleted(&queue, fate);
        }
        self.send_dead_letters();
    }
}

/// The deliveries of one queue that a closed channel held.
struct ReleasedFromQueue {
    queue: Arc<BrokerQueue>,
    consumers: Vec<ConsumerKey>,
    unacked: Vec<UnackedMessage>,
}

/// Returns the part of a queue, which is added if it is missing.
fn part_of(parts: &mut Vec<ReleasedFromQueue>, queue: Arc<BrokerQueue>) -> &mut ReleasedFromQueue {
    let index =
        parts.iter().position(|part| Arc::ptr_eq(&part.queue, &queue)).unwrap_or_else(|| {
            parts.push(ReleasedFromQueue { queue, consumers: Vec::new(), unacked: Vec::new() });
            parts.len() - 1
        });
    &mut parts[index]
}

impl TimerOwner for BrokerShared {
    fn next_due(&self) -> u64 {
        self.context.timers.next_due()
    }

    fn handle_due(&self, now: u64) {
        let Some((due, id)) = self.context.timers.take_due(now) else { return };
        let queue = self.topology().queue(&id.name).filter(|queue| queue.id == id.number).cloned();
        if let Some(queue) = queue {
            let fate = queue.handle_timer(due);
            self.remove_if_deleted(&queue, fate);
            self.send_dead_letters();
        }
    }

    fn clock_advanced(&self) {
        self.faults.wake();
    }
}

impl Drop for BrokerShared {
    fn drop(&mut self) {
        self.context.timers.stop();
    }
}
