//! The names at the root of the crate, which a newcomer reads first.

/// The most types, traits and functions at the root. The others belong to modules.
const MOST: usize = 20;

/// The names that the root of the facade exports, without modules.
fn names_at_the_root(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let exports = code
        .split("\npub use carrot_core::{")
        .nth(1)
        .and_then(|rest| rest.split('}').next())
        .unwrap_or_default();
    let is_type = |name: &&str| name.starts_with(char::is_uppercase);
    names.extend(exports.split(',').map(str::trim).filter(is_type).map(str::to_string));
    names.extend(
        code.split("\npub fn ")
            .skip(1)
            .map(|rest| rest.split(['<', '(']).next().unwrap_or_default().to_string()),
    );
    names
}

#[test]
fn root_exports_at_most_twenty_names() {
    let names = names_at_the_root(include_str!("../src/lib.rs"));
    for expected in ["Connection", "Publisher", "Consumer", "Message", "Error", "connect"] {
        assert!(names.iter().any(|name| name == expected), "{expected} is not found in {names:?}");
    }
    assert!(names.len() <= MOST, "{} names at the root: {names:?}", names.len());
}
