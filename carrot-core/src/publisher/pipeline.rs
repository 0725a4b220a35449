//! The working part of a publisher.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::validate;
use crate::backend::{Backend, BufferPool, ChannelOptions, Content, Declare, Publication, Role};
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::ShortString;
use crate::model::{Exchange, Properties, Queue};
use crate::publisher::batch::BatchReport;
use crate::publisher::in_flight::{Attempt, BrokerAnswer, InFlight};
use crate::publisher::settings::PublisherSettings;
use crate::publisher::unconfirmed::UnconfirmedMessages;
use crate::publisher::window::{Window, WindowFull};
use crate::recovery::channel::{Declarations, Opened, RecoveringChannel};
use crate::recovery::effects::has_a_cause;
use crate::recovery::effects::is_worth_another;
use crate::recovery::effects::may_pass;
use crate::recovery::handle::ConnectionHandle;
use crate::recovery::isolation::TakeAnswers;
use crate::recovery::reconnecting::Reopen;

/// How long whoever waits for room asks for one message, before it looks whether there is room
/// without it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The working part of a publisher; receipts keep it alive.
#[derive(Debug)]
pub(crate) struct PublishPipeline {
    definition: PublisherSettings,
    exchange: ShortString,
    routing_key: ShortString,
    properties: Properties,
    max_message_size: u64,
    /// For bodies that have to be copied.
    buffers: Arc<BufferPool>,
    channel: RecoveringChannel<()>,
    unconfirmed: Arc<UnconfirmedMessages>,
}

impl Reopen for PublishPipeline {
    fn reopen(&self, deadline: Instant) -> bool {
        if let Some((channel, error)) = self.channel.ended() {
            self.lost(&channel, &error);
        }
        let reopened = self.channel.reopen(deadline);
        if let Err(error @ Error::HardError { .. }) = &reopened {
            self.fail_all(error);
        }
        reopened.is_err_and(|error| is_worth_another(&error))
    }
}

impl PublishPipeline {
    /// Opens its channel, and declares its exchange.
    pub(crate) fn open(
        connection: &ConnectionHandle,
        definition: PublisherSettings,
    ) -> Result<Arc<PublishPipeline>> {
        let (exchange, queue) = (definition.exchange.clone(), definition.queue.clone());
        let made_again = exchange.auto_delete || queue.as_ref().is_some_and(Queue::goes_by_itself);
        let name = ShortString::from(&exchange.name);
        let window = Window::new(definition.max_in_flight, definition.max_bytes_in_flight);
        let unconfirmed =
            Arc::new(UnconfirmedMessages::new(window, Arc::clone(&connection.shared.isolation)));
        let options = if definition.confirms {
            ChannelOptions::publish()
        } else {
            ChannelOptions::publish().without_confirms()
        };
        let publisher: Arc<dyn TakeAnswers> = Arc::clone(&unconfirmed) as Arc<dyn TakeAnswers>;
        unconfirmed.isolation.add(&publisher);
        let unanswered = Arc::clone(&unconfirmed);
        let channel = connection.recovering_channel(
            options,
            "publisher",
            move |channel, until, declarations| {
                let declarations = if made_again { Declarations::Made } else { declarations };
                if !exchange.is_default() {
                    let exchange = match declarations {
                        Declarations::Made => exchange.clone(),
                        Declarations::Checked => Exchange::existing(&exchange.name),
                    };
                    channel.declare(Declare::Exchange(&exchange), deadline::left(until))?;
                }
                if let Some(queue) = &queue {
                    let queue = match declarations {
                        Declarations::Made => queue.clone(),
                        Declarations::Checked => Queue::existing(&queue.name),
                    };
                    channel.declare(Declare::Queue(&queue), deadline::left(until))?;
                }
                unanswered.send_again(channel, until)
            },
        );
        let pipeline = PublishPipeline {
            exchange: name,
            routing_key: definition.routing_key.as_str().into(),
            properties: definition.template(),
            max_message_size: connection.max_message_size,
            buffers: Arc::default(),
            unconfirmed,
            channel,
            definition,
        };
        if !connection.lazy {
            pipeline.channel.get_or_open()?;
        }
        let pipeline = Arc::new(pipeline);
        let reopened: Arc<dyn Reopen> = Arc::clone(&pipeline) as Arc<dyn Reopen>;
        pipeline.channel.connection().reopen_after_loss(Role::Publish, &reopened);
        if connection.lazy {
            pipeline.channel.connection().reconnect(Role::Publish);
        }
        Ok(pipeline)
    }

    pub(crate) fn definition(&self) -> &PublisherSettings {
        &self.definition
    }

    pub(crate) fn exchange(&self) -> &ShortString {
        &self.exchange
    }

    pub(crate) fn routing_key(&self) -> &ShortString {
        &self.routing_key
    }

    pub(crate) fn buffers(&self) -> &Arc<BufferPool> {
        &self.buffers
    }

    pub(crate) fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Hands over a message whose fate nobody will know, in a publisher without confirms.
    pub(crate) fn hand_over_unconfirmed(
        &self,
        content: &Arc<Content>,
        mandatory: bool,
        timeout: Duration,
    ) -> Result<()> {
        let publication = Publication { content, mandatory };
        publication.validate()?;
        validate::body(&content.body, self.max_message_size)?;
        if let Some(Opened { channel, .. }) = self.channel.current() {
            // No clock is asked, which would take as long as a tenth of the rest.
            let left = self.unconfirmed.isolation.wait_within(timeout);
            match channel.publish(&publication, left) {
                Err(error) if is_of_the_channel(&error) || self.was_retired(&error) => {
                    self.lost(&channel, &error)
                }
                result => return result.map(drop),
            }
        }
        self.send_until_gone(&InFlight::new(
            Arc::clone(content),
            mandatory,
            timeout,
            deadline::after(timeout),
            0,
        ))
    }

    /// Hands a message over, once there is room for it. Its fate is known within `timeout`.
    pub(crate) fn hand_over(
        &self,
        content: Content,
        mandatory: bool,
        timeout: Duration,
    ) -> Result<Arc<InFlight>> {
        let content = Arc::new(content);
        if !self.definition.confirms {
            self.hand_over_unconfirmed(&content, mandatory, timeout)?;
            return Ok(unconfirmed(content, mandatory, timeout));
        }
        Publication { content: &content, mandatory }.validate()?;
        validate::body(&content.body, self.max_message_size)?;
        let message = self.let_in(&content, mandatory, timeout)?;
        self.finish_handing_over(message, |message| self.send_until_gone(message))
    }

    /// Publishes a message without waiting. Fails without a connection, under an alarm, with a full
    /// window, or with a full socket buffer.
    pub(crate) fn try_hand_over(
        &self,
        content: Content,
        mandatory: bool,
        timeout: Duration,
    ) -> Result<Arc<InFlight>> {
        let content = Arc::new(content);
        Publication { content: &content, mandatory }.validate()?;
        validate::body(&content.body, self.max_message_size)?;
        let connection = self.channel.connection();
        if let Some(reason) = connection.blocked() {
            return Err(Error::Blocked { reason });
        }
        let is_open = |opened: &Opened<()>| {
            connection.connector.status(Role::Publish).connected && opened.channel.check().is_ok()
        };
        let channel =
            self.channel.current().filter(is_open).ok_or_else(|| self.channel.absence())?.channel;
        // What a lost channel leaves is seen to in the background.
        let publish = |publication: &Publication<'_>| {
            channel.publish(publication, Duration::ZERO).map_err(|error| {
                let is_gone = is_of_the_channel(&error) || self.was_retired(&error);
                if is_gone { self.channel.absence() } else { error }
            })
        };
        if !self.definition.confirms {
            publish(&Publication { content: &content, mandatory })?;
            return Ok(unconfirmed(content, mandatory, timeout));
        }
        let deadline = deadline::after(timeout);
        let new =
            |sequence| InFlight::new(Arc::clone(&content), mandatory, timeout, deadline, sequence);
        let message = self
            .unconfirmed
            .window
            .enter(content.body.len(), new)
            .ok_or_else(|| self.no_room(Duration::ZERO))?;
        self.finish_handing_over(message, |message| {
            let tag = publish(&message.publication())?;
            message.sent(Attempt { channel: Arc::clone(&channel), tag });
            if !self.channel.is_current(&channel) {
                self.unconfirmed.note_loss_for(message, &channel);
                self.channel.connection().reconnect(Role::Publish);
            }
            Ok(())
        })
    }

    fn finish_handing_over(
        &self,
        message: Arc<InFlight>,
        send: impl FnOnce(&InFlight) -> Result<()>,
    ) -> Result<Arc<InFlight>> {
        if let Err(error) = send(&message) {
            self.unconfirmed.resolve(&message, Err(error.clone()));
            message.report();
            return Err(error);
        }
        Ok(message)
    }

    /// Waits until there is room for a message.
    fn let_in(
        &self,
        content: &Arc<Content>,
        mandatory: bool,
        timeout: Duration,
    ) -> Result<Arc<InFlight>> {
        let window = &self.unconfirmed.window;
        let deadline = deadline::after(timeout);
        let bytes = content.body.len();
        let message =
            |sequence| InFlight::new(Arc::clone(content), mandatory, timeout, deadline, sequence);
        if let Some(message) = window.enter(bytes, message) {
            return Ok(message);
        }
        let ticket = window.waiting.ticket(deadline).ok_or_else(|| self.no_room(timeout))?;
        loop {
            match window.enter_with_ticket(&ticket, bytes, message) {
                Ok(message) => return Ok(message),
                Err(full) => self.make_room(&full, deadline, timeout)?,
            }
        }
    }

    /// Publishes on the channel of the moment; once more if that was replaced meanwhile, since
    /// whoever replaced it may not have known of this message.
    fn send_until_gone(&self, message: &InFlight) -> Result<()> {
        let mut opened = self.channel.current().map_or_else(|| self.recover(message.deadline), Ok);
        loop {
            let channel = opened?.channel;
            self.unconfirmed.isolation.wait(message.deadline);
            match channel.publish(&message.publication(), message.left()) {
                Ok(_) if !self.definition.confirms => return Ok(()),
                Ok(tag) => {
                    message.sent(Attempt { channel: Arc::clone(&channel), tag });
                    if self.channel.is_current(&channel) {
                        return Ok(());
                    }
                    self.unconfirmed.note_loss_for(message, &channel);
                }
                Err(error)
                    if (is_of_the_channel(&error) || self.was_retired(&error))
                        && Instant::now() < message.deadline =>
                {
                    self.lost(&channel, &error);
                }
                Err(error) => return Err(error),
            }
            opened = self.recover(message.deadline);
            if opened
                .as_ref()
                .is_ok_and(|opened| message.is_resolved() || message.is_on(&opened.channel))
            {
                return Ok(());
            }
        }
    }

    /// Waits for the fate of the oldest message, or until there may be room without it.
    fn make_room(&self, full: &WindowFull, deadline: Instant, timeout: Duration) -> Result<()> {
        let oldest = &full.oldest;
        let look_again = Instant::now() + LOOK_AGAIN;
        if oldest.is_seen_to() {
            self.unconfirmed.window.wait_for_departure(full, deadline.min(look_again));
        } else {
            // What becomes of it is recorded, and is for others to hear; here it matters whether
            // there is room.
            let _ = self.wait_until(oldest, deadline.min(oldest.deadline), look_again);
        }
        if Instant::now() >= deadline { Err(self.no_room(timeout)) } else { Ok(()) }
    }

    fn no_room(&self, timeout: Duration) -> Error {
        self.channel
            .explain(Error::timeout("waiting for room among the unconfirmed messages", timeout))
    }

    /// Waits until `until` for the fate of a message, and records it. If its channel is lost, it is
    /// sent again on another. At the message's own deadline its fate is to be unknown.
    pub(crate) fn wait(&self, message: &InFlight, until: Instant) -> Result<()> {
        self.wait_until(message, until, until)
    }

    /// Waits as [`wait`](PublishPipeline::wait) does, but for the broker's answer only until
    /// `look_again`.
    fn wait_until(&self, message: &InFlight, until: Instant, look_again: Instant) -> Result<()> {
        let until = until.min(message.deadline);
        let unknown = loop {
            match message.ask(until.min(look_again), || self.channel.is_in_nack_grace()) {
                BrokerAnswer::Known(fate) => return fate,
                BrokerAnswer::Final(channel, fate) => {
                    if !matches!(fate, Err(Error::Refused)) {
                        self.channel.mark_working(&channel);
                    }
                    return self.resolve(message, fate);
                }
                BrokerAnswer::Refused(channel) => {
                    if let Some(channel) = channel {
                        self.channel.replace_channel(
                            &channel,
                            "it was opened after a loss and refuses messages",
                        );
                    }
                    match self.send_again(message, || message.is_refused(), until) {
                        Err(error) if !may_pass(&error) => {
                            return self.resolve(message, Err(error));
                        }
                        Err(_) if Instant::now() >= message.deadline => break Error::Refused,
                        Err(error) => break error,
                        Ok(()) => {}
                    }
                }
                BrokerAnswer::Lost(lost, error) => {
                    self.lost(&lost.channel, &error);
                    if message.is_resolved() {
                        continue;
                    }
                    if Instant::now() >= message.deadline {
                        break error;
                    }
                    if !error.is_disconnected() && !has_a_cause(&error) && !self.was_retired(&error)
                    {
                        return self.resolve(message, Err(error));
                    }
                    match self.send_again(message, || message.is_on(&lost.channel), until) {
                        Err(error) if !may_pass(&error) => {
                            return self.resolve(message, Err(error));
                        }
                        Err(error) => break error,
                        Ok(()) => {}
                    }
                }
                BrokerAnswer::Blocked(error) => break error,
                BrokerAnswer::None => {
                    break Error::timeout("the broker's confirm of a message", message.timeout);
                }
            }
        };
        if Instant::now() >= message.deadline {
            self.unconfirmed.resolve(message, Err(unknown.clone()));
        }
        message.known().unwrap_or(Err(unknown))
    }

    /// Notes that a channel is gone, and which messages may be the reason.
    fn lost(&self, channel: &Arc<dyn Backend>, error: &Error) {
        if self.unconfirmed.note_loss(channel, error, &|| self.channel.is_in_nack_grace()) {
            self.channel.settled();
        }
        self.channel.failed(channel, error);
    }

    /// The live channel, or another. If the broker closes the connection over the set-up, no
    /// message can be sent, so all that are in flight fail at once: each further attempt would cost
    /// the connection.
    fn recover(&self, until: Instant) -> Result<Opened<()>> {
        let recovered = self.channel.recover(until);
        if let Err(error @ Error::HardError { .. }) = &recovered
            && self.channel.current().is_none()
        {
            self.fail_all(error);
        }
        recovered
    }

    /// Fails what was handed over and has no answer.
    fn fail_all(&self, error: &Error) {
        for message in
            self.unconfirmed.window.messages().iter().filter(|message| message.tag().is_some())
        {
            self.unconfirmed.resolve(message, Err(error.clone()));
        }
    }

    fn resolve(&self, message: &InFlight, fate: Result<()>) -> Result<()> {
        self.unconfirmed.resolve(message, fate.clone());
        fate
    }

    /// Whether a channel ended since this publisher closed it for another.
    fn was_retired(&self, error: &Error) -> bool {
        matches!(error, Error::Closed { .. }) && !self.channel.is_closed()
    }

    /// Sees to it that a message is on another channel: opening that has sent it again, unless it
    /// was opened before, as `is_left` tells.
    fn send_again(
        &self,
        message: &InFlight,
        is_left: impl Fn() -> bool,
        until: Instant,
    ) -> Result<()> {
        let channel = self.recover(until)?.channel;
        if is_left() {
            match channel
                .publish(&message.publication(), until.saturating_duration_since(Instant::now()))
            {
                Ok(tag) => message.sent(Attempt { channel, tag }),
                Err(error) if is_of_the_channel(&error) => self.lost(&channel, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that the receipt of a message is gone.
    pub(crate) fn abandon(&self, message: &InFlight) {
        self.unconfirmed.abandon(message);
    }

    pub(crate) fn flush(&self) -> Result<()> {
        let mut batch = BatchReport::default();
        for message in self.unconfirmed.window.messages() {
            let fate = self.wait(&message, message.deadline);
            batch.confirmed += usize::from(fate.is_ok());
        }
        self.unconfirmed
            .take_unclaimed()
            .into_iter()
            .enumerate()
            .for_each(|(index, error)| batch.failed(index, error));
        batch.finish()
    }

    pub(crate) fn close(&self) -> Result<()> {
        let flushed = self.flush();
        let closed = self.channel.close(self.definition.send_timeout);
        flushed.and(closed)
    }
}

/// A message that was handed over, and about which nothing more will be known.
fn unconfirmed(content: Arc<Content>, mandatory: bool, timeout: Duration) -> Arc<InFlight> {
    let message = InFlight::new(content, mandatory, timeout, deadline::after(timeout), 0);
    message.resolve(Ok(()), |_| {});
    Arc::new(message)
}

/// Whether a failure to publish says that the channel had ended before, and nothing of the message
/// itself. A way to the broker that is congested is another matter: the channel, and what is
/// unconfirmed on it, are well.
fn is_of_the_channel(error: &Error) -> bool {
    error.is_disconnected() || error.is_channel_error() || matches!(error, Error::HardError { .. })
}
