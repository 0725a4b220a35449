//! Topic patterns filed, taken away and asked for: what is found is what the definition of a match says, word by word.
#![no_main]

#[allow(dead_code)]
#[path = "../../carrot-backend-memory/src/pattern.rs"]
mod pattern;

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use pattern::PatternTrie;

fuzz_target!(|text: &str| {
    let mut trie = PatternTrie::<Option<String>>::default();
    let mut filed = BTreeSet::new();
    for line in text.split('\n') {
        if let Some(key) = line.strip_prefix('?') {
            let mut found = Vec::new();
            trie.matches(key, |pattern| found.extend(pattern.clone()));
            found.sort_unstable();
            let key = words(key);
            let expected: Vec<String> = filed.iter().filter(|pattern: &&String| matches(&words(pattern), &key)).cloned().collect();
            assert_eq!(found, expected, "{key:?}");
        } else if let Some(pattern) = line.strip_prefix('-') {
            trie.update(pattern, |value| {
                *value = None;
                true
            });
            filed.remove(pattern);
        } else {
            *trie.entry(line) = Some(line.to_string());
            filed.insert(line.to_string());
        }
    }
});

fn words(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { text.split('.').collect() }
}

/// By a table of which beginnings match which, lest many `#` take for ever.
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
