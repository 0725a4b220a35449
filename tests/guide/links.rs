//! The pages lead to each other, and to the same items on GitHub and in rustdoc.

use std::collections::HashMap;

use crate::{path, read};

const DOCS_RS: &str = "https://docs.rs/carrot/latest/carrot/";

/// Returns the definitions of links in a text: their labels and their targets.
fn definitions(text: &str) -> Vec<(String, String)> {
    let definition = |line: &str| {
        let (label, target) = line.strip_prefix('[')?.split_once("]: ")?;
        Some((label.to_owned(), target.to_owned()))
    };
    text.lines().filter_map(definition).collect()
}

/// Returns the names of the chapters in `docs/SUMMARY.md`, in their order: their files.
fn chapters() -> Vec<String> {
    let summary = read("docs/SUMMARY.md");
    let targets = summary.split("](guide/").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(file, _)| file.to_owned()).filter(|file| file != "README.md").collect()
}

/// Returns the pages that are modules of `carrot::guide`, below `docs`.
fn pages() -> Vec<String> {
    let summary = read("docs/SUMMARY.md");
    let targets = summary.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(file, _)| file.to_owned()).filter(|file| file != "README.md").collect()
}

/// Returns the folder of a page, below the root of the repository.
fn folder_of(page: &str) -> String {
    format!("docs/{}", page.rsplit_once('/').map_or("", |(folder, _)| folder))
}

/// Returns the anchor of a heading, on GitHub and in rustdoc.
fn anchor_of(heading: &str) -> String {
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    heading.to_lowercase().chars().filter(is_kept).collect::<String>().replace(' ', "-")
}

/// Returns the path of the item that a page of docs.rs documents.
fn item_of_page(address: &str) -> Option<String> {
    let (file, anchor) =
        address.strip_prefix(DOCS_RS)?.split_once(".html").map(|(file, rest)| {
            (file, rest.strip_prefix('#').and_then(|anchor| anchor.split_once('.')))
        })?;
    let mut parts: Vec<&str> = file.split('/').collect();
    let (_, name) = parts.pop()?.split_once('.')?;
    parts.push(name);
    parts.extend(anchor.map(|(_, member)| member));
    Some(format!("crate::{}", parts.join("::")))
}

/// Returns the module of a page, with the anchor.
fn module_of_file(file: &str) -> String {
    let (file, anchor) = file.split_once('#').map_or((file, None), |(f, a)| (f, Some(a)));
    let name = match file.trim_start_matches("../") {
        "backend-guide.md" => "::backends".to_owned(),
        "README.md" => String::new(),
        file => format!("::{}", file.trim_end_matches(".md").replace('-', "_")),
    };
    format!("crate::guide{name}{}", anchor.map(|anchor| format!("#{anchor}")).unwrap_or_default())
}

#[test]
fn links_of_each_page_lead_to_the_same_place_in_rustdoc() {
    let in_rustdoc: HashMap<String, String> =
        definitions(&read("src/guide/links.md")).into_iter().collect();
    let mut used = Vec::new();
    for page in pages() {
        let text = read(&format!("docs/{page}"));
        let is_between_pages =
            |(_, target): &(String, String)| target.starts_with(DOCS_RS) || target.contains(".md");
        for (label, target) in definitions(&text).into_iter().filter(is_between_pages) {
            let expected = in_rustdoc
                .get(&label)
                .unwrap_or_else(|| panic!("{page}: src/guide/links.md does not define [{label}]"));
            let expected = expected.split_once('@').map_or(&**expected, |(_, item)| item);
            if let Some(item) = item_of_page(&target) {
                assert_eq!(item, expected, "{page}: [{label}]");
            } else {
                assert_eq!(module_of_file(&target), expected, "{page}: [{label}]");
                let file = target.split('#').next().unwrap_or_default();
                assert!(path(&folder_of(&page)).join(file).exists(), "{page}: [{label}]: {target}");
            }
            used.push(label);
        }
    }
    let mut unused: Vec<_> = in_rustdoc.keys().filter(|label| !used.contains(label)).collect();
    unused.sort();
    assert!(unused.is_empty(), "no page uses {unused:?}");
}

#[test]
fn links_between_pages_have_labels() {
    for page in pages() {
        let text = read(&format!("docs/{page}"));
        let inline: Vec<_> = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .map(|(target, _)| target)
            .filter(|target| {
                let file = target.split('#').next().unwrap_or_default();
                pages().iter().any(|page| page.rsplit('/').next() == file.rsplit('/').next())
            })
            .collect();
        assert!(inline.is_empty(), "{page}: rustdoc has no such file: {inline:?}");
    }
}

#[test]
fn anchors_of_links_are_headings() {
    for page in pages() {
        for (label, target) in definitions(&read(&format!("docs/{page}"))) {
            let Some((file, anchor)) =
                target.split_once('#').filter(|(file, _)| file.ends_with("md"))
            else {
                continue;
            };
            let headings = read(&format!("{}/{file}", folder_of(&page)))
                .lines()
                .filter(|line| line.starts_with('#'))
                .map(|line| anchor_of(line.trim_start_matches(['#', ' '])))
                .collect::<Vec<_>>();
            assert!(headings.iter().any(|heading| heading == anchor), "{page}: [{label}]");
        }
    }
}

#[test]
fn every_chapter_is_in_the_summary_and_in_rustdoc() {
    let modules = read("src/guide.rs");
    let chapters = chapters();
    for file in std::fs::read_dir(path("docs/guide")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || chapters.contains(&name), "{name} is in no summary");
    }
    for chapter in &chapters {
        assert!(path("docs/guide").join(chapter).exists(), "{chapter} of the summary is missing");
        assert!(modules.contains(&format!("\"{chapter}\"")), "{chapter} is no module");
    }
}

#[test]
fn chapters_name_the_next_one_of_the_summary() {
    let chapters = chapters();
    let last = chapters.iter().position(|chapter| chapter == "limits-and-defaults.md").unwrap();
    for pair in chapters[..=last].windows(2) {
        let page = read(&format!("docs/guide/{}", pair[0]));
        let next = page.split("Next: [").nth(1).and_then(|rest| rest.split(']').next());
        let next = next.unwrap_or_else(|| panic!("{} names no next chapter", pair[0]));
        let target =
            definitions(&page).into_iter().find(|(label, _)| *label == next.to_lowercase());
        assert_eq!(target.map(|(_, target)| target), Some(pair[1].clone()), "{}", pair[0]);
    }
}
