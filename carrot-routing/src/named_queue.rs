//! Queues that are names only, for backends whose queues are in a broker.

use std::sync::Arc;

use carrot_core::{Binding, Destination, Exchange};

use crate::behaviour::ExchangeBehaviour;
use crate::error::RoutingError;
use crate::headers::NumberMatch;
use crate::table::RoutingTable;
use crate::target::RoutedQueue;

/// A queue of a [`RoutingTable`] that is a name only.
#[derive(Debug)]
pub struct NamedQueue {
    id: u64,
    name: Arc<str>,
}

impl RoutedQueue for NamedQueue {
    fn id(&self) -> u64 {
        self.id
    }

    fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl RoutingTable<NamedQueue> {
    /// Builds a table from exchanges and bindings, in any order. A queue that a binding names is
    /// added.
    ///
    /// `numbers` is how headers exchanges compare numbers.
    ///
    /// # Errors
    /// - [`RoutingError::UnknownType`]: an exchange is of a type that is no standard one.
    /// - [`RoutingError::NoExchange`]: a binding names an exchange that is not among `exchanges`.
    /// - [`RoutingError::InvalidMatch`]: the arguments of a binding of a headers exchange are
    ///   invalid.
    pub fn from_definitions(
        numbers: NumberMatch,
        exchanges: impl IntoIterator<Item = Exchange>,
        bindings: impl IntoIterator<Item = Binding>,
    ) -> Result<RoutingTable<NamedQueue>, RoutingError> {
        let mut table = RoutingTable::new(numbers);
        for exchange in exchanges {
            let Some(behaviour) = ExchangeBehaviour::of(&exchange.kind) else {
                let (exchange, kind) = (exchange.name, exchange.kind);
                return Err(RoutingError::UnknownType { exchange, kind });
            };
            table.add_exchange(exchange, behaviour);
        }
        for binding in bindings {
            table.bind_named(&binding)?;
        }
        Ok(table)
    }

    /// Adds a queue, unless a queue of the name exists.
    pub fn add_named_queue(&mut self, name: &str) {
        if self.queue(name).is_none() {
            let queue = NamedQueue { id: self.next_id(), name: name.into() };
            self.add_queue(Arc::new(queue));
        }
    }

    /// Adds a binding, unless it exists, and the queue that it names.
    ///
    /// # Errors
    /// As [`bind`](RoutingTable::bind), which refuses a queue that does not exist.
    pub fn bind_named(&mut self, binding: &Binding) -> Result<(), RoutingError> {
        if let Destination::Queue(name) = &binding.destination {
            self.add_named_queue(name);
        }
        self.bind(binding)
    }
}
