use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::de::DeserializeOwned;

use crate::consumer::dispatch;
use crate::consumer::handler::{Handler, IntoSettlement};
use crate::consumer::message::Message;
use crate::consumer::ordered::keyed_messages::KeyedMessages;
use crate::consumer::ordered::workers::{HandleDecoded, HashKey, OrderedRun};
use crate::consumer::router::Router;
use crate::consumer::shared::ConsumerShared;
use crate::consumer::workers::Workers;
use crate::error::{Error, Result};

/// Defines worker threads that handle the messages of one key in order. Created by
/// [`WorkersBuilder::ordered_by`](crate::WorkersBuilder::ordered_by).
///
/// # Order
///
/// Messages of one key are handled one after another, in the order of their delivery. Messages of
/// different keys are handled in parallel. Keys take turns: a key with many messages does not delay
/// the others. Only keys with received messages are remembered, and only by a hash of 8 bytes. Two
/// keys with the same hash wait for each other.
///
/// The order holds for one run. The broker spreads the messages of a queue over all its consumers.
/// A queue with several consumers keeps the order only with
/// [`single_active_consumer`](crate::Queue::single_active_consumer).
///
/// # Failures
///
/// | the handler | the message | its key |
/// |---|---|---|
/// | fails, panics, returns [`RetryAfter`](crate::Settlement::RetryAfter), or the body cannot be decoded | pauses in the process, unacknowledged, and is tried again | waits for the end of the pause |
/// | fails for the last time | is parked, or rejected with `discard_failed` | continues |
/// | fails with [`permanent`](crate::HandlerError::permanent), or returns [`Park`](crate::Settlement::Park) | is parked at once | continues |
/// | returns [`Reject`](crate::Settlement::Reject) | is rejected | continues |
/// | returns [`Requeue`](crate::Settlement::Requeue) | is tried again at once, without counting an attempt; stays in the process | waits |
///
/// A pausing key occupies no worker. Pauses are those of
/// [`retry`](crate::ConsumerDefinition::retry), at most 10 minutes each. A message whose pauses add
/// up to 10 minutes is parked at its next failure. If parking fails, the key waits for the next
/// pause, and the message is tried again.
///
/// A parked or rejected message leaves the order: the later messages of its key are handled without
/// it. A message that is forwarded from the parking queue becomes the last of its key.
///
/// A closure that settles messages itself, as with
/// [`spawn_raw`](crate::WorkersBuilder::spawn_raw), could settle them in any order. Workers in order
/// therefore have no such call.
///
/// # Prefetch
///
/// The [`prefetch`](crate::ConsumerDefinition::prefetch) limits the received messages of all keys
/// together. A pausing key keeps its messages unacknowledged. Once they fill the prefetch, no key
/// receives messages until the pause ends. The prefetch should therefore be several times the
/// number of messages that one key has at a time, and larger than the number of workers.
///
/// The broker closes a channel that keeps a message unacknowledged for too long, 30 minutes by
/// default. A message also waits for the pauses of earlier messages of its key. The pauses of
/// [`retry`](crate::ConsumerDefinition::retry) should be short enough for all of them.
///
/// # Losses and stops
///
/// After the loss of the connection, the broker delivers all unacknowledged messages again, in
/// order. Until the broker has noticed the loss, it delivers later messages to the next connection
/// first. A [quorum queue](crate::Queue::quorum) with
/// [`single_active_consumer`](crate::Queue::single_active_consumer) keeps the order. A classic queue
/// does not: RabbitMQ 3.10 activates the next consumer before it requeues.
///
/// A handler that still runs finishes before the next message of its key is handled. Messages whose
/// acknowledgement was lost are handled again, before the later ones. The failed attempts of a
/// message with an id stay counted. The loss ends the pauses.
///
/// A stop returns the messages that wait and pause to the queue.
///
/// ```
/// use std::time::Duration;
/// use carrot::{Message, message::Value};
///
/// # fn main() -> carrot::Result<()> {
/// let connection = carrot::connect("memory://")?;
/// let consumer = connection.consumer("account_changes").prefetch(200).build()?;
/// let workers = consumer
///     .workers(8)
///     .ordered_by(|message| message.header("account").and_then(Value::as_str).map(str::to_owned))
///     .spawn(|change: i64, _message: &Message| println!("{change:+}"))?;
/// # workers.stop(Duration::from_secs(10))?;
/// # Ok(())
/// # }
/// ```
#[must_use = "no worker runs before it is spawned"]
pub struct OrderedWorkersBuilder<'a> {
    shared: &'a Arc<ConsumerShared>,
    threads: usize,
    key: HashKey,
}

impl<'a> OrderedWorkersBuilder<'a> {
    pub(crate) fn new<K: Hash>(
        shared: &'a Arc<ConsumerShared>,
        threads: usize,
        key: impl Fn(&Message) -> K + Send + Sync + 'static,
    ) -> OrderedWorkersBuilder<'a> {
        let state = RandomState::new();
        let key = Box::new(move |message: &Message| state.hash_one(key(message)));
        OrderedWorkersBuilder { shared, threads, key }
    }

    /// Starts the threads, which pass messages to the closure. One more thread receives the
    /// messages.
    ///
    /// Blocks as [`WorkersBuilder::spawn`](crate::WorkersBuilder::spawn) does.
    ///
    /// # Errors
    /// - As [`WorkersBuilder::spawn`](crate::WorkersBuilder::spawn).
    /// - [`Error::Config`](crate::Error::Config): the consumer has
    ///   [`requeue_failed`](crate::ConsumerDefinition::requeue_failed), with which failed messages
    ///   leave the order.
    pub fn spawn<T, R>(
        self,
        handler: impl Fn(T, &Message) -> R + Send + Sync + 'static,
    ) -> Result<Workers>
    where
        T: DeserializeOwned,
        R: IntoSettlement,
    {
        self.start(Box::new(move |message, policy| {
            dispatch::handle(message, policy, |payload, message| {
                handler(payload, message).into_settlement()
            })
        }))
    }

    /// Starts the threads, which pass messages to the same [`Handler`]. Otherwise behaves as
    /// [`spawn`](OrderedWorkersBuilder::spawn).
    ///
    /// # Errors
    /// As [`spawn`](OrderedWorkersBuilder::spawn).
    pub fn spawn_handler<H: Handler>(self, handler: H) -> Result<Workers> {
        self.spawn(move |payload, message: &Message| handler.receive(payload, message))
    }

    /// Starts the threads, which pass messages to the handlers of a [`Router`]. Otherwise behaves
    /// as [`spawn`](OrderedWorkersBuilder::spawn).
    ///
    /// # Errors
    /// As [`spawn`](OrderedWorkersBuilder::spawn).
    pub fn spawn_router(self, router: Router) -> Result<Workers> {
        self.start(Box::new(move |message, policy| router.handle(message, policy)))
    }

    fn start(self, handle: HandleDecoded) -> Result<Workers> {
        if self.shared.policy.settings().requeues {
            return Err(Error::config(
                "ordered_by",
                "excludes requeue_failed, because requeued messages leave the order",
            ));
        }
        let mut workers = Workers::start(self.shared, &self.shared.options, self.threads, true)?;
        let pool = workers.pool();
        let messages = KeyedMessages::new(pool.run.policy().clock().clone(), &pool.counters);
        let run = Arc::new(OrderedRun {
            messages: Arc::new(messages),
            key: self.key,
            handle,
            keyless: AtomicU64::new(0),
        });
        // First, because workers end only after the thread that receives.
        workers.spawn_thread("receiver", &run, |pool, run| run.receive(pool), || {})?;
        for worker in 0..self.threads {
            let spawned =
                workers.spawn_worker(worker, &run, move |pool, run| run.work(worker, pool));
            if let Err(error) = spawned {
                // Stops the receiver, which may wait for a worker that was not started.
                drop(workers);
                run.messages.wake_receiver();
                return Err(error);
            }
        }
        Ok(workers)
    }
}

impl std::fmt::Debug for OrderedWorkersBuilder<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OrderedWorkersBuilder")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
