use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::consumer::batches::builder::BatchWorkersBuilder;
use crate::consumer::dispatch;
use crate::consumer::handler::{Handler, IntoSettlement};
use crate::consumer::message::Message;
use crate::consumer::ordered::builder::OrderedWorkersBuilder;
use crate::consumer::process::process;
use crate::consumer::router::Router;
use crate::consumer::shared::ConsumerShared;
use crate::consumer::worker_pool::WorkerPool;
use crate::consumer::workers::Workers;
use crate::error::Result;
use crate::panic_guard::guard;
use crate::publish_layer::layer::PublishLayers;
use crate::recovery::handle::ConnectionHandle;

#[allow(unused_imports, reason = "documentation links to it")]
use crate::consumer::report::Report;
#[allow(unused_imports, reason = "documentation links to it")]
use crate::error::Error;

/// Defines worker threads. Created by [`Consumer::workers`](crate::Consumer::workers).
#[derive(Debug)]
#[must_use = "no worker runs before it is spawned"]
pub struct WorkersBuilder<'a> {
    shared: &'a Arc<ConsumerShared>,
    threads: usize,
}

impl<'a> WorkersBuilder<'a> {
    pub(crate) fn new(shared: &'a Arc<ConsumerShared>, threads: usize) -> WorkersBuilder<'a> {
        WorkersBuilder { shared, threads }
    }

    /// Starts the threads, which pass messages to the closure. [`Handler`] describes how a message
    /// is settled.
    ///
    /// All threads share one subscription: a free worker takes the next message.
    ///
    /// Blocks for two to five round trips: those of the subscription, and up to three to find and
    /// declare the parking queue.
    ///
    /// # Errors
    /// - As [`Consumer::messages`](crate::Consumer::messages).
    /// - [`Error::Invalid`]: the number of threads is zero.
    /// - [`Error::Backend`]: the system could not start a thread.
    pub fn spawn<T, R>(
        self,
        handler: impl Fn(T, &Message) -> R + Send + Sync + 'static,
    ) -> Result<Workers>
    where
        T: DeserializeOwned,
        R: IntoSettlement,
    {
        let workers = self.start(true, move |pool, message| {
            let policy = pool.run.policy();
            let mut handle = |message: &Message| {
                dispatch::handle(message, policy, |payload, message| {
                    handler(payload, message).into_settlement()
                })
            };
            process(message, &pool.run, &pool.counters, &mut handle, &mut || {});
        })?;
        Ok(workers)
    }

    /// Starts the threads, which pass messages to the same [`Handler`]. Otherwise behaves as
    /// [`spawn`](WorkersBuilder::spawn).
    ///
    /// # Errors
    /// As [`spawn`](WorkersBuilder::spawn).
    pub fn spawn_handler<H: Handler>(self, handler: H) -> Result<Workers> {
        self.spawn(move |payload, message: &Message| handler.receive(payload, message))
    }

    /// Starts the threads, which pass messages to the handlers of a [`Router`]. Otherwise behaves
    /// as [`spawn`](WorkersBuilder::spawn).
    ///
    /// # Errors
    /// As [`spawn`](WorkersBuilder::spawn).
    pub fn spawn_router(self, router: Router) -> Result<Workers> {
        self.start(true, move |pool, message| {
            let policy = pool.run.policy();
            let mut handle = |message: &Message| router.handle(message, policy);
            process(message, &pool.run, &pool.counters, &mut handle, &mut || {});
        })
    }

    /// Starts the threads, which pass whole messages to the closure. The closure settles each
    /// message itself, now or later, on any thread.
    ///
    /// A message that the closure drops, or loses in a panic, is requeued and redelivered at once.
    /// Such a closure can loop without pause. The [`Report`] does not count these messages, because
    /// they may be settled anywhere.
    ///
    /// An [`unreadable`](Message::unreadable) message does not reach the closure. It fails and is
    /// counted as with [`spawn`](WorkersBuilder::spawn). Otherwise behaves as `spawn`.
    ///
    /// # Errors
    /// As [`spawn`](WorkersBuilder::spawn).
    pub fn spawn_raw(self, handler: impl Fn(Message) + Send + Sync + 'static) -> Result<Workers> {
        self.start(false, move |pool, message| {
            if let Err(error) = message.check_readable() {
                let mut handle = |message: &Message| {
                    dispatch::undecodable(message, pool.run.policy(), error.clone())
                };
                return process(message, &pool.run, &pool.counters, &mut handle, &mut || {});
            }
            if let Err(panic) = guard(|| handler(message)) {
                log::warn!("handling a message failed: {panic} queue={:?}", pool.run.queue());
            }
        })
    }

    /// Handles the messages of one key one after another, in the order of their delivery. `key`
    /// returns the key of a message: any value that can be hashed. [`OrderedWorkersBuilder`]
    /// describes the order, and failures in it.
    ///
    /// If the function returns an `Option`, messages without a key (`None`) wait for each other,
    /// too. A message waits for no other if its key is unique, for example its
    /// [`delivery_tag`](Message::delivery_tag).
    ///
    /// `key` is called once for each delivery, on one thread, and should be fast. A message at
    /// which `key` panics is parked as after a permanent failure. An
    /// [`unreadable`](Message::unreadable) message has no key, and waits for no other.
    ///
    /// ```
    /// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
    /// use carrot::Message;
    ///
    /// let _workers = consumer
    ///     .workers(8)
    ///     .ordered_by(|message| message.routing_key().to_owned())
    ///     .spawn(|price: f64, message: &Message| println!("{}: {price}", message.routing_key()))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn ordered_by<K: Hash>(
        self,
        key: impl Fn(&Message) -> K + Send + Sync + 'static,
    ) -> OrderedWorkersBuilder<'a> {
        OrderedWorkersBuilder::new(self.shared, self.threads, key)
    }

    /// Handles messages in batches of at most `size` messages, collected for at most `wait`.
    ///
    /// ```
    /// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
    /// use std::time::Duration;
    /// use carrot::Message;
    ///
    /// let _workers = consumer.workers(2).batches(100, Duration::from_secs(1)).spawn(
    ///     |urls: Vec<String>, _messages: &[Message]| println!("importing {} URLs", urls.len()),
    /// )?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn batches(self, size: u16, wait: Duration) -> BatchWorkersBuilder<'a> {
        BatchWorkersBuilder::new(self.shared, self.threads, size, wait)
    }

    /// Returns the layers that the answers to requests pass.
    pub(crate) fn answer_layers(&self) -> &PublishLayers {
        &self.shared.answer_layers
    }

    pub(crate) fn connection(&self) -> &Arc<ConnectionHandle> {
        self.shared.policy.connection()
    }

    /// Starts the threads. Declares the parking queue if `settles` is set.
    pub(crate) fn start(
        self,
        settles: bool,
        handle: impl Fn(&WorkerPool, Message) + Send + Sync + 'static,
    ) -> Result<Workers> {
        let mut workers = Workers::start(self.shared, &self.shared.options, self.threads, settles)?;
        let handle = Arc::new(handle);
        for worker in 0..self.threads {
            workers.spawn_worker(worker, &handle, move |pool, handle| pool.work(worker, handle))?;
        }
        Ok(workers)
    }
}
