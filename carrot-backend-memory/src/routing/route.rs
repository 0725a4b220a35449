//! Which queues a message goes to.

use std::collections::HashSet;
use std::sync::Arc;

use carrot_core::{Headers, Result};

use crate::errors;
use crate::queue::BrokerQueue;
use crate::queue::message::RoutedMessage;
use crate::routing::exchange::{BindingTarget, BrokerExchange};
use crate::routing::topology::BrokerTopology;

/// The prefix of the names to which direct replies are sent.
pub(crate) const DIRECT_REPLY_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// Where a message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublishOrigin {
    Client,
    Broker,
}

/// The queues that a message goes to, each once, and the names of direct replies.
///
/// The first queue has a field of its own: most messages go to one queue, which then costs no
/// allocation.
#[derive(Debug, Default)]
pub(crate) struct Routes<'a> {
    first: Option<&'a Arc<BrokerQueue>>,
    others: Vec<&'a Arc<BrokerQueue>>,
    pub(crate) replies: Vec<String>,
}

impl<'a> Routes<'a> {
    /// Returns routes to direct replies alone.
    pub(crate) fn to_replies(replies: Vec<String>) -> Routes<'a> {
        Routes { replies, ..Routes::default() }
    }

    pub(crate) fn add(&mut self, queue: &'a Arc<BrokerQueue>) {
        if queue.is_deleted() || self.first.is_some_and(|first| Arc::ptr_eq(first, queue)) {
            return;
        }
        match self.first {
            None => self.first = Some(queue),
            Some(_) => self.others.push(queue),
        }
    }

    pub(crate) fn remove_duplicates(&mut self) {
        if self.others.len() > 1 {
            self.others.sort_unstable_by_key(|queue| queue.id);
            self.others.dedup_by_key(|queue| queue.id);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a Arc<BrokerQueue>> {
        self.first.into_iter().chain(self.others.iter().copied())
    }

    /// Returns all queues but the last, and the last one; `None` if there are none.
    pub(crate) fn split_last(
        &self,
    ) -> Option<(impl Iterator<Item = &'a Arc<BrokerQueue>>, &'a Arc<BrokerQueue>)> {
        let first = self.first?;
        let (before, middle, last) = match self.others.split_last() {
            None => (None, Default::default(), first),
            Some((last, middle)) => (Some(first), middle, *last),
        };
        Some((before.into_iter().chain(middle.iter().copied()), last))
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
        let copies = copy_keys(message);
        let keys = std::iter::once(&*content.routing_key).chain(copies.iter().copied());

        let mut routes = Routes::default();
        if content.exchange.is_empty() {
            for key in keys {
                if key.starts_with(DIRECT_REPLY_PREFIX) {
                    routes.replies.push(key.to_string());
                } else if let Some(queue) = self.queues.get(key) {
                    routes.add(queue);
                }
            }
        } else {
            self.route_from(
                self.find_exchange(&content.exchange, origin)?,
                keys,
                headers,
                &mut routes,
            );
        }
        routes.remove_duplicates();
        Ok(routes)
    }

    /// Adds the queues that a message reaches from an exchange, by way of others, each of which is
    /// visited once.
    fn route_from<'a, 'k>(
        &'a self,
        mut exchange: &'a BrokerExchange,
        keys: impl Iterator<Item = &'k str> + Clone,
        headers: Option<&Headers>,
        routes: &mut Routes<'a>,
    ) {
        let mut visited: HashSet<u64> = HashSet::new();
        let mut waiting: Vec<&str> = Vec::new();
        loop {
            let mut is_routed = false;
            for key in keys.clone() {
                exchange.route(key, headers, |target| {
                    is_routed = true;
                    match target {
                        BindingTarget::Queue(queue) => routes.add(queue),
                        BindingTarget::Exchange { name, .. } => waiting.push(name),
                    }
                });
            }
            if !is_routed {
                waiting.extend(exchange.alternate.as_deref());
            }
            if waiting.is_empty() {
                return;
            }
            visited.insert(exchange.id);
            let next = std::iter::from_fn(|| waiting.pop())
                .filter_map(|name| self.exchanges.get(name))
                .find(|exchange| !visited.contains(&exchange.id));
            match next {
                Some(next) => exchange = next,
                None => return,
            }
        }
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
        match self.exchanges.get(name) {
            None => Err(errors::no_exchange(name)),
            Some(exchange) if exchange.internal && origin == PublishOrigin::Client => {
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
    let keys = std::iter::once(&*message.content.routing_key).chain(copy_keys(message));
    keys.filter(|key| !key.starts_with(DIRECT_REPLY_PREFIX))
}

/// Returns the routing keys beside the first one: those of the `CC` and `BCC` headers.
fn copy_keys(message: &RoutedMessage) -> Vec<&str> {
    let blind_keys = message.blind_keys.as_deref().filter(|_| !message.has_new_key);
    let blind_keys = blind_keys.unwrap_or_default();
    message.copies().into_iter().chain(blind_keys.iter().map(String::as_str)).collect()
}
