//! Sending messages.

pub(crate) mod batch;
pub(crate) mod confirmation;
pub(crate) mod definition;
mod in_flight;
pub(crate) mod message_builder;
mod pipeline;
mod settings;
mod suspects;
mod unconfirmed;
mod wait_queue;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::publisher::batch::BatchReport;
use crate::publisher::confirmation::Confirmation;
use crate::publisher::message_builder::MessageBuilder;
use crate::publisher::pipeline::PublishPipeline;
use crate::publisher::settings::PublisherSettings;
use crate::recovery::handle::ConnectionHandle;

/// Sends messages to one exchange.
///
/// Made by [`Connection::publisher`](crate::Connection::publisher). It declares its exchange, and
/// sends persistent JSON messages that the broker confirms, unless its builder says otherwise. It
/// is a handle: clones share one channel, and any number of threads may send through it at once
/// without waiting for each other's confirms.
///
/// | call | waits for | use it to |
/// |---|---|---|
/// | [`send`](Publisher::send) | the broker's confirm | send one message safely |
/// | [`send_all`](Publisher::send_all) | all confirms, after sending | send many safely and fast |
/// | [`publish`](Publisher::publish) | room in the window | send now and ask for the confirm later |
/// | [`message`](Publisher::message) | nothing | give one message its own routing key, headers, ... |
///
/// # Deadlines and lost connections
///
/// Each message has until the publisher's
/// [`send_timeout`](crate::PublisherDefinition::send_timeout) to be confirmed. If the connection is
/// lost meanwhile, another is made, and whatever is not confirmed is sent again on it, in the old
/// order and with the same message id: the broker may then have it twice. When the time has passed,
/// the message is reported with the last error, [`Error::Timeout`], [`Error::Blocked`] or what
/// connecting gave: the broker may have it or not.
///
/// # Messages that the broker refuses
///
/// A broker closes the channel over a message that it cannot take (a user id that is not ours, an
/// expiration that is no number), and the whole connection over one that it cannot read. Whatever
/// was unconfirmed is then sent again one message at a time, each confirmed before the next, and
/// the message that is refused again fails alone, with [`Error::PreconditionFailed`] or
/// [`Error::HardError`]. Messages of other publishers of the connection wait for that, for one
/// second at most. An exchange that is gone, or forbidden, concerns all: every message that is
/// unconfirmed on the channel fails, and the next ones go through another channel.
///
/// # Closing
///
/// [`close`](Publisher::close), and dropping the last handle, wait for what is still in flight,
/// each message until its own deadline.
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

/// What all handles of a publisher share; flushes when the last goes.
#[derive(Debug)]
struct PublisherShared {
    pipeline: Arc<PublishPipeline>,
}

impl Drop for PublisherShared {
    fn drop(&mut self) {
        if let Err(error) = self.pipeline.close() {
            log::warn!("a publisher was dropped with messages that were not confirmed: {error}");
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

    /// Sends one value and waits until the broker has taken responsibility for it.
    ///
    /// Blocks for one round trip, longer while the window is full, and never longer than the
    /// publisher's send timeout.
    ///
    /// # Errors
    /// [`Error::Encode`], [`Error::Invalid`]: nothing was sent. [`Error::NotFound`]: the exchange
    /// is gone. [`Error::Unroutable`]: it was mandatory and fitted no queue. [`Error::Refused`]:
    /// the broker would not take it. [`Error::PreconditionFailed`], [`Error::HardError`]: the
    /// broker refuses this message; or, for the latter, the declaration of the exchange.
    /// [`Error::Timeout`], [`Error::Blocked`], [`Error::Connect`], [`Error::Disconnected`]: it is
    /// unknown whether the broker has it. [`Error::Connect`] names the address, how long it was
    /// tried, and why there is no connection.
    pub fn send<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        self.message().send(value)
    }

    /// Sends many values, without waiting between them, and then waits until the broker has taken
    /// responsibility for all.
    ///
    /// They leave in order. A value that cannot be encoded, is invalid, unroutable or refused fails
    /// alone; any other failure also ends the sending, and every value after it fails with the same
    /// error. Blocks as long as the values take, but each for at most the send timeout.
    ///
    /// # Errors
    /// [`Error::Batch`], with the index and the error of each value that was not confirmed.
    ///
    /// ```
    /// # fn example(publisher: &carrot::Publisher) -> carrot::Result<()> {
    /// publisher.send_all(["one", "two", "three"])?;
    /// publisher.send_all((0..10_000).map(|number| format!("job {number}")))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_all<T: Serialize>(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
        let mut batch = BatchReport::default();
        let mut waiting: VecDeque<(usize, Confirmation)> = VecDeque::new();
        let mut dead: Option<Error> = None;
        for (index, value) in values.into_iter().enumerate() {
            let sent = match &dead {
                Some(error) => Err(error.clone()),
                None => self.publish(&value),
            };
            match sent {
                Ok(receipt) => waiting.push_back((index, receipt)),
                Err(error) => {
                    if dead.is_none() && ends_batch(&error) {
                        dead = Some(error.clone());
                    }
                    batch.failed(index, error);
                }
            }
            while waiting.front().is_some_and(|(_, receipt)| receipt.is_resolved()) {
                waiting
                    .pop_front()
                    .into_iter()
                    .for_each(|(index, receipt)| batch.add(index, receipt.wait()));
            }
        }
        for (index, receipt) in waiting {
            batch.add(index, receipt.wait());
        }
        batch.finish()
    }

    /// Sends one value and does not wait for the confirm: the receipt tells it later.
    ///
    /// At most [`max_in_flight`](crate::PublisherDefinition::max_in_flight) messages and
    /// [`max_bytes_in_flight`](crate::PublisherDefinition::max_bytes_in_flight) bytes are
    /// unconfirmed at once; beyond that it blocks until there is room, the send timeout at most.
    /// Threads that wait for room are served in the order in which they came.
    ///
    /// # Errors
    /// As [`send`](Publisher::send), as far as it is known yet. Also [`Error::Timeout`] if there
    /// was no room in time, or [`Error::Blocked`] if that is since the broker has blocked
    /// publishing: then nothing was sent.
    pub fn publish<T: Serialize + ?Sized>(&self, value: &T) -> Result<Confirmation> {
        self.message().publish(value)
    }

    /// Publishes one value without waiting. Fails at once where [`publish`](Publisher::publish)
    /// would wait. The receipt reports the broker's confirm.
    ///
    /// Does not block. Carrot makes a lost connection again in the background.
    ///
    /// # Errors
    /// As [`publish`](Publisher::publish); nothing was sent. [`Error::Connect`] without a
    /// connection, with the reason. [`Error::Blocked`] under an alarm. [`Error::Timeout`] if the
    /// window of unconfirmed messages or the socket buffer is full. What the broker refused when
    /// the publisher was opened again, such as [`Error::NotFound`] for a deleted exchange.
    ///
    /// ```
    /// # fn example(publisher: &carrot::Publisher) {
    /// match publisher.try_publish("a page was viewed") {
    ///     Ok(_receipt) => {}
    ///     Err(error) => log::debug!("not counted: {error}"),
    /// }
    /// # }
    /// ```
    pub fn try_publish<T: Serialize + ?Sized>(&self, value: &T) -> Result<Confirmation> {
        self.message().try_publish(value)
    }

    /// Starts one message that differs from the others: its own routing key, headers, priority, and
    /// so on.
    pub fn message(&self) -> MessageBuilder<'_> {
        MessageBuilder::new(&self.handle.pipeline)
    }

    /// Waits until every message sent so far is confirmed or has failed; each until its own
    /// deadline.
    ///
    /// # Errors
    /// [`Error::Batch`], with the failures of messages whose receipt was dropped before it could
    /// tell.
    pub fn flush(&self) -> Result<()> {
        self.handle.pipeline.flush()
    }

    /// The exchange that it sends to.
    pub fn exchange(&self) -> &str {
        self.handle.pipeline.exchange()
    }

    /// Waits for what is in flight, as [`flush`](Publisher::flush), and closes the channel. All
    /// handles are closed with it; a second call does nothing.
    ///
    /// # Errors
    /// As [`flush`](Publisher::flush); [`Error::Timeout`] if the broker did not answer the closing
    /// in time.
    pub fn close(&self) -> Result<()> {
        self.handle.pipeline.close()
    }
}

/// Whether a failure concerns more than the one message.
fn ends_batch(error: &Error) -> bool {
    !matches!(
        error,
        Error::Encode { .. } | Error::Invalid { .. } | Error::Unroutable { .. } | Error::Refused
    )
}
