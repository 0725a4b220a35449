//! One exchange: its bindings, and the bindings that match a message.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use carrot_core::backend::ShortString;
use carrot_core::{Binding, Destination, Exchange, Headers, Value};

use crate::behaviour::ExchangeBehaviour;
use crate::binding_index::BindingIndex;
use crate::headers::{InvalidMatch, NumberMatch};
use crate::target::{BindingTarget, RoutedQueue};

/// An exchange of a [`RoutingTable`](crate::RoutingTable), with the bindings that start at it.
#[derive(Debug)]
pub struct RoutingExchange<Q> {
    id: u64,
    name: Arc<str>,
    definition: Exchange,
    behaviour: ExchangeBehaviour,
    alternate: Option<ShortString>,
    bindings: HashMap<u64, TargetBindings<Q>>,
    index: BindingIndex<Q>,
}

/// The bindings to one target, by routing key. Several of one key differ in their arguments.
#[derive(Debug)]
struct TargetBindings<Q> {
    target: BindingTarget<Q>,
    keys: BTreeMap<Arc<str>, Vec<Headers>>,
}

impl<Q: RoutedQueue> RoutingExchange<Q> {
    /// Creates an exchange without bindings.
    pub(crate) fn new(
        id: u64,
        definition: Exchange,
        behaviour: ExchangeBehaviour,
        numbers: NumberMatch,
    ) -> RoutingExchange<Q> {
        let alternate = definition.arguments.get("alternate-exchange").and_then(Value::as_str);
        RoutingExchange {
            id,
            name: definition.name.as_str().into(),
            behaviour,
            alternate: alternate.map(ShortString::from),
            definition,
            bindings: HashMap::new(),
            index: BindingIndex::new(behaviour, numbers),
        }
    }

    /// Returns the number of the exchange in its table.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the definition with which the exchange was added.
    pub fn definition(&self) -> &Exchange {
        &self.definition
    }

    /// Returns the way in which the exchange routes.
    pub fn behaviour(&self) -> ExchangeBehaviour {
        self.behaviour
    }

    /// Returns the exchange that receives the messages without a matching binding, if the argument
    /// `alternate-exchange` is a string. That exchange may be missing.
    pub fn alternate(&self) -> Option<&str> {
        self.alternate.as_deref()
    }

    /// Returns whether a binding starts at the exchange.
    pub fn has_bindings(&self) -> bool {
        !self.bindings.is_empty()
    }

    /// Returns the bindings that start at the exchange, in no particular order.
    pub fn bindings(&self) -> impl Iterator<Item = Binding> {
        self.bindings.values().flat_map(move |bound| {
            bound.keys.iter().flat_map(move |(key, all)| {
                all.iter().map(move |arguments| self.binding(&bound.target, key, arguments))
            })
        })
    }

    fn binding(&self, target: &BindingTarget<Q>, key: &str, arguments: &Headers) -> Binding {
        let mut binding = match target.destination() {
            Destination::Queue(queue) => Binding::queue(&*self.name, queue, key),
            Destination::Exchange(exchange) => Binding::exchange(&*self.name, exchange, key),
        };
        binding.arguments = arguments.clone();
        binding
    }

    /// Whether a binding leads to the target of this number.
    pub(crate) fn leads_to(&self, target: u64) -> bool {
        self.bindings.contains_key(&target)
    }

    /// Checks the arguments of a binding.
    pub(crate) fn check_arguments(&self, arguments: &Headers) -> Result<(), InvalidMatch> {
        self.index.wanted(arguments).map(drop)
    }

    /// Whether this exact binding exists.
    pub(crate) fn has_binding(&self, target: u64, key: &str, arguments: &Headers) -> bool {
        self.bindings
            .get(&target)
            .and_then(|bound| bound.keys.get(key))
            .is_some_and(|all| all.contains(arguments))
    }

    /// Adds a binding, unless it exists.
    pub(crate) fn bind(
        &mut self,
        target: BindingTarget<Q>,
        key: &str,
        arguments: &Headers,
    ) -> Result<(), InvalidMatch> {
        let wanted = self.index.wanted(arguments)?;
        let bound = self
            .bindings
            .entry(target.id())
            .or_insert_with(|| TargetBindings { target: target.clone(), keys: BTreeMap::new() });
        let (key, is_first) = match bound.keys.get_key_value(key) {
            Some((_, all)) if all.contains(arguments) => return Ok(()),
            Some((key, _)) => (Arc::clone(key), false),
            None => (Arc::from(key), true),
        };
        bound.keys.entry(Arc::clone(&key)).or_default().push(arguments.clone());
        self.index.add(target, key, arguments, wanted, is_first);
        Ok(())
    }

    /// Removes a binding. Returns whether it existed.
    pub(crate) fn unbind(&mut self, target: u64, key: &str, arguments: &Headers) -> bool {
        let Some(bound) = self.bindings.get_mut(&target) else { return false };
        let Some(all) = bound.keys.get_mut(key) else { return false };
        let Some(index) = all.iter().position(|other| other == arguments) else { return false };
        all.remove(index);
        let is_last = all.is_empty();
        if is_last {
            bound.keys.remove(key);
            if bound.keys.is_empty() {
                self.bindings.remove(&target);
            }
        }
        self.index.remove(target, key, arguments, is_last);
        true
    }

    /// Removes every binding to a target.
    pub(crate) fn unbind_all(&mut self, target: u64) {
        let Some(bound) = self.bindings.get(&target) else { return };
        let all: Vec<(Arc<str>, Headers)> = bound
            .keys
            .iter()
            .flat_map(|(key, all)| all.iter().map(|arguments| (Arc::clone(key), arguments.clone())))
            .collect();
        for (key, arguments) in all {
            self.unbind(target, &key, &arguments);
        }
    }

    /// Calls `found` with each target of a message, possibly more than once.
    pub(crate) fn route<'a>(
        &'a self,
        key: &str,
        headers: Option<&Headers>,
        mut found: impl FnMut(&'a BindingTarget<Q>),
    ) {
        match &self.index {
            BindingIndex::Direct(targets) => {
                if let Some(here) = targets.get(key) {
                    here.iter().for_each(found);
                }
            }
            BindingIndex::Fanout => self.bindings.values().for_each(|bound| found(&bound.target)),
            BindingIndex::Topic(patterns) => {
                patterns.matches(key, |here| here.iter().for_each(&mut found))
            }
            BindingIndex::Headers { bindings, .. } => {
                bindings
                    .iter()
                    .filter(|binding| binding.wanted.matches(headers))
                    .for_each(|binding| found(&binding.target));
            }
        }
    }

    /// Returns the targets.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &BindingTarget<Q>> {
        self.bindings.values().map(|bound| &bound.target)
    }
}
