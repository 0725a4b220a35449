//! The exchanges, queues and bindings of one broker.

use std::collections::HashMap;
use std::sync::Arc;

use carrot_core::backend::{DeleteIf, ShortString};
use carrot_core::{Binding, Destination, ExchangeKind, Result};

use crate::errors;
use crate::queue::BrokerQueue;
use crate::queue::arguments::{compare, exchange_argument};
use crate::release_rules::ReleaseRules;
use crate::routing::exchange::{BindingTarget, BrokerExchange};
use crate::routing::name_map::NameMap;

const PREDECLARED: [(&str, ExchangeKind); 6] = [
    ("amq.direct", ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    ("amq.topic", ExchangeKind::Topic),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
    ("amq.rabbitmq.trace", ExchangeKind::Topic),
];

/// The exchanges, queues and bindings of one broker.
///
/// Deleting an exchange or a queue also deletes the bindings from and to it.
#[derive(Debug)]
pub(crate) struct BrokerTopology {
    pub(crate) exchanges: NameMap<BrokerExchange>,
    pub(crate) queues: NameMap<Arc<BrokerQueue>>,
    /// The exchanges with a binding to a target, by the number of the target.
    sources: HashMap<u64, Vec<Arc<str>>>,
    /// Added exchange types, each with the standard type that it behaves as.
    kinds: HashMap<String, ExchangeKind>,
    last_id: u64,
    rules: &'static ReleaseRules,
}

impl BrokerTopology {
    pub(crate) fn new(rules: &'static ReleaseRules) -> BrokerTopology {
        let mut topology = BrokerTopology {
            exchanges: NameMap::default(),
            queues: NameMap::default(),
            sources: HashMap::new(),
            kinds: HashMap::new(),
            last_id: 0,
            rules,
        };
        for (name, kind) in PREDECLARED {
            let mut declared = carrot_core::Exchange::new(name, kind);
            declared.internal = name == "amq.rabbitmq.trace";
            topology.add_exchange(&declared, &declared.kind, None);
        }
        topology
    }

    pub(crate) fn register_kind(&mut self, name: &str, behaviour: ExchangeKind) {
        self.kinds.insert(name.to_string(), behaviour);
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn queue(&self, name: &str) -> Option<&Arc<BrokerQueue>> {
        self.queues.get(name).filter(|queue| !queue.is_deleted())
    }

    /// Returns the standard type that an exchange type behaves as; `None` for an unknown type.
    pub(crate) fn behaviour(&self, kind: &ExchangeKind) -> Option<ExchangeKind> {
        match kind {
            ExchangeKind::Direct
            | ExchangeKind::Fanout
            | ExchangeKind::Topic
            | ExchangeKind::Headers => Some(kind.clone()),
            other => self.kinds.get(other.as_str()).cloned(),
        }
    }

    /// Declares an exchange of a known type.
    pub(crate) fn declare_exchange(
        &mut self,
        declared: &carrot_core::Exchange,
        behaviour: &ExchangeKind,
    ) -> Result<()> {
        let name = &declared.name;
        if let Some(current) = self.exchanges.get(name.as_str()) {
            return assert_equal(current, declared);
        }
        if name.starts_with("amq.") {
            return Err(errors::reserved("exchange", name));
        }
        let alternate =
            exchange_argument(&declared.arguments, "alternate-exchange", "exchange", name)?;
        self.add_exchange(declared, behaviour, alternate);
        Ok(())
    }

    fn add_exchange(
        &mut self,
        declared: &carrot_core::Exchange,
        behaviour: &ExchangeKind,
        alternate: Option<ShortString>,
    ) {
        let exchange =
            BrokerExchange::new(self.next_id(), declared, behaviour, alternate, self.rules);
        self.exchanges.insert(Arc::clone(&exchange.name), exchange);
    }

    pub(crate) fn delete_exchange(&mut self, name: &str, condition: DeleteIf) -> Result<()> {
        let Some(exchange) = self.exchanges.get(name) else { return Ok(()) };
        if condition.if_unused && exchange.has_bindings() {
            return Err(errors::precondition(format_args!(
                "exchange '{name}' in vhost '/' in use"
            )));
        }
        self.remove_exchange(name);
        Ok(())
    }

    /// Removes an exchange with its bindings, and the exchanges that delete themselves because of
    /// that.
    fn remove_exchange(&mut self, name: &str) {
        let mut doomed = vec![Arc::<str>::from(name)];
        while let Some(name) = doomed.pop() {
            let Some(exchange) = self.exchanges.remove(&name) else { continue };
            for target in exchange.targets() {
                self.forget_source(target.id(), &name);
            }
            self.unbind_everywhere(exchange.id, &mut doomed);
        }
    }

    /// Removes a deleted queue with its bindings, and the exchanges that delete themselves because
    /// of that.
    pub(crate) fn remove_queue(&mut self, queue: &Arc<BrokerQueue>) {
        if self.queues.get(&queue.name).is_some_and(|current| Arc::ptr_eq(current, queue)) {
            self.queues.remove(&queue.name);
        }
        let mut doomed = Vec::new();
        self.unbind_everywhere(queue.id, &mut doomed);
        for name in doomed {
            self.remove_exchange(&name);
        }
    }

    fn unbind_everywhere(&mut self, target: u64, doomed: &mut Vec<Arc<str>>) {
        for source in self.sources.remove(&target).unwrap_or_default() {
            if let Some(exchange) = self.exchanges.get_mut(&source) {
                exchange.unbind_all(target);
                if exchange.auto_delete && !exchange.has_bindings() {
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

    fn target(&self, destination: &Destination) -> Result<BindingTarget> {
        match destination {
            Destination::Queue(name) => self
                .queue(name)
                .map(|queue| BindingTarget::Queue(Arc::clone(queue)))
                .ok_or_else(|| errors::no_queue(name)),
            Destination::Exchange(name) => self
                .exchanges
                .get(name.as_str())
                .map(|exchange| BindingTarget::Exchange {
                    id: exchange.id,
                    name: Arc::clone(&exchange.name),
                })
                .ok_or_else(|| errors::no_exchange(name)),
        }
    }

    /// Adds a binding for a connection.
    ///
    /// Reports a missing entity and invalid arguments before an exclusive queue of another
    /// connection, as RabbitMQ does.
    pub(crate) fn bind(&mut self, binding: &Binding, connection: u64) -> Result<()> {
        if !self.exchanges.contains_key(binding.source.as_str()) {
            return Err(errors::no_exchange(&binding.source));
        }
        let target = self.target(&binding.destination)?;
        let id = target.id();
        let Some(source) = self.exchanges.get_mut(binding.source.as_str()) else {
            return Err(errors::no_exchange(&binding.source));
        };
        source.check_binding(&binding.routing_key, &binding.arguments)?;
        check_owner(&target, connection)?;
        let known = source.leads_to(id);
        source.bind(target, &binding.routing_key, &binding.arguments)?;
        if !known {
            let name = Arc::clone(&source.name);
            self.sources.entry(id).or_default().push(name);
        }
        Ok(())
    }

    pub(crate) fn has_binding(&self, binding: &Binding) -> bool {
        let source = self.exchanges.get(binding.source.as_str());
        source.zip(self.target(&binding.destination).ok()).is_some_and(|(source, target)| {
            source.has_binding(target.id(), &binding.routing_key, &binding.arguments)
        })
    }

    /// Removes a binding for a connection, and its source if that deletes itself. Succeeds if the
    /// binding does not exist.
    pub(crate) fn unbind(&mut self, binding: &Binding, connection: u64) -> Result<()> {
        let Ok(target) = self.target(&binding.destination) else { return Ok(()) };
        let Some(source) = self.exchanges.get_mut(binding.source.as_str()) else { return Ok(()) };
        if !source.has_binding(target.id(), &binding.routing_key, &binding.arguments) {
            return Ok(());
        }
        check_owner(&target, connection)?;
        source.unbind(target.id(), &binding.routing_key, &binding.arguments);
        if !source.leads_to(target.id()) {
            let doomed = source.auto_delete && !source.has_bindings();
            self.forget_source(target.id(), &binding.source);
            if doomed {
                self.remove_exchange(&binding.source);
            }
        }
        Ok(())
    }
}

fn check_owner(target: &BindingTarget, connection: u64) -> Result<()> {
    match target {
        BindingTarget::Queue(queue) if queue.owner.is_some_and(|owner| owner != connection) => {
            Err(errors::locked(&queue.name))
        }
        _ => Ok(()),
    }
}

fn assert_equal(current: &BrokerExchange, declared: &carrot_core::Exchange) -> Result<()> {
    let name = &declared.name;
    let different = |field: &str, wanted: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
        Err(errors::different(field, "exchange", name, wanted, found))
    };
    if current.kind != declared.kind {
        return different("type", &declared.kind, &current.kind);
    }
    if current.durable != declared.durable {
        return different("durable", &declared.durable, &current.durable);
    }
    if current.auto_delete != declared.auto_delete {
        return different("auto_delete", &declared.auto_delete, &current.auto_delete);
    }
    if current.internal != declared.internal {
        return different("internal", &declared.internal, &current.internal);
    }
    let argument = "alternate-exchange";
    compare(
        argument,
        "exchange",
        name,
        current.arguments.get(argument),
        declared.arguments.get(argument),
    )
}
