//! Which queues a message goes to.

use std::sync::Arc;

use carrot_core::Result;
use carrot_routing::QueueRoutes;

use crate::errors;
use crate::queue::BrokerQueue;
use crate::queue::message::RoutedMessage;
use crate::routing::topology::{BrokerExchange, BrokerTopology};

/// The prefix of the names to which direct replies are sent.
pub(crate) const DIRECT_REPLY_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// Where a message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublishOrigin {
    Client,
    Broker,
}

/// The queues that a message goes to, each once, and the names of direct replies.
#[derive(Debug)]
pub(crate) struct Routes<'a> {
    pub(crate) queues: QueueRoutes<'a, BrokerQueue>,
    pub(crate) replies: Vec<String>,
}

impl<'a> Routes<'a> {
    /// Returns the queues.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a Arc<BrokerQueue>> {
        self.queues.iter()
    }
}

impl BrokerTopology {
    /// Returns the queues that a message goes to.
    ///
    /// # Errors
    /// As [`find_exchange`](BrokerTopology::find_exchange).
    pub(crate) fn route(
        &self,
        message: &RoutedMessage,
        origin: PublishOrigin,
    ) -> Result<Routes<'_>> {
        let content = &*message.content;
        let headers = content.properties.headers();
        let copies = copy_keys_of(message);
        let keys = std::iter::once(&*content.routing_key).chain(copies.iter().copied());

        if content.exchange.is_empty() {
            return Ok(self.route_by_name(keys));
        }
        let exchange = self.find_exchange(&content.exchange, origin)?;
        Ok(Routes { queues: self.routes_from(exchange, keys, headers), replies: Vec::new() })
    }

    /// Returns the queues and the direct replies that the routing keys name.
    fn route_by_name<'k>(&self, keys: impl Iterator<Item = &'k str>) -> Routes<'_> {
        let mut replies = Vec::new();
        let queues = keys
            .filter_map(|key| match key.starts_with(DIRECT_REPLY_PREFIX) {
                true => {
                    replies.push(key.to_string());
                    None
                }
                false => self.queue(key),
            })
            .collect();
        Routes { queues, replies }
    }

    /// Returns an exchange to publish to.
    ///
    /// # Errors
    /// - [`Error::NotFound`](carrot_core::Error::NotFound): the exchange does not exist.
    /// - [`Error::AccessRefused`](carrot_core::Error::AccessRefused): a client publishes to an
    ///   internal exchange.
    pub(crate) fn find_exchange(
        &self,
        name: &str,
        origin: PublishOrigin,
    ) -> Result<&BrokerExchange> {
        match self.exchange(name) {
            None => Err(errors::no_exchange(name)),
            Some(exchange) if exchange.definition().internal && origin == PublishOrigin::Client => {
                Err(errors::access(format_args!(
                    "cannot publish to internal exchange '{name}' in vhost '/'"
                )))
            }
            Some(exchange) => Ok(exchange),
        }
    }
}

/// Returns the routing keys that name queues of the default exchange, whether or not they exist.
pub(crate) fn direct_keys(message: &RoutedMessage) -> impl Iterator<Item = &str> {
    let keys = std::iter::once(&*message.content.routing_key).chain(copy_keys_of(message));
    keys.filter(|key| !key.starts_with(DIRECT_REPLY_PREFIX))
}

/// Returns the routing keys beside the first one: those of the `CC` and `BCC` headers.
fn copy_keys_of(message: &RoutedMessage) -> Vec<&str> {
    let blind_keys = message.blind_keys.as_deref().filter(|_| !message.has_new_key);
    let blind_keys = blind_keys.unwrap_or_default();
    message.copies().into_iter().chain(blind_keys.iter().map(String::as_str)).collect()
}
