//! Which queues a message goes to.

use std::collections::HashSet;
use std::sync::Arc;

use carrot_core::Headers;

use crate::copies::{BCC, CC, copy_keys};
use crate::exchange::RoutingExchange;
use crate::table::RoutingTable;
use crate::target::{BindingTarget, RoutedQueue};

/// The queues that a message goes to, each once, without deleted ones.
///
/// The order of the queues has no meaning. Queues of the same table only are collected.
#[derive(Debug)]
pub struct QueueRoutes<'a, Q> {
    /// Most messages go to one queue, which costs no allocation here.
    first: Option<&'a Arc<Q>>,
    others: Vec<&'a Arc<Q>>,
}

impl<Q> Default for QueueRoutes<'_, Q> {
    fn default() -> Self {
        QueueRoutes { first: None, others: Vec::new() }
    }
}

impl<'a, Q: RoutedQueue> QueueRoutes<'a, Q> {
    fn add(&mut self, queue: &'a Arc<Q>) {
        if queue.is_deleted() || self.first.is_some_and(|first| Arc::ptr_eq(first, queue)) {
            return;
        }
        match self.first {
            None => self.first = Some(queue),
            Some(_) => self.others.push(queue),
        }
    }

    fn remove_duplicates(&mut self) {
        if self.others.len() > 1 {
            self.others.sort_unstable_by_key(|queue| queue.id());
            self.others.dedup_by_key(|queue| queue.id());
        }
    }

    /// Returns the queues.
    pub fn iter(&self) -> impl Iterator<Item = &'a Arc<Q>> {
        self.first.into_iter().chain(self.others.iter().copied())
    }

    /// Returns whether there are no queues.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Returns all queues but the last, and the last one; `None` if there are none.
    pub fn split_last(&self) -> Option<(impl Iterator<Item = &'a Arc<Q>>, &'a Arc<Q>)> {
        let first = self.first?;
        let (before, middle, last) = match self.others.split_last() {
            None => (None, Default::default(), first),
            Some((last, middle)) => (Some(first), middle, *last),
        };
        Some((before.into_iter().chain(middle.iter().copied()), last))
    }
}

impl<'a, Q: RoutedQueue> FromIterator<&'a Arc<Q>> for QueueRoutes<'a, Q> {
    fn from_iter<I: IntoIterator<Item = &'a Arc<Q>>>(queues: I) -> QueueRoutes<'a, Q> {
        let mut routes = QueueRoutes::default();
        queues.into_iter().for_each(|queue| routes.add(queue));
        routes.remove_duplicates();
        routes
    }
}

impl<Q: RoutedQueue> RoutingTable<Q> {
    /// Returns the queues that a message reaches from an exchange by its routing key and by the
    /// keys of its headers [`CC`] and [`BCC`]; `None` if the exchange does not exist.
    ///
    /// The default exchange, whose name is empty, routes to the queues that the keys name.
    ///
    /// ```
    /// use carrot_core::{Binding, Exchange, Headers, Value};
    /// use carrot_routing::{NumberMatch, RoutingTable};
    ///
    /// let exchanges = [Exchange::direct("orders")];
    /// let bindings = [Binding::queue("orders", "bills", "paid")];
    /// let table = RoutingTable::from_definitions(NumberMatch::ByValue, exchanges, bindings)?;
    ///
    /// assert!(table.routes("orders", "sent", None).is_some_and(|routes| routes.is_empty()));
    /// let headers = Headers::from([("CC", vec![Value::from("paid")])]);
    /// let routes = table.routes("orders", "sent", Some(&headers)).expect("the exchange exists");
    /// assert!(!routes.is_empty());
    /// assert!(table.routes("other", "sent", None).is_none());
    /// # Ok::<(), carrot_routing::RoutingError>(())
    /// ```
    pub fn routes(
        &self,
        exchange: &str,
        routing_key: &str,
        headers: Option<&Headers>,
    ) -> Option<QueueRoutes<'_, Q>> {
        let copies = |header| headers.map(|headers| copy_keys(headers, header)).unwrap_or_default();
        let copies = [copies(CC), copies(BCC)].concat();
        let keys = std::iter::once(routing_key).chain(copies.iter().copied());
        match exchange {
            "" => Some(keys.filter_map(|key| self.queue(key)).collect()),
            name => Some(self.routes_from(self.exchange(name)?, keys, headers)),
        }
    }

    /// Returns the queues that a message with some routing keys reaches from an exchange of this
    /// table, by way of others, each of which is visited once.
    ///
    /// An exchange none of whose bindings match passes the message to its alternate exchange.
    pub fn routes_from<'a, 'k>(
        &'a self,
        mut exchange: &'a RoutingExchange<Q>,
        keys: impl Iterator<Item = &'k str> + Clone,
        headers: Option<&Headers>,
    ) -> QueueRoutes<'a, Q> {
        let mut routes = QueueRoutes::default();
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
                waiting.extend(exchange.alternate());
            }
            if waiting.is_empty() {
                break;
            }
            visited.insert(exchange.id());
            let next = std::iter::from_fn(|| waiting.pop())
                .filter_map(|name| self.exchange(name))
                .find(|exchange| !visited.contains(&exchange.id()));
            match next {
                Some(next) => exchange = next,
                None => break,
            }
        }
        routes.remove_duplicates();
        routes
    }
}
