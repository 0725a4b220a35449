//! The exchanges, bindings and settings of queues of one broker, as its table message has them.

use std::collections::BTreeMap;

use carrot_core::{Binding, Destination, Exchange, Headers};
use carrot_routing::{
    ExchangeBehaviour, NamedQueue, NumberMatch, RoutingTable, standard_exchanges,
};

/// The number of a table that was just created.
pub(crate) const INITIAL_REVISION: i64 = 1;

/// The exchanges, bindings and settings of queues.
#[derive(Debug)]
pub(crate) struct RoutingDefinitions {
    /// A random number, which all successors of a table have. A table that is created again has
    /// another one.
    pub(crate) id: i64,
    /// The number of the table message. Each change takes the next one.
    pub(crate) revision: i64,
    pub(crate) routing: RoutingTable<NamedQueue>,
    /// The arguments of queues that have some, by the names of the queues.
    pub(crate) queues: BTreeMap<String, Headers>,
}

impl Default for RoutingDefinitions {
    /// Returns the predeclared exchanges.
    fn default() -> RoutingDefinitions {
        let mut definitions = RoutingDefinitions {
            id: 0,
            revision: 0,
            routing: RoutingTable::new(NumberMatch::WithinKinds),
            queues: BTreeMap::new(),
        };
        for exchange in standard_exchanges() {
            definitions.add_exchange(exchange);
        }
        definitions
    }
}

impl RoutingDefinitions {
    /// Returns whether one table succeeds the other one.
    pub(crate) fn is_of(&self, other: &RoutingDefinitions) -> bool {
        self.id == other.id
    }

    /// Returns whether this table is the next one of another.
    pub(crate) fn follows(&self, other: &RoutingDefinitions) -> bool {
        self.is_of(other) && other.revision.checked_add(1) == Some(self.revision)
    }

    /// Adds an exchange. Returns `false` if its type is no standard one.
    pub(crate) fn add_exchange(&mut self, exchange: Exchange) -> bool {
        let Some(behaviour) = ExchangeBehaviour::of(&exchange.kind) else { return false };
        self.routing.add_exchange(exchange, behaviour);
        true
    }

    /// Returns the exchanges that clients have declared, in the order of their names.
    pub(crate) fn declared_exchanges(&self) -> Vec<&Exchange> {
        let mut exchanges: Vec<_> = self
            .routing
            .exchanges()
            .map(|exchange| exchange.definition())
            .filter(|exchange| !exchange.name.starts_with("amq."))
            .collect();
        exchanges.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        exchanges
    }

    /// Returns whether no client has written the table since it was created.
    pub(crate) fn is_initial(&self) -> bool {
        self.revision <= INITIAL_REVISION
    }

    /// Returns all bindings.
    pub(crate) fn bindings(&self) -> impl Iterator<Item = Binding> {
        self.routing.exchanges().flat_map(|exchange| exchange.bindings())
    }

    /// Returns whether a binding or a setting names a queue.
    pub(crate) fn mentions(&self, queue: &str) -> bool {
        self.queues.contains_key(queue) || self.has_bindings_to(queue)
    }

    /// Returns whether a binding names a queue.
    pub(crate) fn has_bindings_to(&self, queue: &str) -> bool {
        self.bindings().any(|binding| match binding.destination {
            Destination::Queue(name) => name == queue,
            Destination::Exchange(_) => false,
        })
    }

    /// Returns the settings of a queue; empty if it has none.
    pub(crate) fn settings(&self, queue: &str) -> Headers {
        self.queues.get(queue).cloned().unwrap_or_default()
    }

    /// Stores the settings of a queue, if it has some.
    pub(crate) fn set_settings(&mut self, queue: &str, arguments: &Headers) {
        if !arguments.is_empty() {
            self.queues.insert(queue.into(), arguments.clone());
        }
    }

    /// Removes a queue: its settings, its bindings, and exchanges that delete themselves then.
    pub(crate) fn forget_queue(&mut self, name: &str) {
        self.queues.remove(name);
        if let Some(queue) = self.routing.queue(name).cloned() {
            self.routing.remove_queue(&queue);
        }
    }

    /// Adds what another table has, and this one has not.
    pub(crate) fn add_missing(&mut self, other: &RoutingDefinitions) {
        for exchange in other.declared_exchanges() {
            if self.routing.exchange(&exchange.name).is_none() {
                self.add_exchange(exchange.clone());
            }
        }
        for binding in other.bindings() {
            // The exchanges exist, and the arguments were valid.
            let _ = self.routing.bind_named(&binding);
        }
        for (queue, arguments) in &other.queues {
            self.queues.entry(queue.clone()).or_insert_with(|| arguments.clone());
        }
        if other.revision > self.revision {
            (self.id, self.revision) = (other.id, other.revision);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn forgotten_queue_leaves_no_trace() {
        let mut definitions = RoutingDefinitions::default();
        definitions.add_exchange(Exchange::fanout("events").auto_delete());
        definitions.routing.bind_named(&Binding::queue("events", "q", "")).unwrap();
        definitions.queues.insert("q".into(), Headers::from([("x-message-ttl", 5)]));
        assert!(definitions.mentions("q"));
        definitions.forget_queue("q");
        assert!(!definitions.mentions("q"));
        assert!(definitions.routing.exchange("events").is_none(), "auto-delete");
    }

    #[test]
    fn merged_tables_have_the_definitions_of_both() {
        let mut one = RoutingDefinitions { revision: 4, ..RoutingDefinitions::default() };
        one.add_exchange(Exchange::direct("a"));
        let mut other = RoutingDefinitions { revision: 7, ..RoutingDefinitions::default() };
        other.add_exchange(Exchange::fanout("b"));
        other.routing.bind_named(&Binding::queue("b", "q", "")).unwrap();
        other.queues.insert("q".into(), Headers::from([("x-message-ttl", 5)]));
        one.add_missing(&other);
        assert_eq!(one.revision, 7);
        let names: Vec<_> = one.declared_exchanges().iter().map(|one| one.name.clone()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(one.routing.has_binding(&Binding::queue("b", "q", "")));
        assert!(one.queues.contains_key("q"));
    }
}
