//! The sending half of a publisher.

mod confirms;
mod delays;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::validate;
use crate::backend::{Backend, BufferPool, ChannelOptions, Content, Declare, Publication, Role};
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::ShortString;
use crate::model::{Exchange, Properties, Queue};
use crate::publish_layer::passed_layers::{CallTime, PassedLayers, Unobserved, pass_layers};
use crate::publisher::delayed::{Delayed, SendTerms};
use crate::publisher::in_flight::{Attempt, InFlight, late_layers};
use crate::publisher::recovery_waits::WakeRecoveries;
use crate::publisher::settings::PublisherSettings;
use crate::publisher::unconfirmed::UnconfirmedMessages;
use crate::publisher::window::Window;
use crate::recovery::channel::{Declarations, Opened, RecoveringChannel};
use crate::recovery::effects::is_worth_another;
use crate::recovery::handle::ConnectionHandle;
use crate::recovery::hard_closes::HardCloses;
use crate::recovery::isolation::TakeAnswers;
use crate::recovery::reconnecting::ChannelOwner;
use crate::statistics::registry::Registered;
use crate::waiting_queues::declared_chains::DeclaredChains;

/// Sends the messages of a publisher. Confirmations keep the pipeline alive.
#[derive(Debug)]
pub(crate) struct PublishPipeline {
    definition: PublisherSettings,
    exchange: ShortString,
    routing_key: ShortString,
    properties: Properties,
    max_message_size: u64,
    /// Buffers for bodies that have to be copied.
    buffers: Arc<BufferPool>,
    channel: RecoveringChannel<()>,
    unconfirmed: Arc<UnconfirmedMessages>,
    chains: Arc<DeclaredChains>,
    /// Ends with the pipeline.
    _figures: Registered<UnconfirmedMessages>,
}

impl ChannelOwner for PublishPipeline {
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

    fn take_arrived_answers(&self) {
        self.take_answers_of_oldest();
    }
}

impl WakeRecoveries for PublishPipeline {
    fn wake_recoveries(&self) {
        self.channel.wake();
    }
}

impl PublishPipeline {
    /// Opens the channel, and declares the exchange and the queue.
    pub(crate) fn open(
        connection: &Arc<ConnectionHandle>,
        definition: PublisherSettings,
    ) -> Result<Arc<PublishPipeline>> {
        let (exchange, queue) = (definition.exchange.clone(), definition.queue.clone());
        let made_again = exchange.auto_delete || queue.as_ref().is_some_and(Queue::goes_by_itself);
        let name = ShortString::from(&exchange.name);
        let window = Window::new(definition.max_in_flight, definition.max_bytes_in_flight);
        let unconfirmed = Arc::new(UnconfirmedMessages::new(
            window,
            definition.layers.clone(),
            Arc::clone(&connection.shared.isolation),
        ));
        let options = if definition.confirms {
            ChannelOptions::publish()
        } else {
            ChannelOptions::publish().without_confirms()
        };
        let publisher: Arc<dyn TakeAnswers> = Arc::clone(&unconfirmed) as Arc<dyn TakeAnswers>;
        unconfirmed.isolation.add(&publisher);
        let unanswered = Arc::clone(&unconfirmed);
        let chains = Arc::new(DeclaredChains::new(connection));
        let declared_chains = Arc::clone(&chains);
        let channel = connection.recovering_channel(
            options,
            "publisher",
            move |channel, until, declarations| {
                declared_chains.note_loss();
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
            _figures: connection.shared.figures.publishing.register(Arc::clone(&unconfirmed)),
            unconfirmed,
            channel,
            chains,
            definition,
        };
        if !connection.lazy {
            pipeline.channel.get_or_open()?;
        }
        let pipeline = Arc::new(pipeline);
        let woken: Arc<dyn WakeRecoveries> = Arc::clone(&pipeline) as Arc<dyn WakeRecoveries>;
        pipeline.unconfirmed.recoveries.belong_to(Arc::downgrade(&woken));
        let reopened: Arc<dyn ChannelOwner> = Arc::clone(&pipeline) as Arc<dyn ChannelOwner>;
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

    /// Passes a message through the layers. `may_wait` is false for layers that must not wait.
    fn pass_layers(
        &self,
        content: &mut Arc<Content>,
        terms: SendTerms,
        deadline: Instant,
        may_wait: bool,
    ) -> Result<Unobserved<'_>> {
        let until = may_wait.then_some(deadline);
        // Not copied: the message belongs to this call alone.
        let own = Arc::make_mut(content);
        let time = CallTime { deadline, timeout: terms.timeout };
        pass_layers(&self.unconfirmed.layers, own, terms.mandatory, time, until)
    }

    /// Sends a message in a publisher without confirms. Its outcome stays unknown.
    pub(crate) fn send_unconfirmed(
        &self,
        mut content: Arc<Content>,
        terms: SendTerms,
    ) -> Result<Arc<Content>> {
        if self.unconfirmed.layers.is_empty() {
            return self.publish_unconfirmed(&content, terms).map(|()| content);
        }
        let deadline = deadline::after(terms.timeout);
        let passed = self.pass_layers(&mut content, terms, deadline, true)?;
        let left = deadline::left(deadline);
        let sent = if left.is_zero() {
            Err(late_layers(terms.timeout))
        } else {
            self.publish_unconfirmed(&content, SendTerms { timeout: left, ..terms })
        };
        passed.observe(&content, &sent, false);
        sent.map(|()| content)
    }

    fn publish_unconfirmed(&self, content: &Arc<Content>, terms: SendTerms) -> Result<()> {
        let sent = if terms.delay.is_zero() {
            self.try_unconfirmed(content, terms.mandatory, terms.timeout)
        } else {
            self.delay_unconfirmed(content, terms)
        };
        self.unconfirmed.without_confirm.count(&sent);
        sent
    }

    fn try_unconfirmed(
        &self,
        content: &Arc<Content>,
        mandatory: bool,
        timeout: Duration,
    ) -> Result<()> {
        let publication = Publication::new(content).with_mandatory(mandatory);
        validate::body(&content.body, self.max_message_size)?;
        if let Some(Opened { channel, .. }) = self.channel.current() {
            // Reads no clock, which would take about a tenth of the whole call.
            let left = self.unconfirmed.isolation.wait_within(timeout);
            match channel.publish(&publication, left) {
                Err(error) if is_of_the_channel(&error) || self.was_retired(&error) => {
                    self.lost(&channel, &error)
                }
                result => return result.map(drop),
            }
        }
        // An open channel validates the message itself. Without one, a wait for it comes first.
        publication.validate()?;
        self.publish_until_sent(&InFlight::new(
            Arc::clone(content),
            mandatory,
            timeout,
            deadline::after(timeout),
            0,
            None,
        ))
    }

    /// Sends a message once the window has room. The outcome is known within the timeout.
    pub(crate) fn send(&self, content: Arc<Content>, terms: SendTerms) -> Result<Arc<InFlight>> {
        if !self.definition.confirms {
            let content = self.send_unconfirmed(content, terms)?;
            return Ok(resolved(content, terms));
        }
        let deadline = deadline::after(terms.timeout);
        let message = if self.unconfirmed.layers.is_empty() && terms.delay.is_zero() {
            self.enter(&content, terms, deadline, || None, None)?
        } else {
            self.enter_prepared(content, terms, deadline)?
        };
        self.finish_send(message, |message| self.publish_until_sent(message))
    }

    /// Passes a message through the layers, prepares its delay, and waits for room in the window.
    #[inline(never)]
    fn enter_prepared(
        &self,
        mut content: Arc<Content>,
        terms: SendTerms,
        deadline: Instant,
    ) -> Result<Arc<InFlight>> {
        let passed = self.pass_layers(&mut content, terms, deadline, true)?;
        let entered = self
            .delay(&content, terms, Some(deadline))
            .and_then(|delayed| self.enter(&content, terms, deadline, || passed.take(), delayed));
        passed.observe(&content, &entered, true);
        entered
    }

    /// Validates a message, and waits for room in the window.
    fn enter(
        &self,
        content: &Arc<Content>,
        terms: SendTerms,
        deadline: Instant,
        passed: impl Fn() -> Option<PassedLayers>,
        delayed: Option<Delayed>,
    ) -> Result<Arc<InFlight>> {
        let SendTerms { mandatory, timeout, .. } = terms;
        self.validate(content, mandatory)?;
        self.enter_window(content.body.len(), timeout, deadline, |sequence| {
            let content = Arc::clone(content);
            let message = InFlight::new(content, mandatory, timeout, deadline, sequence, passed());
            message.with_delay(delayed.as_ref())
        })
    }

    fn validate(&self, content: &Arc<Content>, mandatory: bool) -> Result<()> {
        Publication::new(content).with_mandatory(mandatory).validate()?;
        validate::body(&content.body, self.max_message_size)
    }

    /// Publishes a message without waiting. Fails without a connection, under an alarm, with a full
    /// window, or with a full socket buffer.
    pub(crate) fn try_send(
        &self,
        mut content: Arc<Content>,
        terms: SendTerms,
    ) -> Result<Arc<InFlight>> {
        let deadline = deadline::after(terms.timeout);
        let passed = self.pass_layers(&mut content, terms, deadline, false)?;
        let sent = self.try_send_passed(&content, terms, deadline, &passed);
        passed.observe(&content, &sent, self.definition.confirms);
        sent
    }

    fn try_send_passed(
        &self,
        content: &Arc<Content>,
        terms: SendTerms,
        deadline: Instant,
        passed: &Unobserved<'_>,
    ) -> Result<Arc<InFlight>> {
        let SendTerms { mandatory, timeout, .. } = terms;
        if passed.is_late() {
            return Err(late_layers(timeout));
        }
        self.validate(content, mandatory)?;
        let connection = self.channel.connection();
        if let Some(reason) = connection.blocked() {
            return Err(Error::Blocked { reason });
        }
        let is_open = |opened: &Opened<()>| {
            connection.connector.status(Role::Publish).connected && opened.channel.check().is_ok()
        };
        let channel =
            self.channel.current().filter(is_open).ok_or_else(|| self.channel.absence())?.channel;
        let delayed = self.delay(content, terms, None)?;
        // The background thread recovers a lost channel.
        let publish = |publication: &Publication<'_>| {
            channel.publish(publication, Duration::ZERO).map_err(|error| {
                let is_gone = is_of_the_channel(&error) || self.was_retired(&error);
                if is_gone { self.channel.absence() } else { error }
            })
        };
        let new = |sequence, passed| {
            let content = Arc::clone(content);
            let message = InFlight::new(content, mandatory, timeout, deadline, sequence, passed);
            message.with_delay(delayed.as_ref())
        };
        if !self.definition.confirms {
            let sent = publish(&new(0, None).publication());
            self.unconfirmed.without_confirm.count(&sent);
            sent?;
            return Ok(resolved(Arc::clone(content), terms));
        }
        let enter = || {
            let new = |sequence| new(sequence, passed.take());
            self.unconfirmed.window.enter(content.body.len(), new)
        };
        let message = match enter() {
            Some(message) => message,
            None => {
                // It may be that no thread waits for the messages in flight.
                self.take_answers_of_oldest();
                enter().ok_or_else(|| self.no_room(Duration::ZERO))?
            }
        };
        self.finish_send(message, |message| {
            let tag = publish(&message.publication())?;
            message.sent(Attempt { channel: Arc::clone(&channel), tag });
            if !self.channel.is_current(&channel) {
                self.unconfirmed.note_loss_for(message, &channel);
                self.channel.connection().reconnect(Role::Publish);
            }
            Ok(())
        })
    }

    fn finish_send(
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

    /// Waits for room in the window.
    fn enter_window(
        &self,
        bytes: usize,
        timeout: Duration,
        deadline: Instant,
        message: impl Fn(u64) -> InFlight,
    ) -> Result<Arc<InFlight>> {
        let window = &self.unconfirmed.window;
        if let Some(message) = window.enter(bytes, &message) {
            return Ok(message);
        }
        let ticket = window.waiting.ticket(deadline).ok_or_else(|| self.no_room(timeout))?;
        loop {
            match window.enter_with_ticket(&ticket, bytes, &message) {
                Ok(message) => return Ok(message),
                Err(full) => self.make_room(&full, deadline, timeout)?,
            }
        }
    }

    /// Publishes on the current channel. Publishes again if that channel was replaced meanwhile,
    /// because the thread that replaced the channel may not have known of this message.
    fn publish_until_sent(&self, message: &InFlight) -> Result<()> {
        let current = self.channel.current();
        // The time of a wait for a channel is not that of the layers.
        let mut check_layers = current.is_some();
        let mut opened = current.map_or_else(|| self.recover(message.deadline), Ok);
        let mut was_sent = false;
        loop {
            let channel = opened?.channel;
            message.declare_again(message.deadline)?;
            self.unconfirmed.isolation.wait(message.deadline);
            let left = message.left();
            if std::mem::take(&mut check_layers) {
                message.check_layers_in_time(left)?;
            }
            match channel.publish(&message.publication(), left) {
                Ok(_) if !self.definition.confirms => return Ok(()),
                Ok(tag) => {
                    let attempt = Attempt { channel: Arc::clone(&channel), tag };
                    if was_sent {
                        self.unconfirmed.sent_again(message, attempt);
                    } else {
                        message.sent(attempt);
                    }
                    if self.channel.is_current(&channel) {
                        return Ok(());
                    }
                    was_sent = true;
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
            opened = if was_sent {
                self.recover_for(message, message.deadline)
            } else {
                self.recover(message.deadline)
            };
            let needs_no_more = match &opened {
                Ok(opened) => message.is_decided() || message.is_on(&opened.channel),
                Err(_) => was_sent && message.is_decided(),
            };
            if needs_no_more {
                return Ok(());
            }
        }
    }

    fn no_room(&self, timeout: Duration) -> Error {
        self.channel
            .explain(Error::timeout("waiting for room among the unconfirmed messages", timeout))
    }

    /// Records that a channel was lost, and which messages may be the reason.
    fn lost(&self, channel: &Arc<dyn Backend>, error: &Error) {
        if self.unconfirmed.note_loss(channel, error, &|| self.channel.is_in_nack_grace()) {
            self.channel.settled();
        }
        self.channel.failed(channel, error);
    }

    /// Returns the open channel, or opens another. If the broker closes the connection over the
    /// set-up, no message can be sent. All messages in flight then fail at once, because each
    /// further attempt would cost the connection.
    fn recover(&self, until: Instant) -> Result<Opened<()>> {
        self.recover_unless(until, &|| false)
    }

    /// Recovers as [`recover`](PublishPipeline::recover) does, for a message whose channel was
    /// lost. Fails once the outcome of the message is decided: another thread may have taken an
    /// answer of the broker.
    fn recover_for(&self, message: &InFlight, until: Instant) -> Result<Opened<()>> {
        let _waiting = self.unconfirmed.recoveries.begin();
        self.recover_unless(until, &|| message.is_decided())
    }

    fn recover_unless(&self, until: Instant, given_up: &dyn Fn() -> bool) -> Result<Opened<()>> {
        let losses = &mut HardCloses::default();
        let recovered = self.channel.recover_unless(until, given_up, losses);
        if let Err(error @ Error::HardError { .. }) = &recovered
            && self.channel.current().is_none()
        {
            self.fail_all(error);
        }
        recovered
    }

    /// Fails the published messages without an answer.
    fn fail_all(&self, error: &Error) {
        for message in
            self.unconfirmed.window.messages().iter().filter(|message| message.tag().is_some())
        {
            self.unconfirmed.resolve(message, Err(error.clone()));
        }
    }

    /// Returns whether a channel ended because this publisher replaced it.
    fn was_retired(&self, error: &Error) -> bool {
        matches!(error, Error::Closed { .. }) && !self.channel.is_closed()
    }

    /// Records that the confirmation of a message was dropped.
    pub(crate) fn abandon(&self, message: &InFlight) {
        self.unconfirmed.abandon(message);
    }

    pub(crate) fn close(&self) -> Result<()> {
        let flushed = self.flush();
        self.chains.close();
        let closed = self.channel.close(self.definition.send_timeout);
        flushed.and(closed)
    }
}

/// Returns a message that was sent without confirms.
fn resolved(content: Arc<Content>, terms: SendTerms) -> Arc<InFlight> {
    let SendTerms { mandatory, timeout, .. } = terms;
    let message = InFlight::new(content, mandatory, timeout, deadline::after(timeout), 0, None);
    message.resolve(Ok(()), |_| {});
    Arc::new(message)
}

/// Returns whether publishing failed because the channel had ended before, and not because of the
/// message. A full socket buffer is no such failure: the channel and its unconfirmed messages are
/// unharmed.
pub(super) fn is_of_the_channel(error: &Error) -> bool {
    error.is_disconnected() || error.is_channel_error() || matches!(error, Error::HardError { .. })
}

#[cfg(test)]
#[path = "pipeline/recovery_tests.rs"]
mod recovery_tests;
