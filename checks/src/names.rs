//! Type names that are defined more than once in the workspace.

use std::collections::{BTreeMap, BTreeSet};

use crate::layers::LayerReport;
use crate::modules::Crate;

/// Reads a list of names that may be defined twice, each with the reason: `Name: reason`.
pub(crate) fn parse(list: &str) -> Result<BTreeSet<String>, String> {
    let lines =
        list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split_once(':') {
            Some((name, reason)) if !reason.trim().is_empty() => Ok(name.trim().to_owned()),
            _ => Err(format!("duplicate name without a reason: {line}")),
        })
        .collect()
}

/// Fails for each type name that two places define, and for each allowed name that is unique.
pub(crate) fn check(crates: &[(String, Crate)], allowed: &BTreeSet<String>) -> LayerReport {
    let mut places: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (folder, tree) in crates {
        for definition in &tree.types {
            let place = format!("{folder}/src/{}:{}", definition.file, definition.line);
            places.entry(&definition.name).or_default().insert(place);
        }
    }
    let mut report = LayerReport::default();
    for (name, places) in places.iter().filter(|(_, places)| places.len() > 1) {
        if !allowed.contains(*name) {
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            report.fail(&format!(
                "type {name} is defined {} times: {}",
                places.len(),
                places.join(", ")
            ));
        }
    }
    for name in allowed
        .iter()
        .filter(|name| places.get(name.as_str()).is_none_or(|places| places.len() < 2))
    {
        report.fail(&format!("type {name} is unique: remove it from checks/duplicate-names.txt"));
    }
    report
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::modules;

    fn tree(folder: &str, text: &str) -> (String, Crate) {
        (folder.to_owned(), modules::read(&[("lib.rs".to_owned(), text.to_owned())].into()))
    }

    #[test]
    fn duplicate_in_two_crates_is_refused() {
        let crates =
            [tree("a", "pub struct Queue;\nenum Kind { Queue }"), tree("b", "trait Queue {}")];
        let report = check(&crates, &BTreeSet::new());
        assert_eq!(report.text, "type Queue is defined 2 times: a/src/lib.rs:1, b/src/lib.rs:1\n");
        assert_eq!(check(&crates, &parse("Queue: b implements that of a").unwrap()).failures, 0);
    }

    #[test]
    fn duplicate_in_two_modules_of_one_crate_is_refused() {
        let crates = [tree("a", "struct State;\nmod inner { struct State; }")];
        assert_eq!(check(&crates, &BTreeSet::new()).failures, 1);
    }

    #[test]
    fn tests_functions_macros_and_aliases_define_no_type() {
        let text = "struct A; type B = u8; fn f() { struct A; } #[cfg(test)] struct A; #[cfg(test)] mod tests { struct A; }
            macro_rules! m { () => { struct A; }; } impl X { type A = u8; } mod other { type B = u8; }";
        assert_eq!(check(&[tree("a", text)], &BTreeSet::new()).failures, 0);
    }

    #[test]
    fn stale_allowance_is_refused() {
        let allowed = parse("# comment\nQueue: reason").unwrap();
        assert!(check(&[tree("a", "struct Queue;")], &allowed).text.contains("is unique"));
    }

    #[test]
    fn allowance_without_reason_is_refused() {
        assert!(parse("Queue:").is_err());
        assert!(parse("Queue").is_err());
    }

    #[test]
    fn list_of_the_workspace_is_sound() {
        parse(include_str!("../duplicate-names.txt")).unwrap();
    }
}
