//! Publishes a message of a client, with RabbitMQ's checks in RabbitMQ's order.

use std::sync::Arc;

use carrot_core::backend::Content;
use carrot_core::{Properties, Result};
use carrot_routing::{BCC, CC, copy_keys};

use crate::broker::BrokerShared;
use crate::broker::direct_reply_to::{PSEUDO_QUEUE, is_address};
use crate::channel::BrokerChannel;
use crate::channel::confirms::ConfirmAnswer;
use crate::errors;
use crate::header_order::{is_sorted_by_name, sorted_by_name};
use crate::queue::arguments;
use crate::queue::message::RoutedMessage;
use crate::routing::kept_routes::{KeptRoutes, LeftRoutes};
use crate::routing::route::{PublishOrigin, Routes};
use crate::value_text::type_name;

/// A message of a transaction that is not committed.
#[derive(Debug)]
pub(crate) struct KeptMessage {
    pub(crate) published: Arc<Content>,
    /// The message as its queues keep it. Its memory counts.
    message: RoutedMessage,
    /// In microseconds.
    expiration: Option<u64>,
    routes: KeptRoutes,
}

impl BrokerShared {
    /// Publishes a message of a client.
    pub(crate) fn publish(
        &self,
        channel: &BrokerChannel,
        user: &str,
        published: &Arc<Content>,
        mandatory: bool,
    ) -> Result<ConfirmAnswer> {
        let (message, expiration) = self.check_message(channel, user, published)?;
        let topology = self.topology();
        let routes = topology.route(&message, PublishOrigin::Client)?;
        self.recordings.record(published);
        let answer = self.deliver(&routes, message, expiration, mandatory);
        drop(topology);
        self.send_dead_letters();
        Ok(answer)
    }

    /// Routes a message of a transaction, and keeps the message until the commit.
    pub(crate) fn keep(
        &self,
        channel: &BrokerChannel,
        user: &str,
        published: &Arc<Content>,
    ) -> Result<KeptMessage> {
        let (mut message, expiration) = self.check_message(channel, user, published)?;
        let keeps_names = self.rules().messages.keeps_queue_names;
        let routes = self.topology().route_for_commit(&message, keeps_names)?;
        message.count_in(&self.context.memory, routes.queue_count());
        Ok(KeptMessage { published: Arc::clone(published), message, expiration, routes })
    }

    /// Publishes a message that a transaction kept.
    pub(crate) fn publish_kept(&self, kept: KeptMessage, mandatory: bool) -> Result<ConfirmAnswer> {
        let KeptMessage { published, message, expiration, routes } = kept;
        let topology = self.topology();
        let LeftRoutes { routes, has_refused } = topology.routes_at_commit(routes)?;
        self.recordings.record(&published);
        let answer = self.deliver(&routes, message, expiration, mandatory && !has_refused);
        drop(topology);
        self.send_dead_letters();
        Ok(if has_refused { ConfirmAnswer::Refused } else { answer })
    }

    /// Checks a message, and returns the message as its queues keep it, and its expiration in
    /// microseconds.
    fn check_message(
        &self,
        channel: &BrokerChannel,
        user: &str,
        published: &Arc<Content>,
    ) -> Result<(RoutedMessage, Option<u64>)> {
        let expiration = self.check_publication(channel, user, published)?;
        let message = without_blind_copies(self.as_stored(channel, published))?;
        self.check_last(user, &message.content)?;
        Ok((message, expiration))
    }

    /// Puts a message into its queues, and hands it to its direct replies.
    fn deliver(
        &self,
        routes: &Routes<'_>,
        mut message: RoutedMessage,
        expiration: Option<u64>,
        mandatory: bool,
    ) -> ConfirmAnswer {
        self.replies.deliver(routes, &message, &self.rules().replies);
        let Some((others, last)) = routes.queues.split_last() else {
            let is_routed = self.rules().replies.are_routed
                && routes.replies.iter().any(|name| is_address(name));
            return match mandatory && !is_routed {
                true => ConfirmAnswer::Unroutable,
                false => ConfirmAnswer::Accepted,
            };
        };
        if !message.is_counted() {
            message.count_in(&self.context.memory, routes.iter().count());
        }
        let mut accepted = true;
        for queue in others {
            accepted &= queue.enqueue(message.clone(), expiration);
        }
        accepted &= last.enqueue(message, expiration);
        if accepted { ConfirmAnswer::Accepted } else { ConfirmAnswer::Refused }
    }

    /// Checks the properties of a message, in RabbitMQ's order. Returns its expiration in
    /// microseconds.
    ///
    /// [`check_last`](BrokerShared::check_last) follows the check of the copies.
    fn check_publication(
        &self,
        channel: &BrokerChannel,
        user: &str,
        content: &Content,
    ) -> Result<Option<u64>> {
        let properties = &content.properties;
        let (size, most) = (content.body.len(), self.rules().largest_body);
        if size > most {
            let reason =
                format_args!("message size {size} is larger than configured max size {most}");
            return Err(errors::precondition(reason));
        }
        let wants_reply = properties.reply_to() == Some(PSEUDO_QUEUE);
        let may_fail = properties.user_id().is_some()
            || properties.expiration().is_some()
            || properties.headers().is_some()
            || properties.delivery_mode().is_some_and(|mode| !(1..=2).contains(&u8::from(mode)))
            || wants_reply;
        if !content.exchange.is_empty() && may_fail {
            self.topology().find_exchange(&content.exchange, PublishOrigin::Client)?;
        }
        if wants_reply && channel.reply_to().is_none() {
            return Err(errors::precondition("fast reply consumer does not exist"));
        }
        if !self.rules().messages.checks_user_last {
            check_user(user, properties)?;
        }
        properties.expiration().map(arguments::expiration).transpose()
    }

    /// Checks what RabbitMQ checks after the copies of a message.
    fn check_last(&self, user: &str, content: &Content) -> Result<()> {
        let rules = &self.rules().messages;
        if rules.checks_user_last {
            check_user(user, &content.properties)?;
        }
        match content.properties.delivery_mode().map(u8::from) {
            Some(mode) if rules.checks_delivery_mode && !(1..=2).contains(&mode) => {
                Err(errors::precondition(format_args!(
                    "invalid message: {{delivery_mode_unknown,{mode}}}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Returns a message as its queues keep it: with the address of its channel for direct replies,
    /// and with the properties that the release rewrites.
    fn as_stored(&self, channel: &BrokerChannel, content: &Arc<Content>) -> Arc<Content> {
        let rules = &self.rules().messages;
        let properties = &content.properties;
        let address = match properties.reply_to() {
            Some(PSEUDO_QUEUE) => channel.reply_to(),
            _ => None,
        };
        let expiration = properties
            .expiration()
            .filter(|_| rules.normalises_expiration)
            .and_then(|given| Some((given, given.parse::<i64>().ok()?.to_string())))
            .filter(|(given, plain)| given != plain);
        let headers = properties
            .headers()
            .filter(|headers| rules.sorts_headers && !is_sorted_by_name(headers));
        if address.is_none() && expiration.is_none() && headers.is_none() {
            return Arc::clone(content);
        }
        let mut stored = properties.clone();
        if let Some(address) = address {
            stored = stored.with_reply_to(&*address);
        }
        if let Some((_, plain)) = expiration {
            stored = stored.with_expiration(plain);
        }
        if let Some(headers) = headers {
            stored = stored.with_headers(sorted_by_name(headers.clone()));
        }
        Arc::new(with_properties(content, stored))
    }
}

/// Fails if a message claims to be of another user.
fn check_user(user: &str, properties: &Properties) -> Result<()> {
    match properties.user_id() {
        Some(claimed) if claimed != user => Err(errors::precondition(format_args!(
            "user_id property set to '{claimed}' but authenticated user was '{user}'"
        ))),
        _ => Ok(()),
    }
}

/// Takes the `BCC` header out of a message, and keeps its routing keys.
///
/// # Errors
/// [`Error::PreconditionFailed`](carrot_core::Error::PreconditionFailed): `CC` or `BCC` is no list.
fn without_blind_copies(content: Arc<Content>) -> Result<RoutedMessage> {
    let Some(headers) = content.properties.headers() else {
        return Ok(RoutedMessage::new(content));
    };
    let blind = headers.get(BCC);
    for (name, value) in [(CC, headers.get(CC)), (BCC, blind)] {
        if let Some(value) = value
            && value.as_array().is_none()
        {
            let found = type_name(value);
            let reason =
                format_args!("invalid message: {{unacceptable_type_in_header,\"{name}\",{found}}}");
            return Err(errors::precondition(reason));
        }
    }
    if blind.is_none() {
        return Ok(RoutedMessage::new(content));
    }
    let keys = copy_keys(headers, BCC).into_iter().map(String::from).collect();
    let mut headers = headers.clone();
    headers.remove(BCC);
    let content = with_properties(&content, content.properties.clone().with_headers(headers));
    Ok(RoutedMessage::with_blind_keys(Arc::new(content), Some(keys)))
}

fn with_properties(content: &Content, properties: Properties) -> Content {
    Content {
        exchange: content.exchange.clone(),
        routing_key: content.routing_key.clone(),
        properties,
        body: content.body.clone(),
    }
}
