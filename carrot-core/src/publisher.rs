use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::backend::{Backend, ChannelOptions, Content, Declare, Publication};
use crate::in_flight::{Answer, Attempt, InFlight};
use crate::session::{Session, may_pass};
use crate::window::Window;
use crate::{Connection, Error, Outgoing, Properties, PublisherDefinition, Receipt, Result};

/// Sends messages to one exchange.
///
/// Made by [`Connection::publisher`]. It declares its exchange, and sends persistent JSON messages that the broker confirms, unless its
/// builder says otherwise. It is a handle: clones share one channel, and any number of threads may send through it at once without
/// waiting for each other's confirms.
///
/// | call | waits for | use it to |
/// |---|---|---|
/// | [`send`](Publisher::send) | the broker's confirm | send one message safely |
/// | [`send_all`](Publisher::send_all) | all confirms, after sending | send many safely and fast |
/// | [`publish`](Publisher::publish) | room in the window | send now and ask for the confirm later |
/// | [`message`](Publisher::message) | nothing | give one message its own routing key, headers, ... |
///
/// # Deadlines
///
/// Each message has until the publisher's [`send_timeout`](crate::PublisherBuilder::send_timeout) to be confirmed. When that passes, it is
/// reported as [`Error::Timeout`] (or [`Error::Blocked`]): the broker may have it or not.
///
/// # Closing
///
/// [`close`](Publisher::close), and dropping the last handle, wait for what is still in flight, each message until its own deadline.
///
/// ```
/// # fn example(connection: &carrot_core::Connection) -> carrot_core::Result<()> {
/// let publisher = connection.publisher().exchange("feed").routing_key("importer").build()?;
/// publisher.send("http://cnn.com/rss/edition.rss")?;
/// publisher.message().header("attempt", 2).send("http://cnn.com/rss/edition.rss")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Publisher {
    handle: Arc<Handle>,
}

/// What all handles of a publisher share; flushes when the last goes.
#[derive(Debug)]
struct Handle {
    sender: Arc<Sender>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.sender.close() {
            log::warn!("a publisher was dropped with messages that were not confirmed: {error}");
        }
    }
}

impl Publisher {
    pub(crate) fn open(connection: &Connection, definition: PublisherDefinition) -> Result<Publisher> {
        let exchange = definition.exchange.clone();
        let name: Arc<str> = exchange.name.as_str().into();
        let window = Arc::new(Window::new(definition.max_in_flight, definition.max_bytes_in_flight));
        let unclaimed = Arc::new(Unclaimed::default());
        let options = if definition.confirms { ChannelOptions::publish() } else { ChannelOptions::publish().without_confirms() };
        let backlog = Backlog { window: Arc::clone(&window), unclaimed: Arc::clone(&unclaimed) };
        let session = connection.session(options, "publisher", move |channel| {
            if !exchange.is_default() {
                channel.declare(Declare::Exchange(&exchange))?;
            }
            backlog.send_again(channel)
        });
        let sender = Sender {
            exchange: name,
            routing_key: definition.routing_key.as_str().into(),
            properties: definition.template(),
            backlog: Backlog { window, unclaimed },
            session,
            definition,
        };
        sender.session.channel()?;
        Ok(Publisher { handle: Arc::new(Handle { sender: Arc::new(sender) }) })
    }

    /// Sends one value and waits until the broker has taken responsibility for it.
    ///
    /// Blocks for one round trip, longer while the window is full, and never longer than the publisher's send timeout.
    ///
    /// # Errors
    /// [`Error::Encode`], [`Error::Invalid`]: nothing was sent. [`Error::NotFound`]: the exchange is gone. [`Error::Unroutable`]: it was
    /// mandatory and fitted no queue. [`Error::Refused`]: the broker would not take it. [`Error::Timeout`], [`Error::Blocked`],
    /// [`Error::Disconnected`]: it is unknown whether the broker has it.
    pub fn send<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        self.message().send(value)
    }

    /// Sends many values, without waiting between them, and then waits until the broker has taken responsibility for all.
    ///
    /// They leave in order. A value that cannot be encoded, is invalid, unroutable or refused fails alone; any other failure also ends the
    /// sending, and every value after it fails with the same error. Blocks as long as the values take, but each for at most the send
    /// timeout.
    ///
    /// # Errors
    /// [`Error::Batch`], with the index and the error of each value that was not confirmed.
    ///
    /// ```
    /// # fn example(publisher: &carrot_core::Publisher) -> carrot_core::Result<()> {
    /// publisher.send_all(["one", "two", "three"])?;
    /// publisher.send_all((0..10_000).map(|number| format!("job {number}")))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_all<T: Serialize>(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
        let mut batch = BatchReport::default();
        let mut waiting: VecDeque<(usize, Receipt)> = VecDeque::new();
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
                waiting.pop_front().into_iter().for_each(|(index, receipt)| batch.add(index, receipt.wait()));
            }
        }
        for (index, receipt) in waiting {
            batch.add(index, receipt.wait());
        }
        batch.finish()
    }

    /// Sends one value and does not wait for the confirm: the receipt tells it later.
    ///
    /// At most [`max_in_flight`](crate::PublisherBuilder::max_in_flight) messages and
    /// [`max_bytes_in_flight`](crate::PublisherBuilder::max_bytes_in_flight) bytes are unconfirmed at once; beyond that it blocks until
    /// the oldest is confirmed, the send timeout at most.
    ///
    /// # Errors
    /// As [`send`](Publisher::send), as far as it is known yet.
    pub fn publish<T: Serialize + ?Sized>(&self, value: &T) -> Result<Receipt> {
        self.message().publish(value)
    }

    /// Starts one message that differs from the others: its own routing key, headers, priority, and so on.
    pub fn message(&self) -> Outgoing<'_> {
        Outgoing::new(&self.handle.sender)
    }

    /// Waits until every message sent so far is confirmed or has failed; each until its own deadline.
    ///
    /// # Errors
    /// [`Error::Batch`], with the failures of messages whose receipt was dropped before it could tell.
    pub fn flush(&self) -> Result<()> {
        self.handle.sender.flush()
    }

    /// The exchange that it sends to.
    pub fn exchange(&self) -> &str {
        &self.handle.sender.exchange
    }

    /// Waits for what is in flight, as [`flush`](Publisher::flush), and closes the channel. All handles are closed with it; a second
    /// call does nothing.
    ///
    /// # Errors
    /// As [`flush`](Publisher::flush); [`Error::Timeout`] if the broker did not answer the closing in time.
    pub fn close(&self) -> Result<()> {
        self.handle.sender.close()
    }
}

/// The working part of a publisher; receipts keep it alive.
#[derive(Debug)]
pub(crate) struct Sender {
    definition: PublisherDefinition,
    exchange: Arc<str>,
    routing_key: Arc<str>,
    properties: Properties,
    session: Session<()>,
    backlog: Backlog,
}

impl Sender {
    pub(crate) fn definition(&self) -> &PublisherDefinition {
        &self.definition
    }

    pub(crate) fn exchange(&self) -> &Arc<str> {
        &self.exchange
    }

    pub(crate) fn routing_key(&self) -> &Arc<str> {
        &self.routing_key
    }

    pub(crate) fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Hands a message over, once there is room for it.
    pub(crate) fn hand_over(&self, content: Content, mandatory: bool) -> Result<Arc<InFlight>> {
        let content = Arc::new(content);
        Publication { content: &content, mandatory }.validate()?;
        let timeout = self.definition.send_timeout;
        let deadline = Instant::now() + timeout;
        let message = loop {
            match self.backlog.window.enter(&content, mandatory, timeout, deadline) {
                Ok(message) => break message,
                Err(oldest) => self.make_room(&oldest, deadline, timeout)?,
            }
        };
        match self.send_until_gone(&message) {
            Ok(()) if self.definition.confirms => {}
            Ok(()) => self.backlog.resolve(&message, Ok(())),
            Err(error) => {
                self.backlog.resolve(&message, Err(error.clone()));
                message.report();
                return Err(error);
            }
        }
        Ok(message)
    }

    /// Publishes on the channel of the moment; once more if that was replaced meanwhile, since whoever replaced it may not have known of
    /// this message.
    fn send_until_gone(&self, message: &InFlight) -> Result<()> {
        let mut opened = self.session.channel();
        loop {
            let channel = match opened {
                Ok(opened) => opened.channel,
                Err(error) if !may_pass(&error) => return Err(error),
                Err(_) => self.session.recover(message.deadline)?.channel,
            };
            match channel.publish(&message.publication()) {
                Ok(tag) => {
                    message.sent(Attempt { channel: Arc::clone(&channel), tag });
                    if !self.definition.confirms || self.session.is_current(&channel) {
                        return Ok(());
                    }
                }
                Err(error) => {
                    self.session.failed(&channel, &error);
                    if !is_of_the_channel(&error) || Instant::now() >= message.deadline {
                        return Err(error);
                    }
                }
            }
            opened = self.session.recover(message.deadline);
            if opened.as_ref().is_ok_and(|opened| message.is_resolved() || message.is_on(&opened.channel)) {
                return Ok(());
            }
        }
    }

    fn make_room(&self, oldest: &InFlight, deadline: Instant, timeout: Duration) -> Result<()> {
        match self.wait(oldest, deadline.min(oldest.deadline)) {
            Err(error @ Error::Blocked { .. }) if Instant::now() >= deadline => Err(error),
            _ if Instant::now() >= deadline => Err(Error::timeout("waiting for room among the unconfirmed messages", timeout)),
            _ => Ok(()),
        }
    }

    /// Waits until `until` for the fate of a message, and records it. If its channel is lost, it is sent again on another. At the
    /// message's own deadline its fate is to be unknown.
    pub(crate) fn wait(&self, message: &InFlight, until: Instant) -> Result<()> {
        let until = until.min(message.deadline);
        let unknown = loop {
            match message.ask(until) {
                Answer::Known(fate) => return fate,
                Answer::Final(fate) => {
                    self.backlog.resolve(message, fate.clone());
                    return fate;
                }
                Answer::Lost(lost, error) => {
                    self.session.failed(&lost.channel, &error);
                    if !error.is_disconnected() {
                        self.backlog.resolve(message, Err(error.clone()));
                        return Err(error);
                    }
                    if let Err(error) = self.send_again(message, &lost, until) {
                        if !may_pass(&error) {
                            self.backlog.resolve(message, Err(error.clone()));
                            return Err(error);
                        }
                        break error;
                    }
                }
                Answer::Blocked(error) => break error,
                Answer::None => break Error::timeout("the broker's confirm of a message", message.timeout),
            }
        };
        if Instant::now() >= message.deadline {
            self.backlog.resolve(message, Err(unknown.clone()));
        }
        Err(unknown)
    }

    /// Sees to it that a message whose channel is lost is on another: opening that has sent it again, unless it was opened before.
    fn send_again(&self, message: &InFlight, lost: &Attempt, until: Instant) -> Result<()> {
        let channel = self.session.recover(until)?.channel;
        if message.is_on(&lost.channel) {
            let tag = channel.publish(&message.publication()).inspect_err(|error| self.session.failed(&channel, error))?;
            message.sent(Attempt { channel, tag });
        }
        Ok(())
    }

    /// Says that the receipt of a message is gone.
    pub(crate) fn abandon(&self, message: &InFlight) {
        self.backlog.unclaimed.keep(message.abandon());
    }

    fn flush(&self) -> Result<()> {
        let mut batch = BatchReport::default();
        for message in self.backlog.window.messages() {
            let fate = self.wait(&message, message.deadline);
            batch.confirmed += usize::from(fate.is_ok());
        }
        let unclaimed = std::mem::take(&mut *self.backlog.unclaimed.lock());
        unclaimed.into_iter().enumerate().for_each(|(index, error)| batch.failed(index, error));
        batch.finish()
    }

    fn close(&self) -> Result<()> {
        let flushed = self.flush();
        let closed = self.session.close(self.definition.send_timeout);
        flushed.and(closed)
    }
}

/// The messages that are not confirmed, and the failures that nobody was told.
#[derive(Debug)]
struct Backlog {
    window: Arc<Window>,
    unclaimed: Arc<Unclaimed>,
}

impl Backlog {
    fn resolve(&self, message: &InFlight, fate: Result<()>) {
        if let Some(unclaimed) = message.resolve(fate) {
            self.window.leave(message);
            self.unclaimed.keep(unclaimed);
        }
    }

    /// Sends what was on a channel before `channel` and has no answer, in the old order, before anything new can be sent.
    fn send_again(&self, channel: &Arc<dyn Backend>) -> Result<()> {
        for message in self.window.messages().iter().filter(|message| message.is_elsewhere_than(channel)) {
            match channel.publish(&message.publication()) {
                Ok(tag) => message.sent(Attempt { channel: Arc::clone(channel), tag }),
                Err(error @ Error::Invalid { .. }) => self.resolve(message, Err(error)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Failures of messages whose receipt is gone, for the next flush to tell.
#[derive(Debug, Default)]
struct Unclaimed(Mutex<Vec<Error>>);

impl Unclaimed {
    fn keep(&self, unclaimed: Result<()>) {
        if let Err(error) = unclaimed {
            log::warn!("a message whose receipt was dropped was not confirmed: {error}");
            self.lock().push(error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects how the messages of a batch went.
#[derive(Default)]
struct BatchReport {
    confirmed: usize,
    failures: Vec<(usize, Error)>,
}

impl BatchReport {
    fn add(&mut self, index: usize, fate: Result<()>) {
        match fate {
            Ok(()) => self.confirmed += 1,
            Err(error) => self.failed(index, error),
        }
    }

    fn failed(&mut self, index: usize, error: Error) {
        self.failures.push((index, error));
    }

    fn finish(mut self) -> Result<()> {
        if self.failures.is_empty() {
            return Ok(());
        }
        self.failures.sort_by_key(|(index, _)| *index);
        Err(Error::Batch { confirmed: self.confirmed, failures: self.failures })
    }
}

/// Whether a failure to publish says nothing of the message itself: the channel had ended before.
fn is_of_the_channel(error: &Error) -> bool {
    error.is_disconnected() || error.is_channel_error()
}

/// Whether a failure concerns more than the one message.
fn ends_batch(error: &Error) -> bool {
    !matches!(error, Error::Encode { .. } | Error::Invalid { .. } | Error::Unroutable { .. } | Error::Refused)
}
