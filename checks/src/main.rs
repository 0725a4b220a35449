//! Checks of carrot's sources that no compiler makes. `scripts/check-layers`, `scripts/check-words`
//! and `scripts/check-dependencies` start them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

mod attributes;
mod graph;
mod layers;
mod lexer;
mod licences;
mod modules;
mod names;
mod prose;
mod syntax;
mod words;
mod workspace;

const USAGE: &str =
    "usage: carrot-checks layers [--graph CRATE] | words [--count] [FOLDER...] | licences";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["layers"] => check_layers(),
        ["layers", "--graph", name] => print_graph(name),
        ["words", "--count", ref folders @ ..] => check_words(folders, true),
        ["words", ref folders @ ..] => check_words(folders, false),
        ["licences"] => check_licences(),
        _ => Err(io::Error::other(USAGE)),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Checks the layers of every crate and the names of all types. Returns whether all is well.
fn check_layers() -> io::Result<bool> {
    let rules = layers::parse(include_str!("../layers.txt")).map_err(io::Error::other)?;
    let allowed = names::parse(include_str!("../duplicate-names.txt")).map_err(io::Error::other)?;
    let root = workspace::root();
    let mut failures = 0;
    let mut crates = Vec::new();
    for member in workspace::members(&root)? {
        let Some(rule) = rules.get(&member.name) else {
            println!("{}: declared nowhere: add it to checks/layers.txt", member.name);
            failures += 1;
            continue;
        };
        if let layers::Rule::LeftOut(reason) = rule {
            eprintln!("{}: left out: {reason}", member.name);
            continue;
        }
        let tree = modules::read(&workspace::sources(&root.join(&member.folder).join("src"))?);
        let report = layers::check(&member.name, &tree, rule);
        print!("{}", report.text);
        eprintln!(
            "{}: {} failures in {} modules",
            member.name,
            report.failures,
            tree.modules.len()
        );
        failures += report.failures;
        crates.push((member.folder, tree));
    }
    let report = names::check(&crates, &allowed);
    print!("{}", report.text);
    eprintln!("type names: {} failures", report.failures);
    Ok(failures + report.failures == 0)
}

fn print_graph(name: &str) -> io::Result<bool> {
    let root = workspace::root();
    let member = workspace::members(&root)?.into_iter().find(|member| member.name == name);
    let member =
        member.ok_or_else(|| io::Error::other(format!("no crate {name} in the workspace")))?;
    let tree = modules::read(&workspace::sources(&root.join(member.folder).join("src"))?);
    print!("{}", layers::print_graph(&tree));
    Ok(true)
}

/// Searches prose for the phrases of `words.txt` and for wide lines. Returns whether all is well.
fn check_words(folders: &[&str], is_count: bool) -> io::Result<bool> {
    let phrases = words::parse(include_str!("../words.txt")).map_err(io::Error::other)?;
    let root = workspace::root();
    let mut by_phrase: BTreeMap<String, usize> = BTreeMap::new();
    let mut by_folder: BTreeMap<String, usize> = BTreeMap::new();
    for file in workspace::files(&root, &|path| language(path).is_some())? {
        let name = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        let is_asked_for =
            folders.is_empty() || folders.iter().any(|folder| name.starts_with(folder));
        let Some(language) = language(&file).filter(|_| is_asked_for) else {
            continue;
        };
        for (line, found, better) in
            failures_of_prose(language, &fs::read_to_string(&file)?, &phrases)
        {
            let folder = name.split_once('/').map_or(name.as_str(), |(folder, _)| folder);
            *by_folder.entry(folder.to_owned()).or_default() += 1;
            if is_count {
                *by_phrase.entry(better).or_default() += 1;
            } else {
                println!("{name}:{line}: {found}: {better}");
            }
        }
    }
    let total: usize = by_folder.values().sum();
    print!("{}", ranking(by_phrase));
    eprintln!("{}{total:>6} in total", ranking(by_folder));
    Ok(total == 0)
}

/// Returns line, finding and better words for each failure of a text.
fn failures_of_prose(
    language: prose::Language,
    text: &str,
    phrases: &[words::Phrase],
) -> Vec<(usize, String, String)> {
    let blocks = prose::blocks(language, text);
    let found = blocks.iter().flat_map(|block| words::find(block, phrases));
    let mut failures: Vec<_> = found
        .map(|found| {
            (found.line, found.text, format!("{} [{}]", found.phrase.better, found.phrase.pattern))
        })
        .collect();
    for wide in prose::wide_lines(language, text) {
        failures.push((
            wide.line,
            format!("{} columns", wide.width),
            format!("{} at most", prose::COLUMNS),
        ));
    }
    failures.sort();
    failures
}

/// Reads lines of a crate, a tab and its licence expression. Returns whether each is accepted.
fn check_licences() -> io::Result<bool> {
    let mut is_accepted = true;
    for line in io::stdin().lines() {
        let line = line?;
        let (name, expression) = line.split_once('\t').unwrap_or((&line, ""));
        if !licences::is_satisfied(expression) {
            println!(
                "{name}: licence not accepted: {}",
                if expression.is_empty() { "none" } else { expression }
            );
            is_accepted = false;
        }
    }
    Ok(is_accepted)
}

/// Lists counts by name, the highest first.
fn ranking(counts: BTreeMap<String, usize>) -> String {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.iter().map(|(name, count)| format!("{count:>6} {name}\n")).collect()
}

/// Returns the language of the prose in a file, if the file holds any.
fn language(path: &Path) -> Option<prose::Language> {
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    match path.extension() {
        Some(extension) if extension == "rs" => Some(prose::Language::Rust),
        Some(extension) if extension == "md" => Some(prose::Language::Markdown),
        None if folder == "scripts" || folder == ".ci" => Some(prose::Language::Shell),
        _ => None,
    }
}
