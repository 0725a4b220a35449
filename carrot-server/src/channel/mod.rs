//! One open channel of a peer.

pub(crate) mod content;
pub(crate) mod methods;
pub(crate) mod output;
pub(crate) mod topology;

use std::sync::Arc;

use carrot_amqp_wire::{Method, ShortStr};
use carrot_backend_memory::session::{Session, SessionChannel};
use carrot_core::backend::Content;
use carrot_core::{Error, Result as BrokerResult};
use carrot_listener::MemoryBudget;

use crate::channel::content::{Envelope, PUBLISH, PublishedMessage};
use crate::channel::output::PeerOutput;
use crate::close::Close;
use crate::outgoing::Outgoing;
use carrot_amqp_wire::PropertyForwarding;

/// The parts of a connection that all its channels share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChannelContext<'c> {
    pub(crate) session: &'c Session,
    pub(crate) outgoing: &'c Arc<Outgoing>,
    pub(crate) budget: &'c MemoryBudget,
    pub(crate) vhost: &'c str,
    pub(crate) forwarding: PropertyForwarding,
    /// Whether a message that is too large is refused when its header arrives.
    pub(crate) refuses_large_headers: bool,
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
}

impl<'c> PeerChannel<'c> {
    pub(crate) fn open(number: u16, context: ChannelContext<'c>) -> Result<PeerChannel<'c>, Close> {
        let output = Arc::new(PeerOutput::new(number, context.outgoing, context.hears_cancels));
        let broker = context
            .session
            .open_channel(Arc::clone(&output) as _)
            .map_err(|error| Close::refused(&error, context.vhost))?;
        Ok(PeerChannel { number, context, broker, output })
    }

    /// Handles a method without content.
    pub(crate) fn method(&self, method: &Method<'_>) -> Result<(), Close> {
        self.handle(method).map_err(|close| match close.method {
            // The others are failures of a process of RabbitMQ, which name no method.
            (0, 0) if !matches!(close.code, 501 | 541) => close.caused_by(method.id()),
            _ => close,
        })
    }

    /// Publishes a message that has arrived completely.
    pub(crate) fn publish(&self, message: PublishedMessage) -> Result<(), Close> {
        let PublishedMessage { envelope, property_list, body, too_large } = message;
        let Envelope { exchange, routing_key, mandatory, is_immediate, .. } = envelope;
        if is_immediate {
            return Err(Close::not_implemented("immediate=true").caused_by(PUBLISH));
        }
        let properties = self.context.forwarding.read(&property_list);
        let properties = properties.map_err(|_| Close::undecodable())?;
        let content = Content { exchange, routing_key, properties, body };
        let refused = |error: &Error| Close::refused(error, self.context.vhost).caused_by(PUBLISH);
        if let Some(size) = too_large {
            let most = self.context.max_body;
            let reason = format!(
                "PRECONDITION_FAILED - message size {size} is larger than configured max size {most}"
            );
            self.broker.close();
            return Err(refused(&Error::PreconditionFailed { reason }));
        }
        self.broker.publish_as_read(content, mandatory).map_err(|error| refused(&error))?;
        self.wait_while_blocked(self.context.session.is_blocked());
        match self.output.failure() {
            Some(error) => Err(refused(error)),
            None => Ok(()),
        }
    }

    /// Notes that the peer publishes, and waits while the broker blocks publishers.
    pub(crate) fn wait_to_publish(&self) {
        self.wait_while_blocked(self.context.session.note_publication());
    }

    /// Waits while the connection is blocked, unless the server closes it.
    fn wait_while_blocked(&self, is_blocked: bool) {
        if is_blocked && !self.context.outgoing.is_sealed() {
            self.context.session.wait_until_read();
        }
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
