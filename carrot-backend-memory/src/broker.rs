//! The broker: all that its connections share.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, Weak};

use carrot_core::backend::Connector;
use carrot_core::{ConnectionOptions, Error, ExchangeKind, Result};

use crate::channel::Remains;
use crate::clock::{Clock, ManualClock, Timers};
use crate::connection::Connection;
use crate::connector::MemoryConnector;
use crate::dead_letter::Outbox;
use crate::fault_plan::FaultPlan;
use crate::queue::{Estate, Fate, Queue};
use crate::recording::Recordings;
use crate::reply_to::ReplyStream;
use crate::sync::lock;
use crate::topology::SharedTopology;

/// The brokers that have a name. This is the one thing in the crate that the whole process shares; it holds none of them alive.
static NAMED: LazyLock<Mutex<HashMap<String, Weak<Core>>>> = LazyLock::new(Mutex::default);

/// A message broker in this process, which behaves like RabbitMQ 3.10 with one virtual host.
///
/// It is a handle: clones are the same broker, which lives as long as a clone, a connector or a channel does. Making one takes
/// microseconds, so each test can have its own; nothing is shared between two.
///
/// ```
/// use std::time::Duration;
/// use carrot::memory::Broker;
/// use carrot::Queue;
/// use carrot::backend::{Acknowledgement, ChannelOptions, Connector, Content, Declare, Extent, Outcome, Publication};
/// use std::sync::Arc;
///
/// let broker = Broker::new();
/// let channel = broker.connector().open(&ChannelOptions::publish(), Duration::from_secs(1))?;
/// channel.declare(Declare::Queue(&Queue::new("feed")))?;
///
/// let content = Arc::new(Content::new("", "feed", "hello"));
/// let tag = channel.publish(&Publication { content: &content, mandatory: true }, Duration::from_secs(1))?;
/// assert_eq!(channel.confirm(tag, Duration::from_secs(1))?, Outcome::Accepted);
///
/// let delivery = channel.get("feed", Acknowledgement::Manual)?.expect("a message");
/// assert_eq!(delivery.content.body, b"hello");
/// channel.ack(delivery.tag, Extent::One)?;
/// assert!(broker.queue("feed").expect("a queue").is_idle());
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Clone)]
pub struct Broker {
    pub(crate) core: Arc<Core>,
}

impl Broker {
    /// A broker of its own, with the real clock.
    pub fn new() -> Broker {
        Broker { core: Core::new(None, Clock::real()) }
    }

    /// The broker of this name in this process: the one that somebody already holds, or a new one.
    ///
    /// A named broker goes, with all that is in it, once nobody holds it any more.
    ///
    /// ```
    /// use carrot::memory::Broker;
    ///
    /// let one = Broker::named("orders");
    /// assert_eq!(one, Broker::named("orders"));
    /// assert_ne!(one, Broker::named("invoices"));
    /// ```
    pub fn named(name: &str) -> Broker {
        let mut named = lock(&NAMED);
        if let Some(core) = named.get(name).and_then(Weak::upgrade) {
            return Broker { core };
        }
        named.retain(|_, core| core.strong_count() > 0);
        let core = Core::new(Some(name), Clock::real());
        named.insert(name.to_string(), Arc::downgrade(&core));
        Broker { core }
    }

    /// A broker of its own that goes by a clock which the test turns.
    pub fn with_clock(clock: &ManualClock) -> Broker {
        let core = Core::new(None, Clock::manual(clock));
        clock.attach(Arc::downgrade(&core));
        Broker { core }
    }

    /// The name it was made with.
    pub fn name(&self) -> Option<&str> {
        self.core.name.as_deref()
    }

    /// A new connector, as user `guest`, with a call deadline of 30 seconds. Exclusive queues belong to one connector.
    pub fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(MemoryConnector::new(self))
    }

    /// A new connector with the user, the call deadline, the frame size and the name of `options`.
    ///
    /// # Errors
    /// [`Error::Authentication`] if the virtual host is another than `/`, the only one there is.
    pub fn connector_with(&self, options: &ConnectionOptions) -> Result<Arc<dyn Connector>> {
        Ok(Arc::new(MemoryConnector::with_options(self, options)?))
    }

    /// Makes the broker know one more exchange type, as a plug-in of RabbitMQ does; exchanges of it route as one of the standard types.
    ///
    /// Without this, declaring an exchange of another than the four standard types closes the connection, as RabbitMQ does.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `behaviour` is not one of the standard types, or `name` is one.
    pub fn register_exchange_type(&self, name: &str, behaviour: ExchangeKind) -> Result<()> {
        if let ExchangeKind::Custom(other) = &behaviour {
            return Err(Error::invalid(
                "behaviour",
                other,
                "one of the four standard exchange types",
            ));
        }
        if !matches!(ExchangeKind::from(name), ExchangeKind::Custom(_)) {
            return Err(Error::invalid("exchange type", name, "a name that no standard type has"));
        }
        self.core.topology.write().register_kind(name, behaviour);
        Ok(())
    }
}

impl Default for Broker {
    fn default() -> Broker {
        Broker::new()
    }
}

/// Whether both are handles of the same broker.
impl PartialEq for Broker {
    fn eq(&self, other: &Broker) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }
}

impl Eq for Broker {}

impl fmt::Debug for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Broker").field("name", &self.core.name).finish_non_exhaustive()
    }
}

/// What the handles of one broker share.
#[derive(Debug)]
pub(crate) struct Core {
    name: Option<String>,
    pub(crate) clock: Clock,
    pub(crate) timers: Arc<Timers>,
    pub(crate) topology: SharedTopology,
    pub(crate) connections: Mutex<Vec<Weak<Connection>>>,
    pub(crate) replies: Mutex<HashMap<Arc<str>, ReplyStream>>,
    pub(crate) faults: FaultPlan,
    /// Why publishers are blocked, if they are.
    pub(crate) alarm: Mutex<Option<Arc<str>>>,
    pub(crate) recordings: Recordings,
    last_id: AtomicU64,
    pub(crate) outbox: Outbox,
    pub(crate) idle: Idle,
}

/// Whoever waits for queues to run empty.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    pub(crate) watchers: AtomicUsize,
    pub(crate) generation: Mutex<u64>,
    pub(crate) changed: Condvar,
}

impl Core {
    /// Where it is reached, for errors.
    pub(crate) fn endpoint(&self) -> String {
        format!("memory://{}", self.name.as_deref().unwrap_or_default())
    }

    fn new(name: Option<&str>, clock: Clock) -> Arc<Core> {
        Arc::new(Core {
            name: name.map(String::from),
            clock,
            timers: Arc::default(),
            topology: SharedTopology::new(),
            connections: Mutex::default(),
            replies: Mutex::default(),
            faults: FaultPlan::default(),
            alarm: Mutex::default(),
            recordings: Recordings::default(),
            last_id: AtomicU64::new(0),
            outbox: Outbox::default(),
            idle: Idle::default(),
        })
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Does what a timer of a queue was set for.
    pub(crate) fn fire(self: &Arc<Core>, queue: &Arc<Queue>, due: u64) {
        let fate = queue.fire(self, due);
        self.conclude(queue, fate);
        self.send_dead_letters();
    }

    /// Takes a queue out of the topology, if it went away with its last consumer or its time.
    pub(crate) fn conclude(&self, queue: &Arc<Queue>, fate: Fate) {
        if fate == Fate::Goes {
            self.topology.write().remove_queue(queue);
            self.note_idle();
        }
    }

    /// Takes a deleted queue out of the topology, and tells its consumers.
    pub(crate) fn settle_estate(&self, queue: &Arc<Queue>, estate: Estate) {
        self.topology.write().remove_queue(queue);
        for consumer in estate.consumers {
            consumer.channel.end_stream(
                consumer.stream,
                "the broker cancelled it, because the queue was deleted or is moving",
                &queue.name,
            );
        }
        self.note_idle();
    }

    /// Gives the queues back what a dead channel held. To be called with no lock held.
    pub(crate) fn bury_channel(self: &Arc<Core>, remains: Remains) {
        if let Some(name) = &remains.reply_to {
            self.close_reply(name);
        }
        let mut parts: Vec<(Arc<Queue>, Vec<_>, Vec<_>)> = Vec::new();
        fn part<'a, C, U>(
            parts: &'a mut Vec<(Arc<Queue>, Vec<C>, Vec<U>)>,
            queue: &Arc<Queue>,
        ) -> &'a mut (Arc<Queue>, Vec<C>, Vec<U>) {
            let index = parts
                .iter()
                .position(|(other, ..)| Arc::ptr_eq(other, queue))
                .unwrap_or_else(|| {
                    parts.push((Arc::clone(queue), Vec::new(), Vec::new()));
                    parts.len() - 1
                });
            &mut parts[index]
        }
        for (queue, departed) in remains.consumers {
            part(&mut parts, &queue).1.push(departed);
        }
        for unacked in remains.unacked {
            part(&mut parts, &Arc::clone(&unacked.queue)).2.push(unacked);
        }
        for (queue, consumers, unacked) in parts {
            let fate = queue.channel_died(self, &consumers, unacked);
            self.conclude(&queue, fate);
        }
        self.send_dead_letters();
    }

    /// Wakes whoever waits for queues to run empty.
    pub(crate) fn note_idle(&self) {
        if self.idle.watchers.load(Ordering::SeqCst) > 0 {
            *lock(&self.idle.generation) += 1;
            self.idle.changed.notify_all();
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.timers.stop();
    }
}

/// The random end of a name that the broker makes up: 22 characters, as RabbitMQ's.
pub(crate) fn token() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(22).collect()
}
