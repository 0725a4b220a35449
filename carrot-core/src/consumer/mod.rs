//! Taking messages from queues, on threads of the program.

mod counters;
pub(crate) mod death;
pub(crate) mod definition;
mod dispatch;
pub(crate) mod failure;
pub(crate) mod handler;
pub(crate) mod handler_error;
pub(crate) mod iter;
pub(crate) mod message;
mod process;
pub(crate) mod report;
mod run;
mod settings;
pub(crate) mod settlement;
mod shared;
pub(crate) mod stop;
mod subscribed;
pub(crate) mod workers;

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;

use crate::backend::{ChannelOptions, ConsumeOptions, Delete, Role};
use crate::consumer::counters::RunCounters;
use crate::consumer::dispatch::Handled;
use crate::consumer::failure::FailurePolicy;
use crate::consumer::handler::{Handler, IntoSettlement};
use crate::consumer::iter::{FetchAll, Messages};
use crate::consumer::message::Message;
use crate::consumer::process::process;
use crate::consumer::report::Report;
use crate::consumer::run::{CachedSubscription, ConsumerRun};
use crate::consumer::settings::ConsumerSettings;
use crate::consumer::settlement::Settlement;
use crate::consumer::shared::ConsumerShared;
use crate::consumer::stop::{Stop, StopHandle};
use crate::consumer::workers::WorkersBuilder;
use crate::deadline::FOREVER;
use crate::error::{Error, Result};
use crate::recovery::channel::Declarations;
use crate::recovery::handle::ConnectionHandle;
use crate::recovery::reconnecting::Reopen;

/// Takes messages from one queue.
///
/// Made by [`Connection::consumer`](crate::Connection::consumer). It declares its queue, its
/// exchanges and the bindings between them. Then messages can be taken in any of these ways:
///
/// | call | gives |
/// |---|---|
/// | [`fetch`](Consumer::fetch) | one message, or none |
/// | [`fetch_all`](Consumer::fetch_all) | what is in the queue now, one by one |
/// | [`messages`](Consumer::messages) | every message as it comes, one by one |
/// | [`register_callback`](Consumer::register_callback), [`wait`](Consumer::wait) | every message to callbacks on this thread |
/// | [`workers`](Consumer::workers) | every message to one of several threads |
///
/// The last three run until the [`StopHandle`] stops them. Messages are settled one by one: see
/// [`Message`] and, for callbacks and workers, [`Handler`].
///
/// Dropping it closes its channel, once no run and no message of it is left; see
/// [`close`](Consumer::close).
pub struct Consumer {
    shared: Arc<ConsumerShared>,
    // The lock is never taken; it makes the consumer `Sync` while its callbacks are not.
    callbacks: Mutex<Vec<Callback>>,
}

type Callback = Box<dyn FnMut(&Message, &FailurePolicy) -> Handled + Send>;

impl Consumer {
    pub(crate) fn open(
        connection: &Arc<ConnectionHandle>,
        settings: ConsumerSettings,
    ) -> Result<Consumer> {
        settings.validate()?;
        let ConsumerSettings {
            options, codecs, give_up_after, redeclares, queue, failures, ..
        } = settings.clone();
        let codecs = Arc::new(codecs);
        let policy = Arc::new(FailurePolicy::new(connection, &queue, &options, &failures));
        let last_name = Mutex::new(None);
        let (made_again, is_exclusive) = (redeclares || queue.goes_by_itself(), queue.exclusive);
        let channel = connection.recovering_channel(
            ChannelOptions::consume(),
            "consumer",
            move |channel, deadline, declarations| {
                let last = || last_name.lock().unwrap_or_else(PoisonError::into_inner);
                let name = match declarations {
                    Declarations::Checked if !made_again => {
                        settings.check(&**channel, last().clone().as_ref(), deadline)
                    }
                    _ => settings.declare(&**channel, deadline),
                }?;
                *last() = Some(Arc::clone(&name));
                Ok(name)
            },
        );
        if !connection.lazy {
            channel.get_or_open()?;
        }
        let stop = Arc::new(Stop::new(channel.connection(), &policy));
        let shared = Arc::new(ConsumerShared {
            channel,
            stop,
            options,
            give_up_after,
            redeclares,
            is_exclusive,
            policy,
            runs: AtomicUsize::new(0),
            codecs,
        });
        let reopened: Arc<dyn Reopen> = Arc::clone(&shared) as Arc<dyn Reopen>;
        shared.channel.connection().reopen_after_loss(Role::Consume, &reopened);
        if connection.lazy {
            shared.channel.connection().reconnect(Role::Consume);
        }
        Ok(Consumer { shared, callbacks: Mutex::default() })
    }

    /// The name of its queue; the one that the broker made up if the queue is server-named.
    ///
    /// # Errors
    /// What opening gives, if its channel was lost and has to be opened again.
    pub fn queue(&self) -> Result<String> {
        self.shared.channel.get_or_open().map(|opened| opened.state.to_string())
    }

    /// Takes the message at the head of the queue; `None` if the queue is empty. Does not wait for
    /// a message to come.
    ///
    /// Blocks for one round trip, the call timeout at most. To take many messages, the other ways
    /// are much faster.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if the queue is gone,
    /// [`Error::Disconnected`](crate::Error::Disconnected).
    pub fn fetch(&self) -> Result<Option<Message>> {
        self.shared.fetch()
    }

    /// What is in the queue now, message by message, until it is empty. A message that is requeued
    /// meanwhile comes again.
    ///
    /// ```
    /// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
    /// for message in consumer.fetch_all().take(100) {
    ///     message?.ack()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn fetch_all(&self) -> FetchAll<'_> {
        FetchAll::new(&self.shared)
    }

    /// Every message as it comes, in an iterator that blocks until the next one, without end; see
    /// [`Messages`] for one that ends.
    ///
    /// Each call starts a subscription of its own, with the consumer's prefetch. Blocks for two
    /// round trips.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound),
    /// [`Error::ResourceLocked`](crate::Error::ResourceLocked),
    /// [`Error::Disconnected`](crate::Error::Disconnected).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
    /// for message in consumer.messages()?.timeout(Duration::from_secs(5)) {
    ///     let message = message?;
    ///     println!("{:?}", message.text());
    ///     message.ack()?;
    /// }
    /// println!("nothing for five seconds");
    /// # Ok(())
    /// # }
    /// ```
    pub fn messages(&self) -> Result<Messages> {
        ConsumerRun::start(&self.shared, &self.shared.options).map(Messages::new)
    }

    /// Adds a callback for [`wait`](Consumer::wait). Several are called in the order in which they
    /// were added, each with the body decoded to the type it takes; the first that fails, or
    /// decides on anything but an acknowledgement, is the last one called. How the message is
    /// settled: see [`Handler`].
    ///
    /// ```
    /// # fn example(mut consumer: carrot::Consumer) -> carrot::Result<()> {
    /// use carrot::{Message, Settlement};
    ///
    /// consumer.register_callback(|url: String, _message: &Message| {
    ///     if url.starts_with("http") { Settlement::Ack } else { Settlement::Reject }
    /// });
    /// consumer.handle_next(10)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn register_callback<T, R>(
        &mut self,
        mut callback: impl FnMut(T, &Message) -> R + Send + 'static,
    ) where
        T: DeserializeOwned,
        R: IntoSettlement,
    {
        self.add(move |message, policy| {
            dispatch::handle(message, policy, |payload, message| {
                callback(payload, message).into_settlement()
            })
        });
    }

    /// Adds a [`Handler`] as a callback; see [`register_callback`](Consumer::register_callback).
    pub fn register_handler<H: Handler>(&mut self, handler: H) {
        self.add(move |message, policy| {
            dispatch::handle(message, policy, |payload, message| handler.receive(payload, message))
        });
    }

    fn add(&mut self, callback: impl FnMut(&Message, &FailurePolicy) -> Handled + Send + 'static) {
        self.callbacks.get_mut().unwrap_or_else(PoisonError::into_inner).push(Box::new(callback));
    }

    /// Hands every message to the callbacks, on this thread, until the consumer is stopped; tells
    /// how they went.
    ///
    /// Without a callback, messages cannot be handled, and it gives an error at once.
    ///
    /// # Errors
    /// As [`messages`](Consumer::messages); [`Error::Cancelled`](crate::Error::Cancelled) if the
    /// queue is deleted; [`Error::Invalid`](crate::Error::Invalid) without a callback.
    pub fn wait(&mut self) -> Result<Report> {
        self.run(u64::MAX, &self.shared.options.clone())
    }

    /// Like [`wait`](Consumer::wait), but for this number of messages: exactly these are taken,
    /// none is taken ahead. A failed message that waits at the broker and comes again counts again.
    ///
    /// # Errors
    /// As [`wait`](Consumer::wait).
    pub fn handle_next(&mut self, messages: u64) -> Result<Report> {
        // With a prefetch of one, and the last message settled after the cancelling, the broker has
        // no chance to send one too many.
        let options = ConsumeOptions { prefetch: 1, ..self.shared.options.clone() };
        self.run(messages, &options)
    }

    fn run(&mut self, limit: u64, options: &ConsumeOptions) -> Result<Report> {
        let callbacks = self.callbacks.get_mut().unwrap_or_else(PoisonError::into_inner);
        if callbacks.is_empty() {
            return Err(Error::invalid(
                "callbacks",
                "none",
                "at least one has to be registered before waiting",
            ));
        }
        if limit == 0 {
            return Ok(Report::default());
        }
        let run = ConsumerRun::start(&self.shared, options)?;
        let (policy, stopped) = (run.policy(), || run.is_stopped());
        policy.prepare(&run.queue());
        let counters = RunCounters::new(policy);
        let mut cached = CachedSubscription::default();
        for number in 1..=limit {
            counters.wait_for_breaker(&stopped);
            let Some(message) = next(&run, &mut cached)? else { break };
            let mut cancelled = Ok(());
            let mut cancel_last = || {
                if number == limit {
                    cancelled = run.cancel();
                }
            };
            process(
                message,
                &run,
                &counters,
                &mut |message| handle_all(callbacks, message, policy),
                &mut cancel_last,
            );
            cancelled?;
        }
        run.cancel()?;
        Ok(run.report(&counters))
    }

    /// Starts the definition of worker threads that share this consumer's messages.
    ///
    /// ```
    /// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
    /// use std::time::Duration;
    /// use carrot::Message;
    ///
    /// let workers = consumer.workers(4).spawn(|url: String, _message: &Message| println!("importing {url}"))?;
    /// let report = workers.stop(Duration::from_secs(30))?;
    /// println!("{} imported", report.acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    pub fn workers(&self, threads: usize) -> WorkersBuilder<'_> {
        WorkersBuilder::new(&self.shared, threads)
    }

    /// A handle that stops every run of this consumer, from wherever it is used.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { stop: Arc::clone(&self.shared.stop) }
    }

    /// Stops every run of this consumer; as [`StopHandle::stop`].
    ///
    /// # Errors
    /// As [`StopHandle::stop`].
    pub fn stop(&self) -> Result<()> {
        self.shared.stop.stop()
    }

    /// Deletes the ready messages of the queue; tells how many. Messages that wait for their
    /// settlement stay.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// As [`fetch`](Consumer::fetch).
    pub fn purge(&self) -> Result<u32> {
        self.shared
            .channel
            .call(|opened, timeout| {
                opened.channel.delete(Delete::Messages { queue: &opened.state }, timeout)
            })
            .map(|deleted| deleted.message_count)
    }

    /// Stops every run and closes the channel: acknowledgements given so far reach the broker, and
    /// messages not settled return to the queue. Further calls give
    /// [`Error::Closed`](crate::Error::Closed); a second close does nothing.
    ///
    /// Blocks until the broker has answered, twice the call timeout at most; not until handlers
    /// have finished, which [`Workers::stop`](crate::Workers::stop) does.
    ///
    /// # Errors
    /// [`Error::Timeout`](crate::Error::Timeout),
    /// [`Error::Disconnected`](crate::Error::Disconnected).
    pub fn close(&self) -> Result<()> {
        let stopped = self.shared.stop.stop();
        let closed = self.shared.channel.close(self.shared.channel.connection().call_timeout);
        closed.and(stopped)
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Consumer").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// The next message; `None` once the consumer was stopped.
fn next(run: &ConsumerRun, cached: &mut CachedSubscription) -> Result<Option<Message>> {
    loop {
        match run.next(cached, FOREVER)? {
            None if !run.is_stopped() => {}
            message => return Ok(message),
        }
    }
}

fn handle_all(callbacks: &mut [Callback], message: &Message, policy: &FailurePolicy) -> Handled {
    let mut outcome = Handled::Settled(Settlement::Ack);
    for callback in callbacks {
        outcome = callback(message, policy);
        if outcome != Handled::Settled(Settlement::Ack) {
            break;
        }
    }
    outcome
}
