//! The exchanges, queues and bindings of one broker.

use std::collections::HashMap;
use std::sync::Arc;

use carrot_core::{Binding, Destination, Exchange};

use crate::behaviour::ExchangeBehaviour;
use crate::error::RoutingError;
use crate::exchange::RoutingExchange;
use crate::headers::NumberMatch;
use crate::name_map::NameMap;
use crate::target::{BindingTarget, RoutedQueue};

/// The exchanges, queues and bindings of one broker.
///
/// Deleting an exchange or a queue also deletes the bindings from and to it.
#[derive(Debug)]
pub struct RoutingTable<Q> {
    exchanges: NameMap<RoutingExchange<Q>>,
    queues: NameMap<Arc<Q>>,
    /// The exchanges with a binding to a target, by the number of the target.
    sources: HashMap<u64, Vec<Arc<str>>>,
    last_id: u64,
    numbers: NumberMatch,
}

impl<Q: RoutedQueue> RoutingTable<Q> {
    /// Creates an empty table. `numbers` is how headers exchanges compare numbers.
    pub fn new(numbers: NumberMatch) -> RoutingTable<Q> {
        RoutingTable {
            exchanges: NameMap::default(),
            queues: NameMap::default(),
            sources: HashMap::new(),
            last_id: 0,
            numbers,
        }
    }

    /// Returns the number of the next queue or exchange. No other call returns the same one.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Returns an exchange; `None` if it does not exist.
    pub fn exchange(&self, name: &str) -> Option<&RoutingExchange<Q>> {
        self.exchanges.get(name)
    }

    /// Returns all exchanges, in no particular order.
    pub fn exchanges(&self) -> impl Iterator<Item = &RoutingExchange<Q>> {
        self.exchanges.values()
    }

    /// Returns a queue; `None` if it does not exist or was deleted.
    pub fn queue(&self, name: &str) -> Option<&Arc<Q>> {
        self.queues.get(name).filter(|queue| !queue.is_deleted())
    }

    /// Returns all queues, in no particular order, with those that were deleted and not removed.
    pub fn queues(&self) -> impl Iterator<Item = &Arc<Q>> {
        self.queues.values()
    }

    /// Adds an exchange that routes in the given way, regardless of the type in its definition.
    ///
    /// Replaces an exchange of the same name, with its bindings.
    pub fn add_exchange(&mut self, definition: Exchange, behaviour: ExchangeBehaviour) {
        self.remove_exchange(&definition.name);
        let exchange = RoutingExchange::new(self.next_id(), definition, behaviour, self.numbers);
        self.exchanges.insert(Arc::clone(exchange.name()), exchange);
    }

    /// Removes an exchange with its bindings, and the exchanges that delete themselves because of
    /// that. Does nothing if the exchange does not exist.
    pub fn remove_exchange(&mut self, name: &str) {
        let mut doomed = vec![Arc::<str>::from(name)];
        while let Some(name) = doomed.pop() {
            let Some(exchange) = self.exchanges.remove(&name) else { continue };
            for target in exchange.targets() {
                self.forget_source(target.id(), &name);
            }
            self.unbind_everywhere(exchange.id(), &mut doomed);
        }
    }

    /// Adds a queue.
    ///
    /// Replaces a queue of the same name, with its bindings.
    pub fn add_queue(&mut self, queue: Arc<Q>) {
        if let Some(replaced) = self.queues.get(queue.name()).cloned() {
            self.remove_queue(&replaced);
        }
        self.queues.insert(Arc::clone(queue.name()), queue);
    }

    /// Removes a queue with its bindings, and the exchanges that delete themselves because of that.
    ///
    /// Another queue of the same name stays.
    pub fn remove_queue(&mut self, queue: &Arc<Q>) {
        if self.queues.get(queue.name()).is_some_and(|current| Arc::ptr_eq(current, queue)) {
            self.queues.remove(queue.name());
        }
        let mut doomed = Vec::new();
        self.unbind_everywhere(queue.id(), &mut doomed);
        for name in doomed {
            self.remove_exchange(&name);
        }
    }

    fn unbind_everywhere(&mut self, target: u64, doomed: &mut Vec<Arc<str>>) {
        for source in self.sources.remove(&target).unwrap_or_default() {
            if let Some(exchange) = self.exchanges.get_mut(&source) {
                exchange.unbind_all(target);
                if exchange.definition().auto_delete && !exchange.has_bindings() {
                    doomed.push(source);
                }
            }
        }
    }

    fn forget_source(&mut self, target: u64, source: &str) {
        if let Some(sources) = self.sources.get_mut(&target) {
            sources.retain(|other| **other != *source);
            if sources.is_empty() {
                self.sources.remove(&target);
            }
        }
    }

    /// Returns the target of a binding.
    ///
    /// # Errors
    /// - [`RoutingError::NoQueue`]: the queue does not exist.
    /// - [`RoutingError::NoExchange`]: the exchange does not exist.
    pub fn target(&self, destination: &Destination) -> Result<BindingTarget<Q>, RoutingError> {
        match destination {
            Destination::Queue(name) => self
                .queue(name)
                .map(|queue| BindingTarget::Queue(Arc::clone(queue)))
                .ok_or_else(|| RoutingError::NoQueue(name.clone())),
            Destination::Exchange(name) => self
                .exchange(name)
                .map(|exchange| BindingTarget::Exchange {
                    id: exchange.id(),
                    name: Arc::clone(exchange.name()),
                })
                .ok_or_else(|| RoutingError::NoExchange(name.clone())),
        }
    }

    /// Returns the source and the target of a binding that [`bind`](RoutingTable::bind) would add.
    ///
    /// # Errors
    /// As [`bind`](RoutingTable::bind).
    pub fn check_binding(
        &self,
        binding: &Binding,
    ) -> Result<(&RoutingExchange<Q>, BindingTarget<Q>), RoutingError> {
        let source = self
            .exchange(&binding.source)
            .ok_or_else(|| RoutingError::NoExchange(binding.source.clone()))?;
        let target = self.target(&binding.destination)?;
        source.check_arguments(&binding.arguments)?;
        Ok((source, target))
    }

    /// Adds a binding, unless it exists.
    ///
    /// # Errors
    /// - [`RoutingError::NoExchange`]: the source or the destination does not exist.
    /// - [`RoutingError::NoQueue`]: the destination does not exist.
    /// - [`RoutingError::InvalidMatch`]: the source is a headers exchange, and the arguments are
    ///   invalid for one.
    pub fn bind(&mut self, binding: &Binding) -> Result<(), RoutingError> {
        let no_source = || RoutingError::NoExchange(binding.source.clone());
        if !self.exchanges.contains_key(binding.source.as_str()) {
            return Err(no_source());
        }
        let target = self.target(&binding.destination)?;
        let id = target.id();
        let source = self.exchanges.get_mut(binding.source.as_str()).ok_or_else(no_source)?;
        let is_known = source.leads_to(id);
        source.bind(target, &binding.routing_key, &binding.arguments)?;
        if !is_known {
            let name = Arc::clone(source.name());
            self.sources.entry(id).or_default().push(name);
        }
        Ok(())
    }

    /// Returns whether a binding with the same key and arguments exists.
    pub fn has_binding(&self, binding: &Binding) -> bool {
        let source = self.exchange(&binding.source);
        source.zip(self.target(&binding.destination).ok()).is_some_and(|(source, target)| {
            source.has_binding(target.id(), &binding.routing_key, &binding.arguments)
        })
    }

    /// Removes a binding, and its source if that deletes itself. Returns whether the binding
    /// existed.
    pub fn unbind(&mut self, binding: &Binding) -> bool {
        let Ok(target) = self.target(&binding.destination) else { return false };
        let Some(source) = self.exchanges.get_mut(binding.source.as_str()) else { return false };
        if !source.unbind(target.id(), &binding.routing_key, &binding.arguments) {
            return false;
        }
        if !source.leads_to(target.id()) {
            let is_doomed = source.definition().auto_delete && !source.has_bindings();
            self.forget_source(target.id(), &binding.source);
            if is_doomed {
                self.remove_exchange(&binding.source);
            }
        }
        true
    }
}
