//! Topic patterns, and the patterns that match a routing key.
//!
//! The patterns form a trie of words, which is searched like a non-deterministic automaton. A set
//! of nodes advances along the words of the key, and contains each node at most once. So the work
//! is at most the number of words times the number of nodes reached, regardless of the number of
//! `#`. Patterns that share no prefix with the key cost nothing.

use std::collections::HashMap;

const ROOT: usize = 0;

/// Values by topic pattern. Dots separate words; `*` stands for one word, `#` for any number of
/// words.
///
/// The empty pattern and the empty key have no words. So `*` does not match the empty key, and `#`
/// does.
///
/// ```
/// use carrot_routing::PatternTrie;
///
/// let mut trie = PatternTrie::<Vec<&str>>::default();
/// trie.entry("usd.#").push("dollars");
/// let mut found: Vec<&str> = Vec::new();
/// trie.matches("usd.stock.nyse", |values| found.extend(values));
/// assert_eq!(found, ["dollars"]);
/// ```
#[derive(Debug)]
pub struct PatternTrie<T> {
    nodes: Vec<PatternNode<T>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct PatternNode<T> {
    parent: usize,
    is_hash: bool,
    words: HashMap<Box<str>, usize>,
    star: Option<usize>,
    hash: Option<usize>,
    value: Option<T>,
}

impl<T> PatternNode<T> {
    fn new(parent: usize, is_hash: bool) -> PatternNode<T> {
        PatternNode { parent, is_hash, words: HashMap::new(), star: None, hash: None, value: None }
    }

    fn child(&self, word: &str) -> Option<usize> {
        match word {
            "*" => self.star,
            "#" => self.hash,
            word => self.words.get(word).copied(),
        }
    }

    fn is_vacant(&self) -> bool {
        self.value.is_none() && self.star.is_none() && self.hash.is_none() && self.words.is_empty()
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    (!text.is_empty()).then(|| text.split('.')).into_iter().flatten()
}

impl<T: Default> Default for PatternTrie<T> {
    fn default() -> PatternTrie<T> {
        PatternTrie { nodes: vec![PatternNode::new(ROOT, false)], free: Vec::new() }
    }
}

impl<T: Default> PatternTrie<T> {
    /// Returns the value of exactly this pattern, which is added if it is missing.
    pub fn entry(&mut self, pattern: &str) -> &mut T {
        let mut node = ROOT;
        for word in words(pattern) {
            node = match self.nodes[node].child(word) {
                Some(child) => child,
                None => self.grow(node, word),
            };
        }
        self.nodes[node].value.get_or_insert_default()
    }

    fn grow(&mut self, parent: usize, word: &str) -> usize {
        let node = PatternNode::new(parent, word == "#");
        let index = match self.free.pop() {
            Some(index) => {
                self.nodes[index] = node;
                index
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        match word {
            "*" => self.nodes[parent].star = Some(index),
            "#" => self.nodes[parent].hash = Some(index),
            word => {
                self.nodes[parent].words.insert(word.into(), index);
            }
        }
        index
    }

    /// Changes the value of exactly this pattern, if it exists. Removes the value if `update`
    /// returns that it is now empty.
    pub fn update(&mut self, pattern: &str, update: impl FnOnce(&mut T) -> bool) {
        let mut node = ROOT;
        let mut path = Vec::new();
        for word in words(pattern) {
            let Some(child) = self.nodes[node].child(word) else { return };
            path.push(word);
            node = child;
        }
        let Some(value) = &mut self.nodes[node].value else { return };
        if !update(value) {
            return;
        }
        self.nodes[node].value = None;
        while let Some(word) = path.pop().filter(|_| self.nodes[node].is_vacant()) {
            let parent = self.nodes[node].parent;
            match word {
                "*" => self.nodes[parent].star = None,
                "#" => self.nodes[parent].hash = None,
                word => {
                    self.nodes[parent].words.remove(word);
                }
            }
            self.free.push(node);
            node = parent;
        }
    }

    /// Calls `found` once with each value whose pattern matches `key`.
    pub fn matches<'a>(&'a self, key: &str, found: impl FnMut(&'a T)) {
        let mut current = Vec::with_capacity(8);
        let mut following = Vec::with_capacity(8);
        self.enter(&mut current, ROOT);
        for word in words(key) {
            for &index in &current {
                let node = &self.nodes[index];
                if node.is_hash {
                    following.push(index);
                }
                if let Some(child) = node.star {
                    self.enter(&mut following, child);
                }
                if let Some(&child) = node.words.get(word) {
                    self.enter(&mut following, child);
                }
            }
            following.sort_unstable();
            following.dedup();
            std::mem::swap(&mut current, &mut following);
            following.clear();
            if current.is_empty() {
                return;
            }
        }
        current.sort_unstable();
        current.dedup();
        current.iter().filter_map(|&index| self.nodes[index].value.as_ref()).for_each(found);
    }

    /// Adds `node` to the set, and the `#` below it, which also matches no word.
    fn enter(&self, set: &mut Vec<usize>, mut node: usize) {
        set.push(node);
        while let Some(hash) = self.nodes[node].hash {
            set.push(hash);
            node = hash;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use super::*;

    /// The definition of a match, word by word.
    fn reference(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            (["#", rest @ ..], _) => {
                reference(rest, key) || (!key.is_empty() && reference(pattern, &key[1..]))
            }
            (["*", rest @ ..], [_, others @ ..]) => reference(rest, others),
            ([word, rest @ ..], [other, others @ ..]) => word == other && reference(rest, others),
            _ => false,
        }
    }

    fn found(trie: &PatternTrie<Vec<String>>, key: &str) -> Vec<String> {
        let mut found = Vec::new();
        trie.matches(key, |values| found.extend(values.iter().cloned()));
        found.sort();
        found
    }

    fn text(words: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(words), 0..=most)
            .prop_map(|words| words.join("."))
    }

    proptest! {
        #[test]
        fn trie_random_patterns_match_the_definition(
            patterns in prop::collection::vec(text(&["a", "b", "", "*", "#"], 5), 0..12),
            removed in prop::collection::vec(any::<bool>(), 12),
            keys in prop::collection::vec(text(&["a", "b", "c", "", "*", "#"], 6), 1..8),
        ) {
            let mut trie = PatternTrie::<Vec<String>>::default();
            let mut kept = BTreeMap::new();
            for pattern in &patterns {
                trie.entry(pattern).push(pattern.clone());
                *kept.entry(pattern.clone()).or_insert(0) += 1;
            }
            for (pattern, _) in patterns.iter().zip(&removed).filter(|(_, removed)| **removed) {
                trie.update(pattern, |values| {
                    values.clear();
                    true
                });
                kept.remove(pattern);
            }
            for key in &keys {
                let key_words: Vec<&str> = words(key).collect();
                let expected: Vec<String> = kept
                    .iter()
                    .filter(|(pattern, _)| reference(&words(pattern).collect::<Vec<_>>(), &key_words))
                    .flat_map(|(pattern, count)| std::iter::repeat_n(pattern.clone(), *count))
                    .collect();
                prop_assert_eq!(found(&trie, key), expected, "{:?}", key);
            }
        }
    }

    #[test]
    fn pattern_with_empty_words_matches_as_on_rabbitmq() {
        let mut trie = PatternTrie::<Vec<String>>::default();
        for pattern in ["", "*", "#", ".", "*.*", "a."] {
            trie.entry(pattern).push(pattern.into());
        }
        assert_eq!(found(&trie, ""), ["", "#"]);
        assert_eq!(found(&trie, "."), ["#", "*.*", "."]);
        assert_eq!(found(&trie, "a."), ["#", "*.*", "a."]);
        assert_eq!(found(&trie, "*"), ["#", "*"]);
    }

    #[test]
    fn pattern_with_many_hashes_matches_in_polynomial_time() {
        let mut trie = PatternTrie::<Vec<String>>::default();
        let pattern = ["#"; 60].join(".a.") + ".never";
        trie.entry(&pattern).push(pattern.clone());
        let started = Instant::now();
        assert_eq!(found(&trie, &["a"; 120].join(".")), Vec::<String>::new());
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn trie_with_all_patterns_removed_reuses_its_nodes() {
        let mut trie = PatternTrie::<Vec<String>>::default();
        for round in 0..3 {
            for number in 0..10 {
                trie.entry(&format!("a.{number}.#")).push(String::new());
            }
            for number in 0..10 {
                trie.update(&format!("a.{number}.#"), |_| true);
            }
            assert_eq!((trie.nodes.len(), trie.free.len()), (22, 21), "{round}");
        }
    }
}
