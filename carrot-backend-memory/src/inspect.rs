//! A look inside the broker, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use carrot_core::backend::{Content, DeliveryTag};
use carrot_core::{Binding, Error, Exchange, Queue as QueueDefinition, Result, Workers};

use crate::arguments;
use crate::broker::{Broker, Core};
use crate::queue::Queue;
use crate::ready::Parcel;
use crate::refusal;
use crate::sync::{Deadline, lock};

/// What is in one queue, at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct QueueView {
    /// What it was declared as; the name is the one the broker made up, if it did.
    pub definition: QueueDefinition,
    /// The messages that wait, the next one first.
    pub ready: Vec<Arc<Content>>,
    /// The messages that were delivered and not settled, by channel and tag.
    pub unacked: Vec<UnackedView>,
    /// The consumers.
    pub consumers: Vec<ConsumerView>,
}

impl QueueView {
    /// Whether no message is ready or unsettled.
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.unacked.is_empty()
    }
}

/// A message that was delivered and is not settled.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UnackedView {
    /// The message.
    pub content: Arc<Content>,
    /// The name of the connection that holds it, as in [`ConnectionOptions`](carrot_core::ConnectionOptions).
    pub connection: String,
    /// The number of the channel that holds it, unique in its broker.
    pub channel: u64,
    /// Its tag on that channel.
    pub tag: DeliveryTag,
}

/// A consumer of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerView {
    /// The number of its channel, unique in its broker.
    pub channel: u64,
    /// Its priority; 0 unless it asked for another.
    pub priority: i64,
    /// How many more deliveries it may hold; `None` for no limit.
    pub room: Option<u32>,
    /// Whether it settles its deliveries.
    pub manual: bool,
    /// Whether it may be served: false for those that wait behind a single active consumer.
    pub active: bool,
}

impl Broker {
    /// What is in a queue; `None` if there is none of that name.
    pub fn queue(&self, name: &str) -> Option<QueueView> {
        let queue = self.core.topology.read().queue(name).cloned()?;
        Some(self.core.view(&queue))
    }

    /// The names of all queues, in alphabetical order.
    pub fn queues(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .core
            .topology
            .read()
            .queues
            .values()
            .filter(|queue| !queue.is_gone())
            .map(|queue| queue.name.to_string())
            .collect();
        names.sort_unstable();
        names
    }

    /// What an exchange was declared as; `None` if there is none of that name.
    pub fn exchange(&self, name: &str) -> Option<Exchange> {
        self.core.topology.read().exchanges.get(name).map(definition)
    }

    /// The names of all exchanges, the predeclared ones among them, in alphabetical order.
    pub fn exchanges(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.core.topology.read().exchanges.keys().map(|name| name.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// All bindings that start at an exchange, by routing key; none if there is no such exchange.
    pub fn bindings(&self, exchange: &str) -> Vec<Binding> {
        let mut bindings: Vec<Binding> = self
            .core
            .topology
            .read()
            .exchanges
            .get(exchange)
            .into_iter()
            .flat_map(|exchange| exchange.bindings())
            .collect();
        bindings.sort_by(|one, other| {
            let key = |binding: &Binding| {
                (binding.routing_key.clone(), format!("{:?}", binding.destination))
            };
            key(one).cmp(&key(other))
        });
        bindings
    }

    /// Puts a message straight into a queue, as if it had been routed there: its exchange and routing key are only what receivers see.
    /// Limits and TTLs of the queue hold for it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such queue; [`Error::PreconditionFailed`] if its expiration is no number; [`Error::Refused`] if the
    /// queue rejects what exceeds its limits.
    pub fn put(&self, queue: &str, content: impl Into<Arc<Content>>) -> Result<()> {
        let content = content.into();
        let found = self
            .core
            .topology
            .read()
            .queue(queue)
            .cloned()
            .ok_or_else(|| refusal::no_queue(queue))?;
        let expiration = content.properties.expiration().map(arguments::expiration).transpose()?;
        let accepted = found.enqueue(&self.core, Parcel::new(content), expiration);
        self.core.send_dead_letters();
        if accepted { Ok(()) } else { Err(Error::Refused) }
    }

    /// Waits until no queue holds a message, ready or unsettled.
    ///
    /// Blocks for at most `timeout`, in real time. A message that expires by a [`ManualClock`](crate::ManualClock) does so only if
    /// another thread turns it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use carrot::memory::Broker;
    ///
    /// Broker::new().settled(Duration::from_secs(1))?;
    /// # Ok::<(), carrot::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Timeout`], which names the queues that still hold messages, how many, and who holds the unsettled ones.
    pub fn settled(&self, timeout: Duration) -> Result<()> {
        self.wait_until_idle(timeout, &|| false)
    }

    /// Waits until everything is settled, or `given_up` holds, which is asked again whenever a queue runs empty.
    fn wait_until_idle(&self, timeout: Duration, given_up: &dyn Fn() -> bool) -> Result<()> {
        let idle = &self.core.idle;
        let deadline = Deadline::after(timeout);
        idle.watchers.fetch_add(1, Ordering::SeqCst);
        let mut generation = lock(&idle.generation);
        let result = loop {
            let seen = *generation;
            drop(generation);
            let busy = self.busy();
            if given_up() || (busy.is_empty() && self.core.outbox.is_empty()) {
                break Ok(());
            }
            generation = lock(&idle.generation);
            if *generation != seen {
                continue;
            }
            let passed;
            (generation, passed) = deadline.wait(&idle.changed, generation);
            if passed {
                break Err(Error::timeout(
                    format!("settling everything; there is still {}", busy.join(", ")),
                    timeout,
                ));
            }
        };
        idle.watchers.fetch_sub(1, Ordering::SeqCst);
        result
    }

    /// Waits as [`settled`](Broker::settled), or until a handler of the workers has failed: for a test of a service that is to handle
    /// everything.
    ///
    /// Blocks until then, `timeout` at most. A failed message waits for its next attempt, so it does not wait for the end of that.
    ///
    /// # Errors
    /// [`Error::Backend`] with the reason of the first handler that failed; else as [`settled`](Broker::settled).
    pub fn settled_by(&self, workers: &Workers, timeout: Duration) -> Result<()> {
        let settled = self.wait_until_idle(timeout, &|| workers.first_failure().is_some());
        match workers.first_failure() {
            None => settled,
            Some(failure) => {
                Err(Error::Backend { reason: format!("a handler failed: {failure}"), source: None })
            }
        }
    }

    fn busy(&self) -> Vec<String> {
        let queues: Vec<Arc<Queue>> = self.core.topology.read().queues.values().cloned().collect();
        let mut busy: Vec<String> = queues
            .iter()
            .filter_map(|queue| {
                let (ready, unacked) = queue.look(|ready, unacked, _| (ready.len(), unacked));
                self.core.send_dead_letters();
                if ready == 0 && unacked == 0 {
                    return None;
                }
                let mut holders = BTreeMap::<u64, usize>::new();
                self.core
                    .each_unacked(queue, |view| *holders.entry(view.channel).or_default() += 1);
                let holders: Vec<String> = holders
                    .iter()
                    .map(|(channel, count)| format!("{count} by channel {channel}"))
                    .collect();
                let by = if holders.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", holders.join(", "))
                };
                Some(format!(
                    "queue {:?} with {ready} ready and {unacked} unsettled{by}",
                    queue.name
                ))
            })
            .collect();
        busy.sort_unstable();
        busy
    }
}

impl Core {
    fn view(self: &Arc<Core>, queue: &Arc<Queue>) -> QueueView {
        let (ready, consumers) = queue.look(|ready, _, consumers| {
            let ready = ready.iter().map(|entry| Arc::clone(&entry.parcel.content)).collect();
            let consumers = consumers
                .iter()
                .map(|(consumer, active)| ConsumerView {
                    channel: consumer.channel.id,
                    priority: consumer.priority,
                    room: consumer.credit.filter(|_| consumer.manual),
                    manual: consumer.manual,
                    active,
                })
                .collect();
            (ready, consumers)
        });
        self.send_dead_letters();
        let mut unacked = Vec::new();
        self.each_unacked(queue, |view| unacked.push(view));
        let mut definition = QueueDefinition::new(&*queue.name);
        definition.durable = queue.durable;
        definition.exclusive = queue.owner.is_some();
        definition.auto_delete = queue.auto_delete;
        definition.arguments = queue.arguments.clone();
        QueueView { definition, ready, unacked, consumers }
    }

    fn each_unacked(&self, queue: &Arc<Queue>, mut each: impl FnMut(UnackedView)) {
        for connection in self.connections() {
            for channel in connection.channels() {
                channel.each_unacked(|tag, unacked| {
                    if Arc::ptr_eq(&unacked.queue, queue) {
                        each(UnackedView {
                            content: Arc::clone(&unacked.entry.parcel.content),
                            connection: connection.name.to_string(),
                            channel: channel.id,
                            tag,
                        });
                    }
                });
            }
        }
    }
}

fn definition(exchange: &crate::exchange::Exchange) -> Exchange {
    let mut definition = Exchange::new(&*exchange.name, exchange.kind.clone());
    definition.durable = exchange.durable;
    definition.auto_delete = exchange.auto_delete;
    definition.internal = exchange.internal;
    definition.arguments = exchange.arguments.clone();
    definition
}
