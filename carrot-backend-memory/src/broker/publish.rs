//! Publishes a message of a client, with RabbitMQ's checks in RabbitMQ's order.

use std::sync::Arc;

use carrot_core::backend::Content;
use carrot_core::{Properties, Result};

use crate::broker::BrokerShared;
use crate::broker::direct_reply_to::PSEUDO_QUEUE;
use crate::channel::BrokerChannel;
use crate::channel::confirms::ConfirmAnswer;
use crate::errors;
use crate::queue::arguments;
use crate::queue::dead_letter::array_of_strings;
use crate::queue::message::RoutedMessage;
use crate::routing::route::PublishOrigin;

impl BrokerShared {
    /// Publishes a message of a client.
    pub(crate) fn publish(
        &self,
        channel: &BrokerChannel,
        user: &str,
        content: &Arc<Content>,
        mandatory: bool,
    ) -> Result<ConfirmAnswer> {
        let expiration = self.check_publication(user, content)?;
        let message = match content.properties.reply_to() {
            Some(PSEUDO_QUEUE) => {
                let name = channel
                    .reply_to()
                    .ok_or_else(|| errors::precondition("fast reply consumer does not exist"))?;
                let properties = content.properties.clone().with_reply_to(&*name);
                without_blind_copies(Arc::new(with_properties(content, properties)))?
            }
            _ => without_blind_copies(Arc::clone(content))?,
        };
        let topology = self.topology();
        let routes = topology.route(&message, PublishOrigin::Client)?;
        self.replies.deliver(&routes, &message);
        self.recordings.record(content);
        let Some((others, last)) = routes.split_last() else {
            return Ok(if mandatory { ConfirmAnswer::Unroutable } else { ConfirmAnswer::Accepted });
        };
        let mut accepted = true;
        for queue in others {
            accepted &= queue.enqueue(message.clone(), expiration);
        }
        accepted &= last.enqueue(message, expiration);
        drop(topology);
        self.send_dead_letters();
        Ok(if accepted { ConfirmAnswer::Accepted } else { ConfirmAnswer::Refused })
    }

    /// Checks the properties of a message. Returns its expiration in microseconds.
    fn check_publication(&self, user: &str, content: &Content) -> Result<Option<u64>> {
        let properties = &content.properties;
        let (size, most) = (content.body.len(), self.rules().largest_body);
        if size > most {
            let reason =
                format_args!("message size {size} is larger than configured max size {most}");
            return Err(errors::precondition(reason));
        }
        let unknown_mode =
            properties.delivery_mode().map(u8::from).filter(|mode| !(1..=2).contains(mode));
        let wants_reply = properties.reply_to() == Some(PSEUDO_QUEUE);
        let may_fail = properties.user_id().is_some()
            || properties.expiration().is_some()
            || properties.headers().is_some();
        if !content.exchange.is_empty() && (may_fail || unknown_mode.is_some() || wants_reply) {
            self.topology().find_exchange(&content.exchange, PublishOrigin::Client)?;
        }
        if let Some(claimed) = properties.user_id()
            && claimed != user
        {
            let reason = format_args!(
                "user_id property set to '{claimed}' but authenticated user was '{user}'"
            );
            return Err(errors::precondition(reason));
        }
        let expiration = properties.expiration().map(arguments::expiration).transpose()?;
        if let Some(mode) = unknown_mode {
            return Err(errors::precondition(format_args!(
                "invalid message: {{delivery_mode_unknown,{mode}}}"
            )));
        }
        Ok(expiration)
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
    for name in ["CC", "BCC"] {
        if let Some(value) = headers.get(name)
            && value.as_array().is_none()
        {
            let found = arguments::type_name(value);
            let reason = format_args!(
                "invalid message: {{unacceptable_type_in_header,<<\"{name}\">>,{found}}}"
            );
            return Err(errors::precondition(reason));
        }
    }
    let Some(blind) = headers.get("BCC") else { return Ok(RoutedMessage::new(content)) };
    let keys = array_of_strings(blind).into_iter().map(String::from).collect();
    let mut headers = headers.clone();
    headers.remove("BCC");
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
