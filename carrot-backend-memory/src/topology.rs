//! The exchanges, queues and bindings of one broker.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use carrot_core::backend::{DeleteIf, ShortString};
use carrot_core::{Binding, Destination, ExchangeKind, Result};

use crate::arguments::{compare, exchange_argument};
use crate::exchange::{Exchange, Target};
use crate::queue::Queue;
use crate::refusal;
use crate::sync::{read, write};

const PREDECLARED: [(&str, ExchangeKind); 6] = [
    ("amq.direct", ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    ("amq.topic", ExchangeKind::Topic),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
    ("amq.rabbitmq.trace", ExchangeKind::Topic),
];

/// The topology under its lock, with a version that tells those who remember something of it whether that still holds.
#[derive(Debug)]
pub(crate) struct SharedTopology {
    topology: RwLock<Topology>,
    version: AtomicU64,
}

impl SharedTopology {
    pub(crate) fn new() -> SharedTopology {
        SharedTopology { topology: RwLock::new(Topology::new()), version: AtomicU64::new(0) }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Topology> {
        read(&self.topology)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Topology> {
        let topology = write(&self.topology);
        self.version.fetch_add(1, Ordering::Release);
        topology
    }

    /// Differs after each change. What is read under the lock after this was asked is at least as new.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

/// All there is in a broker by name. Deleting keeps it whole: no binding leads from or to what is gone.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) exchanges: HashMap<Arc<str>, Exchange>,
    pub(crate) queues: HashMap<Arc<str>, Arc<Queue>>,
    /// The exchanges that have a binding to a target, by the target's id.
    sources: HashMap<u64, Vec<Arc<str>>>,
    /// Exchange types beyond the standard ones, and the standard one that each behaves as.
    kinds: HashMap<String, ExchangeKind>,
    last_id: u64,
}

impl Topology {
    pub(crate) fn new() -> Topology {
        let mut topology = Topology {
            exchanges: HashMap::new(),
            queues: HashMap::new(),
            sources: HashMap::new(),
            kinds: HashMap::new(),
            last_id: 0,
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

    pub(crate) fn queue(&self, name: &str) -> Option<&Arc<Queue>> {
        self.queues.get(name).filter(|queue| !queue.is_gone())
    }

    /// What an exchange of this type behaves as; `None` if the type is unknown.
    pub(crate) fn behaviour(&self, kind: &ExchangeKind) -> Option<ExchangeKind> {
        match kind {
            ExchangeKind::Custom(name) => self.kinds.get(name).cloned(),
            standard => Some(standard.clone()),
        }
    }

    /// Declares an exchange whose type is known.
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
            return Err(refusal::reserved("exchange", name));
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
        let exchange = Exchange::new(self.next_id(), declared, behaviour, alternate);
        self.exchanges.insert(Arc::clone(&exchange.name), exchange);
    }

    pub(crate) fn delete_exchange(&mut self, name: &str, condition: DeleteIf) -> Result<()> {
        let Some(exchange) = self.exchanges.get(name) else { return Ok(()) };
        if condition.if_unused && exchange.has_bindings() {
            return Err(refusal::precondition(format_args!(
                "exchange '{name}' in vhost '/' in use"
            )));
        }
        self.remove_exchange(name);
        Ok(())
    }

    /// Takes an exchange away with every binding from and to it, and what deletes itself because of that.
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

    /// Takes a queue away that is marked as gone, with its bindings, and the exchanges that delete themselves because of that.
    pub(crate) fn remove_queue(&mut self, queue: &Arc<Queue>) {
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

    fn target(&self, destination: &Destination) -> Result<Target> {
        match destination {
            Destination::Queue(name) => self
                .queue(name)
                .map(|queue| Target::Queue(Arc::clone(queue)))
                .ok_or_else(|| refusal::no_queue(name)),
            Destination::Exchange(name) => self
                .exchanges
                .get(name.as_str())
                .map(|exchange| Target::Exchange {
                    id: exchange.id,
                    name: Arc::clone(&exchange.name),
                })
                .ok_or_else(|| refusal::no_exchange(name)),
        }
    }

    /// Binds, for a connection. What it may not use is told after what does not exist or is not valid.
    pub(crate) fn bind(&mut self, binding: &Binding, connection: u64) -> Result<()> {
        if !self.exchanges.contains_key(binding.source.as_str()) {
            return Err(refusal::no_exchange(&binding.source));
        }
        let target = self.target(&binding.destination)?;
        let id = target.id();
        let Some(source) = self.exchanges.get_mut(binding.source.as_str()) else {
            return Err(refusal::no_exchange(&binding.source));
        };
        source.check_arguments(&binding.arguments)?;
        check_owner(&target, connection)?;
        let known = source.leads_to(id);
        source.bind(target, &binding.routing_key, &binding.arguments)?;
        if !known {
            let name = Arc::clone(&source.name);
            self.sources.entry(id).or_default().push(name);
        }
        Ok(())
    }

    /// Takes a binding away for a connection, and its source with it if that deletes itself. Nothing if it is not there.
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

fn check_owner(target: &Target, connection: u64) -> Result<()> {
    match target {
        Target::Queue(queue) if queue.owner.is_some_and(|owner| owner != connection) => {
            Err(refusal::locked(&queue.name))
        }
        _ => Ok(()),
    }
}

fn assert_equal(current: &Exchange, declared: &carrot_core::Exchange) -> Result<()> {
    let name = &declared.name;
    let different = |field: &str, wanted: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
        Err(refusal::different(field, "exchange", name, wanted, found))
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
