//! The exchanges, queues and bindings of one broker, with RabbitMQ's checks and errors.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::Deref;
use std::sync::Arc;

use carrot_core::backend::DeleteIf;
use carrot_core::{Binding, Exchange, ExchangeKind, Result, Value};
use carrot_routing::{
    BindingTarget, ExchangeBehaviour, InvalidMatch, RoutedQueue, RoutingError, RoutingExchange,
    RoutingTable, standard_exchanges,
};

use crate::errors;
use crate::queue::BrokerQueue;
use crate::queue::arguments::{compare, exchange_argument};
use crate::release_rules::ReleaseRules;
use crate::value_text::{AsTerm, type_name};

/// An exchange of the broker.
pub(crate) type BrokerExchange = RoutingExchange<BrokerQueue>;

impl RoutedQueue for BrokerQueue {
    fn id(&self) -> u64 {
        self.id
    }

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn is_deleted(&self) -> bool {
        BrokerQueue::is_deleted(self)
    }
}

/// The exchanges, queues and bindings of one broker.
#[derive(Debug)]
pub(crate) struct BrokerTopology {
    table: RoutingTable<BrokerQueue>,
    /// Added exchange types, each with the standard type that it behaves as.
    kinds: HashMap<String, ExchangeBehaviour>,
    rules: &'static ReleaseRules,
}

/// The table is read without checks, and changed only by the methods of the topology.
impl Deref for BrokerTopology {
    type Target = RoutingTable<BrokerQueue>;

    fn deref(&self) -> &RoutingTable<BrokerQueue> {
        &self.table
    }
}

impl BrokerTopology {
    pub(crate) fn new(rules: &'static ReleaseRules) -> BrokerTopology {
        let mut topology = BrokerTopology {
            table: RoutingTable::new(rules.header_numbers),
            kinds: HashMap::new(),
            rules,
        };
        let trace = Exchange::topic("amq.rabbitmq.trace").internal();
        for declared in standard_exchanges().into_iter().chain([trace]) {
            let behaviour = ExchangeBehaviour::of(&declared.kind).unwrap_or_default();
            topology.table.add_exchange(declared, behaviour);
        }
        topology
    }

    pub(crate) fn register_kind(&mut self, name: &str, behaviour: ExchangeBehaviour) {
        self.kinds.insert(name.to_string(), behaviour);
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.table.next_id()
    }

    /// Returns how an exchange type routes; `None` for an unknown type.
    pub(crate) fn behaviour(&self, kind: &ExchangeKind) -> Option<ExchangeBehaviour> {
        ExchangeBehaviour::of(kind).or_else(|| self.kinds.get(kind.as_str()).copied())
    }

    /// Declares an exchange of a known type.
    pub(crate) fn declare_exchange(
        &mut self,
        declared: &Exchange,
        behaviour: ExchangeBehaviour,
    ) -> Result<()> {
        let name = &declared.name;
        if let Some(current) = self.exchange(name) {
            return assert_equal(current.definition(), declared);
        }
        if name.starts_with("amq.") {
            return Err(errors::reserved("exchange", name));
        }
        exchange_argument(&declared.arguments, "alternate-exchange", "exchange", name)?;
        self.table.add_exchange(declared.clone(), behaviour);
        Ok(())
    }

    pub(crate) fn delete_exchange(&mut self, name: &str, condition: DeleteIf) -> Result<()> {
        let Some(exchange) = self.exchange(name) else { return Ok(()) };
        if condition.if_unused && exchange.has_bindings() {
            return Err(errors::precondition(format_args!(
                "exchange '{name}' in vhost '/' in use"
            )));
        }
        self.table.remove_exchange(name);
        Ok(())
    }

    /// Adds a queue in place of a deleted one of the same name.
    pub(crate) fn add_queue(&mut self, queue: Arc<BrokerQueue>) {
        self.table.add_queue(queue);
    }

    /// Removes a deleted queue with its bindings, and the exchanges that delete themselves because
    /// of that.
    pub(crate) fn remove_queue(&mut self, queue: &Arc<BrokerQueue>) {
        self.table.remove_queue(queue);
    }

    /// Adds a binding for a connection.
    ///
    /// Reports a missing entity and invalid arguments before an exclusive queue of another
    /// connection, as RabbitMQ does.
    pub(crate) fn bind(&mut self, binding: &Binding, connection: u64) -> Result<()> {
        let (source, target) = self.table.check_binding(binding).map_err(refusal)?;
        self.check_key(source, &binding.routing_key)?;
        check_owner(&target, connection)?;
        self.table.bind(binding).map_err(refusal)
    }

    /// Fails if this is a topic exchange, and the key of a binding has too many `#`.
    fn check_key(&self, source: &BrokerExchange, key: &str) -> Result<()> {
        let Some(most) = self.rules.most_topic_hashes else { return Ok(()) };
        let hashes = key.split('.').filter(|word| *word == "#").count();
        if source.behaviour() != ExchangeBehaviour::Topic || hashes <= most {
            return Ok(());
        }
        Err(errors::precondition(format_args!(
            "Topic binding key '{key}' uses {hashes} '#' wildcards, at most {most} are allowed"
        )))
    }

    /// Removes a binding for a connection, and its source if that deletes itself. Succeeds if the
    /// binding does not exist.
    pub(crate) fn unbind(&mut self, binding: &Binding, connection: u64) -> Result<()> {
        if !self.has_binding(binding) {
            return Ok(());
        }
        if let Ok(target) = self.target(&binding.destination) {
            check_owner(&target, connection)?;
        }
        self.table.unbind(binding);
        Ok(())
    }
}

/// Returns the error of a binding that the table refuses.
fn refusal(error: RoutingError) -> carrot_core::Error {
    match error {
        RoutingError::NoExchange(name) => errors::no_exchange(&name),
        RoutingError::NoQueue(name) => errors::no_queue(&name),
        RoutingError::InvalidMatch(error) => invalid_match(&error),
        error => errors::precondition(error),
    }
}

fn invalid_match(error: &InvalidMatch) -> carrot_core::Error {
    match error.value() {
        value @ Value::String(_) => errors::precondition(format_args!(
            "Invalid x-match field value {}; expected all, any, all-with-x, or any-with-x",
            AsTerm(value)
        )),
        value => errors::precondition(format_args!(
            "Invalid x-match field type {} (value {}); expected longstr",
            type_name(value),
            AsTerm(value)
        )),
    }
}

fn check_owner(target: &BindingTarget<BrokerQueue>, connection: u64) -> Result<()> {
    match target {
        BindingTarget::Queue(queue) if queue.owner.is_some_and(|owner| owner != connection) => {
            Err(errors::locked(&queue.name))
        }
        _ => Ok(()),
    }
}

fn assert_equal(current: &Exchange, declared: &Exchange) -> Result<()> {
    let name = &declared.name;
    let different = |field: &str, wanted: &dyn Display, found: &dyn Display| {
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
