//! One exchange: its bindings, and the bindings that match a message.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use carrot_core::backend::ShortString;
use carrot_core::{Binding, Destination, ExchangeKind, Headers, Result};

use crate::errors;
use crate::queue::BrokerQueue;
use crate::release_rules::ReleaseRules;
use crate::routing::headers::HeaderMatch;
use crate::routing::topic::PatternTrie;

/// The target of a binding.
#[derive(Debug, Clone)]
pub(crate) enum BindingTarget {
    Queue(Arc<BrokerQueue>),
    Exchange { id: u64, name: Arc<str> },
}

impl BindingTarget {
    pub(crate) fn id(&self) -> u64 {
        match self {
            BindingTarget::Queue(queue) => queue.id,
            BindingTarget::Exchange { id, .. } => *id,
        }
    }

    fn destination(&self) -> Destination {
        match self {
            BindingTarget::Queue(queue) => Destination::Queue(queue.name.to_string()),
            BindingTarget::Exchange { name, .. } => Destination::Exchange(name.to_string()),
        }
    }
}

/// An exchange, with the bindings that start at it.
#[derive(Debug)]
pub(crate) struct BrokerExchange {
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: Headers,
    pub(crate) alternate: Option<ShortString>,
    bindings: HashMap<u64, TargetBindings>,
    router: BindingIndex,
    rules: &'static ReleaseRules,
}

/// The bindings to one target, by routing key. Several of one key differ in their arguments.
#[derive(Debug)]
struct TargetBindings {
    target: BindingTarget,
    keys: BTreeMap<Arc<str>, Vec<Headers>>,
}

#[derive(Debug)]
enum BindingIndex {
    Direct(HashMap<Arc<str>, Vec<BindingTarget>>),
    /// Every target in `bindings`.
    Fanout,
    Topic(PatternTrie<Vec<BindingTarget>>),
    Headers(Vec<HeaderBinding>),
}

#[derive(Debug)]
struct HeaderBinding {
    key: Arc<str>,
    arguments: Headers,
    wanted: HeaderMatch,
    target: BindingTarget,
}

impl BrokerExchange {
    /// Creates an exchange without bindings, which routes as `behaviour`, one of the standard
    /// types.
    pub(crate) fn new(
        id: u64,
        declared: &carrot_core::Exchange,
        behaviour: &ExchangeKind,
        alternate: Option<ShortString>,
        rules: &'static ReleaseRules,
    ) -> BrokerExchange {
        let router = match behaviour {
            ExchangeKind::Fanout => BindingIndex::Fanout,
            ExchangeKind::Topic => BindingIndex::Topic(PatternTrie::default()),
            ExchangeKind::Headers => BindingIndex::Headers(Vec::new()),
            _ => BindingIndex::Direct(HashMap::new()),
        };
        BrokerExchange {
            id,
            name: declared.name.as_str().into(),
            kind: declared.kind.clone(),
            durable: declared.durable,
            auto_delete: declared.auto_delete,
            internal: declared.internal,
            arguments: declared.arguments.clone(),
            alternate,
            bindings: HashMap::new(),
            router,
            rules,
        }
    }

    pub(crate) fn has_bindings(&self) -> bool {
        !self.bindings.is_empty()
    }

    /// Whether a binding leads to the target of this number.
    pub(crate) fn leads_to(&self, target: u64) -> bool {
        self.bindings.contains_key(&target)
    }

    /// Checks the key and the arguments of a binding.
    ///
    /// # Errors
    /// - As [`bind`](BrokerExchange::bind).
    /// - [`Error::PreconditionFailed`](carrot_core::Error::PreconditionFailed): this is a topic
    ///   exchange, and the key has too many `#`.
    pub(crate) fn check_binding(&self, key: &str, arguments: &Headers) -> Result<()> {
        if let (BindingIndex::Topic(_), Some(most)) = (&self.router, self.rules.most_topic_hashes) {
            let hashes = key.split('.').filter(|word| *word == "#").count();
            if hashes > most {
                return Err(errors::precondition(format_args!(
                    "Topic binding key '{key}' uses {hashes} '#' wildcards, at most {most} are allowed"
                )));
            }
        }
        self.wanted(arguments).map(drop)
    }

    fn wanted(&self, arguments: &Headers) -> Result<Option<HeaderMatch>> {
        match self.router {
            BindingIndex::Headers(_) => {
                HeaderMatch::new(arguments, self.rules.header_numbers).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Whether this exact binding exists.
    pub(crate) fn has_binding(&self, target: u64, key: &str, arguments: &Headers) -> bool {
        self.bindings
            .get(&target)
            .and_then(|bound| bound.keys.get(key))
            .is_some_and(|all| all.contains(arguments))
    }

    /// Adds a binding, unless it exists.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`](carrot_core::Error::PreconditionFailed): this is a headers
    /// exchange, and the arguments are invalid for one.
    pub(crate) fn bind(
        &mut self,
        target: BindingTarget,
        key: &str,
        arguments: &Headers,
    ) -> Result<()> {
        let wanted = self.wanted(arguments)?;
        let bound = self
            .bindings
            .entry(target.id())
            .or_insert_with(|| TargetBindings { target: target.clone(), keys: BTreeMap::new() });
        let (key, first) = match bound.keys.get_key_value(key) {
            Some((_, all)) if all.contains(arguments) => return Ok(()),
            Some((key, _)) => (Arc::clone(key), false),
            None => (Arc::from(key), true),
        };
        bound.keys.entry(Arc::clone(&key)).or_default().push(arguments.clone());
        match &mut self.router {
            BindingIndex::Direct(targets) if first => targets.entry(key).or_default().push(target),
            BindingIndex::Topic(patterns) if first => patterns.entry(&key).push(target),
            BindingIndex::Headers(all) => {
                all.extend(wanted.map(|wanted| HeaderBinding {
                    key,
                    arguments: arguments.clone(),
                    wanted,
                    target,
                }));
            }
            _ => {}
        }
        Ok(())
    }

    /// Removes a binding. Returns whether it existed.
    pub(crate) fn unbind(&mut self, target: u64, key: &str, arguments: &Headers) -> bool {
        let Some(bound) = self.bindings.get_mut(&target) else { return false };
        let Some(all) = bound.keys.get_mut(key) else { return false };
        let Some(index) = all.iter().position(|other| other == arguments) else { return false };
        all.remove(index);
        let last = all.is_empty();
        if last {
            bound.keys.remove(key);
            if bound.keys.is_empty() {
                self.bindings.remove(&target);
            }
        }
        match &mut self.router {
            BindingIndex::Direct(targets) if last => {
                if let Some(here) = targets.get_mut(key) {
                    here.retain(|other| other.id() != target);
                    if here.is_empty() {
                        targets.remove(key);
                    }
                }
            }
            BindingIndex::Topic(patterns) if last => patterns.update(key, |here| {
                here.retain(|other| other.id() != target);
                here.is_empty()
            }),
            BindingIndex::Headers(all) => {
                all.retain(|other| {
                    other.target.id() != target
                        || *other.key != *key
                        || other.arguments != *arguments
                });
            }
            _ => {}
        }
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
        mut found: impl FnMut(&'a BindingTarget),
    ) {
        match &self.router {
            BindingIndex::Direct(targets) => {
                if let Some(here) = targets.get(key) {
                    here.iter().for_each(found);
                }
            }
            BindingIndex::Fanout => self.bindings.values().for_each(|bound| found(&bound.target)),
            BindingIndex::Topic(patterns) => {
                patterns.matches(key, |here| here.iter().for_each(&mut found))
            }
            BindingIndex::Headers(all) => {
                all.iter()
                    .filter(|binding| binding.wanted.matches(headers))
                    .for_each(|binding| found(&binding.target));
            }
        }
    }

    /// Returns the targets.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &BindingTarget> {
        self.bindings.values().map(|bound| &bound.target)
    }

    /// Returns the bindings.
    pub(crate) fn bindings(&self) -> impl Iterator<Item = Binding> {
        self.bindings.values().flat_map(move |bound| {
            bound.keys.iter().flat_map(move |(key, all)| {
                all.iter().map(move |arguments| {
                    let mut binding = match bound.target.destination() {
                        Destination::Queue(queue) => Binding::queue(&*self.name, queue, &**key),
                        Destination::Exchange(exchange) => {
                            Binding::exchange(&*self.name, exchange, &**key)
                        }
                    };
                    binding.arguments = arguments.clone();
                    binding
                })
            })
        })
    }
}
