//! Adds topic patterns, removes them and looks keys up. The matches are equal to those of a
//! word-by-word comparison.
#![no_main]

use std::collections::BTreeSet;

use carrot_routing::PatternTrie;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut trie = PatternTrie::<Option<String>>::default();
    let mut added = BTreeSet::new();
    for line in text.split('\n') {
        if let Some(key) = line.strip_prefix('?') {
            let mut found = Vec::new();
            trie.matches(key, |pattern| found.extend(pattern.clone()));
            found.sort_unstable();
            let key = words(key);
            let expected: Vec<String> = added.iter().filter(|pattern: &&String| matches(&words(pattern), &key)).cloned().collect();
            assert_eq!(found, expected, "{key:?}");
        } else if let Some(pattern) = line.strip_prefix('-') {
            trie.update(pattern, |value| {
                *value = None;
                true
            });
            added.remove(pattern);
        } else {
            *trie.entry(line) = Some(line.to_string());
            added.insert(line.to_string());
        }
    }
});

fn words(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { text.split('.').collect() }
}

/// Compares a pattern with a key by dynamic programming, because a recursive comparison of many `#`
/// is exponential.
fn matches(pattern: &[&str], key: &[&str]) -> bool {
    let mut row = vec![false; key.len() + 1];
    row[0] = true;
    for word in pattern {
        let mut next = vec![false; key.len() + 1];
        next[0] = *word == "#" && row[0];
        for (index, other) in key.iter().enumerate() {
            next[index + 1] = match *word {
                "#" => row[index + 1] || next[index],
                "*" => row[index],
                word => row[index] && word == *other,
            };
        }
        row = next;
    }
    row[key.len()]
}
