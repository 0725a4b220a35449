//! Consumers, which deliver messages to threads of the program.

pub(crate) mod batches;
mod callbacks;
mod counters;
pub(crate) mod death;
pub(crate) mod definition;
pub(crate) mod dispatch;
pub(crate) mod disposition;
pub(crate) mod failure;
mod figures;
pub(crate) mod handled;
pub(crate) mod handler;
pub(crate) mod handler_error;
mod held_bytes;
pub(crate) mod iter;
pub(crate) mod layer;
pub(crate) mod message;
pub(crate) mod ordered;
pub(crate) mod process;
pub(crate) mod received_body;
pub(crate) mod report;
pub(crate) mod router;
mod run;
pub(crate) mod settings;
pub(crate) mod settlement;
mod shared;
pub(crate) mod stop;
pub(crate) mod stream_offset;
mod stream_position;
mod subscribe;
mod subscribed;
pub(crate) mod worker_pool;
pub(crate) mod workers;
pub(crate) mod workers_builder;

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::backend::{Acknowledgement, ChannelOptions, ConsumeOptions, Delete, Role};
use crate::codec::body_decoder::BodyDecoder;
use crate::consumer::batches::BatchLimits;
use crate::consumer::batches::iter::Batches;
use crate::consumer::callbacks::Callback;
use crate::consumer::failure::FailurePolicy;
use crate::consumer::handled::Handled;
use crate::consumer::handler::{Handler, IntoSettlement};
use crate::consumer::iter::{FetchAll, Messages};
use crate::consumer::message::Message;
use crate::consumer::report::Report;
use crate::consumer::router::Router;
use crate::consumer::run::ConsumerRun;
use crate::consumer::settings::ConsumerSettings;
use crate::consumer::shared::ConsumerShared;
use crate::consumer::stop::{Stop, StopHandle};
use crate::consumer::stream_offset::{STREAM_OFFSET, StreamOffset};
use crate::consumer::workers_builder::WorkersBuilder;
use crate::error::Result;
use crate::recovery::channel::Declarations;
use crate::recovery::handle::ConnectionHandle;
use crate::recovery::reconnecting::ChannelOwner;

/// The bytes that may wait for the program, with automatic acknowledgement: 64 MiB.
const MAX_WAITING_BYTES: u64 = 64 << 20;

/// Receives messages from one queue.
///
/// Opened by [`Connection::consumer`](crate::Connection::consumer). A consumer declares its queue,
/// its exchanges and their bindings. Messages can then be received in several ways:
///
/// | call | returns or delivers |
/// |---|---|
/// | [`fetch`](Consumer::fetch) | one message, or none |
/// | [`fetch_all`](Consumer::fetch_all) | the messages now in the queue, one by one |
/// | [`messages`](Consumer::messages) | every message, also later ones, one by one |
/// | [`batches`](Consumer::batches) | every message, several at a time |
/// | [`register_callback`](Consumer::register_callback), [`wait`](Consumer::wait) | every message to callbacks on this thread |
/// | [`workers`](Consumer::workers) | every message to one of several threads |
///
/// The last four run until a [`StopHandle`] stops the consumer. Each message is settled on its
/// own: see [`Message`] and, for callbacks and workers, [`Handler`].
///
/// Dropping the consumer closes its channel once all of its runs have ended and all of its messages
/// are dropped. See also [`close`](Consumer::close).
pub struct Consumer {
    shared: Arc<ConsumerShared>,
    // The lock is never taken. The mutex makes the consumer `Sync` although its callbacks are not.
    callbacks: Mutex<Vec<Callback>>,
}

impl Consumer {
    pub(crate) fn open(
        connection: &Arc<ConnectionHandle>,
        settings: ConsumerSettings,
    ) -> Result<Consumer> {
        settings.validate()?;
        let ConsumerSettings {
            mut options,
            stream_offset,
            codecs,
            give_up_after,
            redeclares,
            max_held_bytes,
            max_inflated_bytes,
            queue,
            failures,
            layers,
            answer_layers,
            ..
        } = settings.clone();
        let is_stream = settings.reads_stream();
        if is_stream && !options.arguments.contains(STREAM_OFFSET) {
            options.arguments.insert(STREAM_OFFSET, stream_offset.unwrap_or(StreamOffset::Next));
        }
        let decoder = Arc::new(BodyDecoder::new(codecs, max_inflated_bytes));
        let policy =
            Arc::new(FailurePolicy::new(connection, &queue, is_stream, &options, &failures));
        let (goes_by_itself, is_exclusive) = (queue.goes_by_itself(), queue.exclusive);
        let made_again = redeclares || goes_by_itself;
        let is_passive = queue.passive;
        let last_name = Mutex::new(None);
        let mut channel_options = ChannelOptions::consume();
        // An exclusive queue belongs to the connection that other channels may use, too.
        if options.acknowledgement == Acknowledgement::Automatic && !is_exclusive {
            let bytes = max_held_bytes.unwrap_or(MAX_WAITING_BYTES);
            channel_options = channel_options.with_max_waiting_bytes(bytes);
        }
        let mut channel = connection.recovering_channel(
            channel_options,
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
        // An existing queue may turn out to be exclusive to the connection of the role.
        if is_passive && channel_options.max_waiting_bytes.is_some() {
            channel = channel.unlimited_if_locked();
        }
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
            max_held_bytes,
            goes_by_itself,
            is_exclusive,
            is_stream,
            policy,
            layers,
            answer_layers,
            runs: AtomicUsize::new(0),
            decoder,
        });
        let reopened: Arc<dyn ChannelOwner> = Arc::clone(&shared) as Arc<dyn ChannelOwner>;
        shared.channel.connection().reopen_after_loss(Role::Consume, &reopened);
        if connection.lazy {
            shared.channel.connection().reconnect(Role::Consume);
        }
        Ok(Consumer { shared, callbacks: Mutex::default() })
    }

    /// Returns the name of the queue; for a server-named queue, the name that the broker generated.
    ///
    /// Blocks for reopening the channel if it was lost, at most for the call timeout.
    ///
    /// # Errors
    /// As [`ConsumerDefinition::build`](crate::ConsumerDefinition::build), if the channel has to be
    /// reopened.
    pub fn queue(&self) -> Result<String> {
        self.shared.channel.get_or_open().map(|opened| opened.state.to_string())
    }

    /// Fetches the message at the head of the queue. Returns `None` if the queue is empty, and does
    /// not wait for a message.
    ///
    /// Blocks for one round trip, at most for the call timeout. The other calls are much faster for
    /// many messages.
    ///
    /// # Errors
    /// - [`Error::NotFound`](crate::Error::NotFound): the queue was deleted.
    /// - [`Error::Disconnected`](crate::Error::Disconnected): the connection was lost, and not
    ///   recovered in time.
    /// - [`Error::Invalid`](crate::Error::Invalid): the definition describes a stream. RabbitMQ
    ///   closes the connection over a fetch from a stream (code 540).
    pub fn fetch(&self) -> Result<Option<Message>> {
        self.shared.fetch()
    }

    /// Returns an iterator over the messages now in the queue, which ends when the queue is empty.
    /// A message that is requeued meanwhile is delivered again. A loop that drops each message
    /// without settling it, such as `fetch_all().count()`, never ends, because dropping requeues.
    ///
    /// Each step blocks as [`fetch`](Consumer::fetch) does, and fails with its errors. The iterator
    /// ends after an error.
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

    /// Returns an iterator over all messages. Its `next` blocks until a message arrives, without a
    /// time limit. [`Messages::timeout`] sets one.
    ///
    /// Each call starts its own subscription, with the consumer's prefetch.
    ///
    /// Blocks for two round trips, at most for the call timeout.
    ///
    /// # Errors
    /// - [`Error::NotFound`](crate::Error::NotFound): the queue was deleted.
    /// - [`Error::ResourceLocked`](crate::Error::ResourceLocked): the queue is exclusive to another
    ///   connection.
    /// - [`Error::HardError`](crate::Error::HardError): the broker refused the subscription.
    /// - [`Error::Disconnected`](crate::Error::Disconnected): the connection was lost, and not
    ///   recovered in time.
    /// - [`Error::Closed`](crate::Error::Closed): the consumer was closed.
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

    /// Returns an iterator over batches of at most `size` messages.
    ///
    /// A batch is complete when it has `size` messages, or when `wait` has passed after its first
    /// message arrived and no other message has arrived. It is also complete when the consumer is
    /// stopped, and when its bodies reach
    /// [`max_held_bytes`](crate::ConsumerDefinition::max_held_bytes). A `wait` of zero takes only
    /// messages that have arrived.
    ///
    /// `wait` is measured by the clock of the connection: a manual clock of the memory broker has
    /// to be advanced. The prefetch is raised to `size` if it is lower. Messages that pause after a
    /// failure, or that the program holds, count towards the prefetch. Batches are then smaller,
    /// and wait for the whole time.
    ///
    /// After a lost connection, messages that were collected are dropped from their batch, because
    /// the broker redelivers them.
    ///
    /// Each call starts its own subscription. Blocks as [`messages`](Consumer::messages) does.
    ///
    /// # Errors
    /// - As [`messages`](Consumer::messages).
    /// - [`Error::Invalid`](crate::Error::Invalid): `size` is zero.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> carrot::Result<()> {
    /// let connection = carrot::connect("memory://")?;
    /// connection.publisher().queue("prices").build()?.send_all(0..250)?;
    /// let consumer = connection.consumer("prices").build()?;
    /// for batch in consumer.batches(100, Duration::from_millis(50))?.timeout(Duration::ZERO) {
    ///     let batch = batch?;
    ///     println!("{} prices", batch.len()); // 100, 100 and 50
    ///     batch.ack()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn batches(&self, size: u16, wait: Duration) -> Result<Batches> {
        Batches::start(&self.shared, BatchLimits::new(size, wait)?)
    }

    /// Adds a callback for [`wait`](Consumer::wait). The body is decoded to the callback's first
    /// argument.
    ///
    /// Several callbacks are called in the order of their registration. The first that fails, or
    /// returns anything except an acknowledgement, is the last one called for that message.
    /// [`Handler`] describes how the message is settled.
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

    /// Adds a [`Handler`] as a callback. See [`register_callback`](Consumer::register_callback).
    pub fn register_handler<H: Handler>(&mut self, handler: H) {
        self.add(move |message, policy| {
            dispatch::handle(message, policy, |payload, message| handler.receive(payload, message))
        });
    }

    /// Adds a [`Router`] as a callback. See [`register_callback`](Consumer::register_callback).
    pub fn register_router(&mut self, router: Router) {
        self.add(move |message, policy| router.handle(message, policy));
    }

    fn run(&mut self, limit: u64, options: &ConsumeOptions) -> Result<Report> {
        let callbacks = self.callbacks.get_mut().unwrap_or_else(PoisonError::into_inner);
        callbacks::run(&self.shared, callbacks, limit, options)
    }

    fn add(&mut self, callback: impl FnMut(&Message, &FailurePolicy) -> Handled + Send + 'static) {
        self.callbacks.get_mut().unwrap_or_else(PoisonError::into_inner).push(Box::new(callback));
    }

    /// Passes every message to the callbacks, on the calling thread. Returns the numbers of settled
    /// messages once the consumer is stopped.
    ///
    /// Blocks until the consumer is stopped.
    ///
    /// # Errors
    /// - As [`messages`](Consumer::messages).
    /// - [`Error::Cancelled`](crate::Error::Cancelled): the queue was deleted.
    /// - [`Error::Invalid`](crate::Error::Invalid): no callback is registered.
    pub fn wait(&mut self) -> Result<Report> {
        self.run(u64::MAX, &self.shared.options.clone())
    }

    /// Handles this number of messages like [`wait`](Consumer::wait), and returns. No further
    /// message is prefetched.
    ///
    /// A failed message that waits at the broker and is delivered again counts again.
    ///
    /// Blocks until the messages are handled or the consumer is stopped.
    ///
    /// # Errors
    /// As [`wait`](Consumer::wait).
    pub fn handle_next(&mut self, messages: u64) -> Result<Report> {
        // With a prefetch of one, the broker sends no message beyond the limit: the last message is
        // settled after the subscription is cancelled.
        let options = ConsumeOptions { prefetch: 1, ..self.shared.options.clone() };
        self.run(messages, &options)
    }

    /// Starts the definition of worker threads that share this consumer's messages.
    ///
    /// ```
    /// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
    /// use std::time::Duration;
    /// use carrot::Message;
    ///
    /// let import = |url: String, _message: &Message| println!("importing {url}");
    /// let workers = consumer.workers(4).spawn(import)?;
    /// let report = workers.stop(Duration::from_secs(30))?;
    /// println!("{} imported", report.acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    pub fn workers(&self, threads: usize) -> WorkersBuilder<'_> {
        WorkersBuilder::new(&self.shared, threads)
    }

    /// Returns a handle that stops every run of this consumer, from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { stop: Arc::clone(&self.shared.stop) }
    }

    /// Stops every run of this consumer, as [`StopHandle::stop`] does.
    ///
    /// Blocks for one round trip, at most for the call timeout.
    ///
    /// # Errors
    /// As [`StopHandle::stop`].
    pub fn stop(&self) -> Result<()> {
        self.shared.stop.stop()
    }

    /// Deletes the ready messages of the queue, and returns their number. Unacknowledged messages
    /// stay.
    ///
    /// Blocks for one round trip, at most for the call timeout.
    ///
    /// # Errors
    /// As [`fetch`](Consumer::fetch).
    pub fn purge(&self) -> Result<u32> {
        self.shared.refuse_for_stream("purge")?;
        self.shared
            .channel
            .call(|opened, timeout| {
                opened.channel.delete(Delete::Messages { queue: &opened.state }, timeout)
            })
            .map(|deleted| deleted.message_count)
    }

    /// Stops every run and closes the channel. Earlier acknowledgements reach the broker, and
    /// unacknowledged messages are requeued.
    ///
    /// Later calls fail with [`Error::Closed`](crate::Error::Closed). A second close does nothing.
    /// Does not wait for handlers, unlike [`Workers::stop`](crate::Workers::stop).
    ///
    /// Blocks until the broker has answered, at most for twice the call timeout.
    ///
    /// # Errors
    /// - [`Error::Timeout`](crate::Error::Timeout): the broker did not answer in time.
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
