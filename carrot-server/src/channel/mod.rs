//! One open channel of a peer.

pub(crate) mod content;
pub(crate) mod methods;
pub(crate) mod output;
pub(crate) mod topology;

use std::sync::Arc;

use carrot_amqp_wire::{BodyPart, Method, ShortStr};
use carrot_backend_memory::session::{Session, SessionChannel};
use carrot_core::{Error, Result as BrokerResult};

use crate::channel::content::{ContentState, PublishedMessage};
use crate::channel::output::PeerOutput;
use crate::close::Close;
use crate::memory_budget::MemoryBudget;
use crate::outgoing::Outgoing;

/// The parts of a connection that all its channels share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChannelContext<'c> {
    pub(crate) session: &'c Session,
    pub(crate) outgoing: &'c Arc<Outgoing>,
    pub(crate) budget: &'c MemoryBudget,
    pub(crate) vhost: &'c str,
    /// The largest body of a message, in bytes.
    pub(crate) max_body: usize,
    /// Whether the peer understands that the broker cancels consumers.
    pub(crate) hears_cancels: bool,
}

/// One open channel of a peer: translates methods into calls of the broker.
#[derive(Debug)]
pub(crate) struct PeerChannel<'c> {
    pub(crate) number: u16,
    pub(crate) context: ChannelContext<'c>,
    pub(crate) broker: SessionChannel,
    pub(crate) output: Arc<PeerOutput>,
    content: ContentState<'c>,
}

impl<'c> PeerChannel<'c> {
    pub(crate) fn open(number: u16, context: ChannelContext<'c>) -> Result<PeerChannel<'c>, Close> {
        let output = Arc::new(PeerOutput::new(number, context.outgoing, context.hears_cancels));
        let broker = context
            .session
            .open_channel(Arc::clone(&output) as _)
            .map_err(|error| Close::refused(&error, context.vhost))?;
        Ok(PeerChannel { number, context, broker, output, content: ContentState::Method })
    }

    /// Handles the payload of a method frame.
    pub(crate) fn method(&mut self, payload: &[u8]) -> Result<(), Close> {
        if !matches!(self.content, ContentState::Method) {
            return Err(self.content.unexpected());
        }
        let method =
            Method::read(payload).map_err(|error| Close::malformed_method(&error, payload))?;
        self.handle(&method).map_err(|close| match close.method {
            (0, 0) if !close.text.starts_with("FRAME_ERROR") => close.caused_by(method.id()),
            _ => close,
        })
    }

    /// Handles the payload of a header frame.
    pub(crate) fn header(&mut self, payload: &[u8]) -> Result<(), Close> {
        let ChannelContext { max_body, budget, .. } = self.context;
        match self.content.header(payload, max_body, budget)? {
            Some(message) => self.publish(message),
            None => {
                self.wait_to_publish();
                Ok(())
            }
        }
    }

    /// Handles a part of a body.
    pub(crate) fn body(&mut self, part: &BodyPart<'_>) -> Result<(), Close> {
        self.wait_to_publish();
        match self.content.body(part, self.context.budget)? {
            Some(message) => self.publish(message),
            None => Ok(()),
        }
    }

    fn publish(&mut self, message: PublishedMessage) -> Result<(), Close> {
        const PUBLISH: (u16, u16) = (60, 40);
        let PublishedMessage { content, mandatory, too_large } = message;
        let refused = |error: &Error| Close::refused(error, self.context.vhost).caused_by(PUBLISH);
        if let Some(size) = too_large {
            let most = self.context.max_body;
            let reason = format!(
                "PRECONDITION_FAILED - message size {size} is larger than configured max size {most}"
            );
            self.broker.close();
            return Err(refused(&Error::PreconditionFailed { reason }));
        }
        self.broker.publish(content, mandatory).map_err(|error| refused(&error))?;
        self.wait_while_blocked(self.context.session.is_blocked());
        match self.output.failure() {
            Some(error) => Err(refused(error)),
            None => Ok(()),
        }
    }

    /// Notes that the peer publishes, and waits while the broker blocks publishers.
    fn wait_to_publish(&self) {
        self.wait_while_blocked(self.context.session.note_publication());
    }

    /// Waits while the connection is blocked, unless the server closes it.
    fn wait_while_blocked(&self, is_blocked: bool) {
        if is_blocked && !self.context.outgoing.is_sealed() {
            self.context.session.wait_until_read();
        }
    }

    /// Expects the header and the body of a message.
    pub(crate) fn expect_content(&mut self, envelope: content::Envelope) {
        self.content = ContentState::Header(envelope);
    }

    /// Sends a method.
    pub(crate) fn reply<'m>(&self, method: impl Into<Method<'m>>) {
        self.context.outgoing.method(self.number, &method.into());
    }

    /// Sends a method, unless the peer asked for no answer.
    pub(crate) fn reply_unless<'m>(&self, no_wait: bool, method: impl Into<Method<'m>>) {
        if !no_wait {
            self.reply(method);
        }
    }

    /// Translates an error of the broker.
    pub(crate) fn check<T>(&self, result: BrokerResult<T>) -> Result<T, Close> {
        result.map_err(|error| Close::refused(&error, self.context.vhost))
    }
}

/// Returns a string that has to be UTF-8, as RabbitMQ demands of names.
pub(crate) fn text<'t>(octets: ShortStr<'t>) -> Result<&'t str, Close> {
    octets.as_str().ok_or_else(Close::malformed_text)
}
