//! Publishers.

pub(crate) mod batch;
pub(crate) mod confirmation;
pub(crate) mod definition;
pub(crate) mod delayed;
mod in_flight;
pub(crate) mod message_builder;
mod pipeline;
mod recovery_waits;
pub(crate) mod send_all;
pub(crate) mod settings;
mod suspects;
mod unconfirmed;
mod window;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::error::Result;
use crate::publisher::batch::SendProgress;
use crate::publisher::confirmation::Confirmation;
use crate::publisher::message_builder::MessageBuilder;
use crate::publisher::pipeline::PublishPipeline;
use crate::publisher::send_all::send_all;
use crate::publisher::settings::PublisherSettings;
use crate::recovery::handle::ConnectionHandle;

#[allow(unused_imports, reason = "documentation links to it")]
use crate::error::Error;

/// Sends messages to one exchange.
///
/// Opened by [`Connection::publisher`](crate::Connection::publisher). By default, a publisher
/// declares its exchange and sends persistent JSON messages that the broker confirms. A publisher
/// is a handle, and clones share one channel. Any number of threads may send at once without
/// waiting for each other's confirms.
///
/// | call | waits for | use it to |
/// |---|---|---|
/// | [`send`](Publisher::send) | the broker's confirm | send one message safely |
/// | [`send_all`](Publisher::send_all) | all confirms, after sending | send many safely and fast |
/// | [`send_all_with`](Publisher::send_all_with) | the same | follow the progress, or stop |
/// | [`publish`](Publisher::publish) | room in the window | send now and wait for the confirm later |
/// | [`try_publish`](Publisher::try_publish) | nothing | send now or fail at once |
/// | [`message`](Publisher::message) | nothing | set one message's own routing key, headers, ... |
///
/// # Deadlines and lost connections
///
/// Each message must be confirmed within the publisher's
/// [`send_timeout`](crate::PublisherDefinition::send_timeout). If the connection is lost, the
/// publisher reconnects and sends all unconfirmed messages again. Their order and their message ids
/// stay the same. The broker may then have a message twice: delivery is at least once, and
/// consumers have to be idempotent.
///
/// A message that is unconfirmed at its deadline fails with the last error: [`Error::Timeout`],
/// [`Error::Blocked`] or the error of connecting. The broker may or may not have that message.
///
/// # Messages that the broker refuses
///
/// A broker closes the channel over an invalid message, such as one with another user's id or a
/// malformed expiration. A broker closes the whole connection over a message that it cannot parse.
///
/// The publisher then sends its unconfirmed messages again one at a time, and waits for each
/// confirm. The message that is refused again fails alone, with [`Error::PreconditionFailed`] or
/// [`Error::HardError`]. Other publishers of the connection wait meanwhile, at most for one second.
///
/// An exchange that was deleted or is forbidden concerns all messages. Every unconfirmed message of
/// the channel fails, and later messages are sent on a new channel.
///
/// # Closing
///
/// [`close`](Publisher::close) and dropping the last handle wait for the messages in flight, for
/// each until its own deadline.
///
/// ```
/// # fn example(connection: &carrot::Connection) -> carrot::Result<()> {
/// let publisher = connection.publisher().exchange("feed").routing_key("importer").build()?;
/// publisher.send("http://cnn.com/rss/edition.rss")?;
/// publisher.message().header("attempt", 2).send("http://cnn.com/rss/edition.rss")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Publisher {
    handle: Arc<PublisherShared>,
}

/// The state that all handles of a publisher share. Flushes when the last handle is dropped.
#[derive(Debug)]
struct PublisherShared {
    pipeline: Arc<PublishPipeline>,
}

impl Drop for PublisherShared {
    fn drop(&mut self) {
        if let Err(error) = self.pipeline.close() {
            log::warn!("publisher was dropped with unconfirmed messages: {error}");
        }
    }
}

impl Publisher {
    pub(crate) fn open(
        connection: &Arc<ConnectionHandle>,
        settings: PublisherSettings,
    ) -> Result<Publisher> {
        settings.validate()?;
        let pipeline = PublishPipeline::open(connection, settings)?;
        Ok(Publisher { handle: Arc::new(PublisherShared { pipeline }) })
    }

    /// Sends one value and waits for the broker's confirm.
    ///
    /// Blocks for one round trip, and longer while the window is full. The publisher's send timeout
    /// limits the wait.
    ///
    /// # Errors
    /// Nothing was sent:
    /// - [`Error::Encode`]: the codec failed.
    /// - [`Error::Invalid`]: a property or the size of the message is out of its limits.
    /// - [`Error::Layer`]: a layer refused the message, or panicked before it was sent. A layer may
    ///   return any other error instead.
    ///
    /// The broker does not have the message:
    /// - [`Error::NotFound`]: the exchange was deleted.
    /// - [`Error::Unroutable`]: the message was mandatory and could not be routed.
    /// - [`Error::PreconditionFailed`]: the broker refused this message.
    /// - [`Error::AccessRefused`]: the user may not publish to the exchange.
    ///
    /// At least one queue does not have the message:
    /// - [`Error::Refused`]: the broker returned a nack. Other queues that the message was routed
    ///   to may have it.
    ///
    /// The broker may or may not have the message:
    /// - [`Error::Timeout`], [`Error::Blocked`], [`Error::Disconnected`]: no confirm arrived in
    ///   time.
    /// - [`Error::Connect`]: reconnecting failed. The error names the address, the time spent and
    ///   the reason.
    /// - [`Error::HardError`]: the broker refused this message or the declaration of the exchange,
    ///   and closed the connection.
    /// - [`Error::Closed`]: the publisher or the connection was closed.
    pub fn send<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        self.message().send(value)
    }

    /// Sends many values without waiting in between, and then waits for all confirms.
    ///
    /// The values are sent in order. A value that cannot be encoded, is invalid, unroutable, nacked
    /// or refused by a layer fails alone, and so does a value without a confirm. If publishing a
    /// value fails in any other way, nothing more is sent, and all later values fail with the same
    /// error.
    ///
    /// Blocks until all values are confirmed or have failed, for each at most for the send timeout.
    ///
    /// # Errors
    /// - [`Error::Batch`]: at least one value was not confirmed. Carries the index and the error of
    ///   each such value.
    ///
    /// ```
    /// # fn example(publisher: &carrot::Publisher) -> carrot::Result<()> {
    /// publisher.send_all(["one", "two", "three"])?;
    /// publisher.send_all((0..10_000).map(|number| format!("job {number}")))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_all<T: Serialize>(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
        send_all(&self.handle.pipeline, values, None).map(drop)
    }

    /// Sends many values as [`send_all`](Publisher::send_all) does, and reports the progress.
    ///
    /// `on_progress` is called on this thread: every 100 ms while values are sent and confirmed,
    /// and once at the end with the final numbers. Each call shows the broker's answers up to then,
    /// also if the window is not full. It is not called while sending waits for room in the window
    /// or for a confirm. No lock is held during the call, and its time is lost for sending.
    ///
    /// If `on_progress` returns [`ControlFlow::Break`], no further value is taken from `values`.
    /// The values in flight are awaited. The returned numbers are those of the values sent before.
    ///
    /// A panic of `on_progress` is logged at error level. The function is then not called again,
    /// and sending continues.
    ///
    /// Blocks as [`send_all`](Publisher::send_all) does.
    ///
    /// # Errors
    /// As [`send_all`](Publisher::send_all). `on_progress` has received the numbers.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// # fn example(publisher: &carrot::Publisher) -> carrot::Result<()> {
    /// let lines = (0..100_000).map(|number| format!("line {number}"));
    /// publisher.send_all_with(lines, |progress| {
    ///     println!("{} of {} lines confirmed", progress.confirmed, progress.sent);
    ///     // Stops an import with more than 100 failures.
    ///     if progress.failed > 100 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_all_with<T: Serialize>(
        &self,
        values: impl IntoIterator<Item = T>,
        mut on_progress: impl FnMut(SendProgress) -> ControlFlow<()>,
    ) -> Result<SendProgress> {
        send_all(&self.handle.pipeline, values, Some(&mut on_progress))
    }

    /// Sends one value without waiting for the confirm. The returned [`Confirmation`] reports the
    /// confirm later.
    ///
    /// At most [`max_in_flight`](crate::PublisherDefinition::max_in_flight) messages and
    /// [`max_bytes_in_flight`](crate::PublisherDefinition::max_bytes_in_flight) bytes are
    /// unconfirmed at once. A full window is back-pressure: publishing waits until earlier messages
    /// are confirmed. Waiting threads enter the window in FIFO order.
    ///
    /// Blocks while the window is full, at most for the send timeout.
    ///
    /// # Errors
    /// - As [`send`](Publisher::send), for failures known before the confirm.
    /// - [`Error::Timeout`]: the window stayed full. Nothing was sent.
    /// - [`Error::Blocked`]: the window stayed full because the broker has blocked publishing.
    ///   Nothing was sent.
    pub fn publish<T: Serialize + ?Sized>(&self, value: &T) -> Result<Confirmation> {
        self.message().publish(value)
    }

    /// Publishes one value without waiting. Fails at once where [`publish`](Publisher::publish)
    /// would wait. The returned [`Confirmation`] reports the confirm later.
    ///
    /// Does not block. Carrot reopens a lost connection in the background.
    ///
    /// # Errors
    /// Nothing was sent.
    /// - As [`publish`](Publisher::publish).
    /// - [`Error::Connect`]: there is no connection. Carries the reason.
    /// - [`Error::Blocked`]: the broker has blocked publishing.
    /// - [`Error::Timeout`]: the window of unconfirmed messages or the socket buffer is full.
    /// - [`Error::NotFound`] and others: the broker's refusal when the publisher reopened, for
    ///   example because its exchange was deleted.
    ///
    /// ```
    /// # fn example(publisher: &carrot::Publisher) {
    /// match publisher.try_publish("a page was viewed") {
    ///     Ok(_confirmation) => {}
    ///     Err(error) => log::debug!("not counted: {error}"),
    /// }
    /// # }
    /// ```
    pub fn try_publish<T: Serialize + ?Sized>(&self, value: &T) -> Result<Confirmation> {
        self.message().try_publish(value)
    }

    /// Starts one message with its own routing key, headers, priority and other properties.
    pub fn message(&self) -> MessageBuilder<'_> {
        MessageBuilder::new(&self.handle.pipeline)
    }

    /// Declares the waiting queues for messages of this publisher with a
    /// [`delay`](MessageBuilder::delay) of up to `longest`, for the publisher's own exchange and
    /// routing key. Without this call, the first delayed messages declare them.
    ///
    /// A program that calls [`try_publish`](MessageBuilder::try_publish) with a delay must declare
    /// the waiting queues first, because that call does not wait. Does nothing if the broker needs
    /// no waiting queues.
    ///
    /// Blocks for about 15 milliseconds for each of up to 95 declarations, and then for 1.2 s on
    /// RabbitMQ, at most for the send timeout.
    ///
    /// # Errors
    /// As [`MessageBuilder::delay`], and the errors of connecting.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn example(connection: &carrot::Connection) -> carrot::Result<()> {
    /// let publisher = connection.publisher().queue("reminders").build()?;
    /// publisher.declare_delays(Duration::from_secs(86_400))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn declare_delays(&self, longest: Duration) -> Result<()> {
        self.handle.pipeline.declare_delays(longest)
    }

    /// Waits until every message sent so far is confirmed or has failed.
    ///
    /// Blocks for each message until its own deadline.
    ///
    /// # Errors
    /// - [`Error::Batch`]: messages failed after their [`Confirmation`] was dropped. Carries their
    ///   errors.
    pub fn flush(&self) -> Result<()> {
        self.handle.pipeline.flush()
    }

    /// Returns the name of the exchange that messages are sent to.
    pub fn exchange(&self) -> &str {
        self.handle.pipeline.exchange()
    }

    /// Waits for the messages in flight as [`flush`](Publisher::flush) does, and closes the
    /// channel.
    ///
    /// All handles of the publisher are closed. A second call does nothing.
    ///
    /// Blocks at most for the send timeout to flush, and as long again to close.
    ///
    /// # Errors
    /// - As [`flush`](Publisher::flush).
    /// - [`Error::Timeout`]: the broker did not answer the close of the channel in time.
    pub fn close(&self) -> Result<()> {
        self.handle.pipeline.close()
    }
}
