//! The bindings of one exchange, ordered for the search of those that match a message.

use std::collections::HashMap;
use std::sync::Arc;

use carrot_core::Headers;

use crate::behaviour::ExchangeBehaviour;
use crate::headers::{HeaderMatch, InvalidMatch, NumberMatch};
use crate::target::{BindingTarget, RoutedQueue};
use crate::topic::PatternTrie;

/// The bindings of one exchange by what its type compares.
#[derive(Debug)]
pub(crate) enum BindingIndex<Q> {
    Direct(HashMap<Arc<str>, Vec<BindingTarget<Q>>>),
    /// Every target of the exchange.
    Fanout,
    Topic(PatternTrie<Vec<BindingTarget<Q>>>),
    Headers {
        bindings: Vec<HeaderBinding<Q>>,
        numbers: NumberMatch,
    },
}

#[derive(Debug)]
pub(crate) struct HeaderBinding<Q> {
    key: Arc<str>,
    arguments: Headers,
    pub(crate) wanted: HeaderMatch,
    pub(crate) target: BindingTarget<Q>,
}

impl<Q: RoutedQueue> BindingIndex<Q> {
    pub(crate) fn new(behaviour: ExchangeBehaviour, numbers: NumberMatch) -> BindingIndex<Q> {
        match behaviour {
            ExchangeBehaviour::Direct => BindingIndex::Direct(HashMap::new()),
            ExchangeBehaviour::Fanout => BindingIndex::Fanout,
            ExchangeBehaviour::Topic => BindingIndex::Topic(PatternTrie::default()),
            ExchangeBehaviour::Headers => BindingIndex::Headers { bindings: Vec::new(), numbers },
        }
    }

    /// Returns the headers that a binding requires, if this is the index of a headers exchange.
    pub(crate) fn wanted(&self, arguments: &Headers) -> Result<Option<HeaderMatch>, InvalidMatch> {
        match self {
            BindingIndex::Headers { numbers, .. } => {
                HeaderMatch::new(arguments, *numbers).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Adds a binding. `is_first` is whether the target has no other with the same key.
    pub(crate) fn add(
        &mut self,
        target: BindingTarget<Q>,
        key: Arc<str>,
        arguments: &Headers,
        wanted: Option<HeaderMatch>,
        is_first: bool,
    ) {
        match self {
            BindingIndex::Direct(targets) if is_first => {
                targets.entry(key).or_default().push(target);
            }
            BindingIndex::Topic(patterns) if is_first => patterns.entry(&key).push(target),
            BindingIndex::Headers { bindings, .. } => {
                let arguments = arguments.clone();
                bindings.extend(wanted.map(|wanted| HeaderBinding {
                    key,
                    arguments,
                    wanted,
                    target,
                }));
            }
            _ => {}
        }
    }

    /// Removes a binding. `is_last` is whether the target has no other with the same key.
    pub(crate) fn remove(&mut self, target: u64, key: &str, arguments: &Headers, is_last: bool) {
        match self {
            BindingIndex::Direct(targets) if is_last => {
                if let Some(here) = targets.get_mut(key) {
                    here.retain(|other| other.id() != target);
                    if here.is_empty() {
                        targets.remove(key);
                    }
                }
            }
            BindingIndex::Topic(patterns) if is_last => patterns.update(key, |here| {
                here.retain(|other| other.id() != target);
                here.is_empty()
            }),
            BindingIndex::Headers { bindings, .. } => {
                bindings.retain(|other| {
                    other.target.id() != target
                        || *other.key != *key
                        || other.arguments != *arguments
                });
            }
            _ => {}
        }
    }
}
