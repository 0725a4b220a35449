//! The examples and programs that `docs/activemq.md` lists.

use std::collections::BTreeMap;

/// Returns the names in the section *Examples and programs* that `is_chosen` accepts, each with the
/// first cell of its row.
pub(crate) fn listed(is_chosen: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let page = include_str!("../docs/activemq.md");
    let (_, section) = page.split_once("\n## Examples and programs\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let names = rows.flat_map(|row| {
        let (state, names) = row.trim_matches(['|', ' ']).split_once(" | ").unwrap();
        names.split(", ").map(|name| (name.trim_matches('`').to_owned(), state.to_owned()))
    });
    names.filter(|(name, _)| is_chosen(name)).collect()
}
