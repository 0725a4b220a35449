//! Finds the prose of a file: comments of sources and scripts, and the text of Markdown.

use crate::lexer;

/// A run of lines that are read as one text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// Whether the block documents an item or a module.
    pub(crate) is_doc: bool,
    /// Each line with its number, without the marker of the comment. Blocks of code are left out.
    pub(crate) lines: Vec<(usize, String)>,
}

/// A line of prose that is wider than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WideLine {
    pub(crate) line: usize,
    pub(crate) width: usize,
}

/// The number of columns for prose.
pub(crate) const COLUMNS: usize = 100;

/// The kinds of files that hold prose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    Markdown,
    Shell,
}

/// Returns the blocks of prose of a file, in their order.
pub(crate) fn blocks(language: Language, text: &str) -> Vec<Block> {
    let lines = match language {
        Language::Rust => rust_lines(text),
        Language::Markdown => {
            text.lines().enumerate().map(|(index, line)| (index + 1, "", line.to_owned())).collect()
        }
        Language::Shell => {
            shell_lines(text).map(|(number, line)| (number, "#", line[1..].to_owned())).collect()
        }
    };
    let mut blocks: Vec<Block> = Vec::new();
    let mut previous = (0, "");
    let mut is_code = false;
    for (number, marker, line) in lines {
        let is_next = previous == (number.wrapping_sub(1), marker) && !blocks.is_empty();
        if !is_next {
            is_code = false;
            blocks.push(Block { is_doc: matches!(marker, "///" | "//!"), lines: Vec::new() });
        }
        previous = (number, marker);
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if let (false, Some(block)) =
            (is_code || is_link_definition(&line), blocks.last_mut())
        {
            block.lines.push((number, line));
        }
    }
    blocks.retain(|block| !block.lines.is_empty());
    blocks
}

/// Returns the lines of prose that are wider than [`COLUMNS`]. Tables and the addresses of links do
/// not count.
pub(crate) fn wide_lines(language: Language, text: &str) -> Vec<WideLine> {
    let source: Vec<&str> = text.lines().collect();
    let mut numbers: Vec<usize> = match language {
        Language::Rust => rust_lines(text).into_iter().map(|(number, _, _)| number).collect(),
        Language::Markdown => blocks(language, text)
            .into_iter()
            .flat_map(|block| block.lines)
            .map(|(number, _)| number)
            .collect(),
        Language::Shell => shell_lines(text).map(|(number, _)| number).collect(),
    };
    numbers.dedup();
    let widths = numbers
        .into_iter()
        .filter_map(|number| source.get(number - 1).map(|line| (number, width(line))));
    widths
        .filter(|(_, width)| *width > COLUMNS)
        .map(|(line, width)| WideLine { line, width })
        .collect()
}

/// Returns each line of each comment with its number, its marker and the text behind it.
fn rust_lines(text: &str) -> Vec<(usize, &'static str, String)> {
    let mut lines = Vec::new();
    for comment in lexer::comments(text) {
        let marker = ["///", "//!", "//", "/*"]
            .into_iter()
            .find(|marker| comment.text.starts_with(marker))
            .unwrap_or("//");
        let body = comment.text[marker.len()..].trim_end_matches("*/");
        for (offset, line) in body.lines().enumerate() {
            let line = if marker == "/*" { line.trim_start_matches([' ', '*']) } else { line };
            lines.push((comment.line + offset, marker, line.to_owned()));
        }
        if body.is_empty() {
            lines.push((comment.line, marker, String::new()));
        }
    }
    lines
}

fn shell_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim_start()));
    lines.filter(|(_, line)| line.starts_with('#') && !line.starts_with("#!"))
}

fn is_link_definition(line: &str) -> bool {
    line.trim_start().starts_with('[') && line.contains("]: ")
}

/// Returns the columns of a line without the addresses of its links; 0 for a line of a table.
fn width(line: &str) -> usize {
    let text = line.trim_start().trim_start_matches(['/', '!', '#']).trim_start();
    if text.starts_with('|') || is_link_definition(text) {
        return 0;
    }
    let is_address = |word: &&str| word.contains("://");
    let bare: usize =
        line.split_whitespace().filter(is_address).map(|word| word.chars().count()).sum();
    let linked: usize = addresses(line)
        .filter(|address| !address.contains("://"))
        .map(|address| address.chars().count())
        .sum();
    line.chars().count() - bare - linked
}

/// Returns the addresses behind the texts of links: `[text](address)`.
fn addresses(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(language: Language, text: &str) -> Vec<(bool, Vec<(usize, String)>)> {
        blocks(language, text).into_iter().map(|block| (block.is_doc, block.lines)).collect()
    }

    fn line(number: usize, text: &str) -> (usize, String) {
        (number, text.to_owned())
    }

    #[test]
    fn comments_of_one_kind_on_following_lines_are_one_block() {
        let text = "/// One\n/// two\n// three\n\n// four\nlet x = 1; // five\n/* six\n * seven */";
        assert_eq!(
            texts(Language::Rust, text),
            [
                (true, vec![line(1, " One"), line(2, " two")]),
                (false, vec![line(3, " three")]),
                (false, vec![line(5, " four"), line(6, " five")]),
                (false, vec![line(7, "six"), line(8, "seven ")]),
            ]
        );
    }

    #[test]
    fn code_in_prose_is_left_out() {
        let text = "/// One\n/// ```\n/// whoever();\n/// ```\n/// two\n/// [`x`]: y";
        assert_eq!(texts(Language::Rust, text), [(true, vec![line(1, " One"), line(5, " two")])]);
        let text = "One\n```rust\ncode\n```\ntwo";
        assert_eq!(
            texts(Language::Markdown, text),
            [(false, vec![line(1, "One"), line(5, "two")])]
        );
    }

    #[test]
    fn scripts_have_comments_on_lines_of_their_own() {
        let text = "#!/bin/sh\n# one\nx=${y#z} # two\n    # three";
        assert_eq!(
            texts(Language::Shell, text),
            [(false, vec![line(2, " one")]), (false, vec![line(4, " three")])]
        );
    }

    #[test]
    fn wide_prose_is_found_and_wide_code_is_not() {
        let long = "word ".repeat(21);
        let wide = |language, text: &str| -> Vec<usize> {
            wide_lines(language, text).iter().map(|line| line.line).collect()
        };
        assert_eq!(
            wide(Language::Rust, &format!("let x = \"{long}\";\n// {long}\nx(); // {long}")),
            [2, 3]
        );
        assert_eq!(wide(Language::Markdown, &format!("{long}\n| {long}\n```\n{long}\n```")), [1]);
        assert_eq!(wide(Language::Shell, &format!("run {long}\n# {long}")), [2]);
    }

    #[test]
    fn addresses_of_links_do_not_count() {
        let address = "a".repeat(99);
        for text in [
            format!("see [that]({address})"),
            format!("see https://{address} too"),
            format!("[a]: {address}xyz"),
        ] {
            assert_eq!(wide_lines(Language::Markdown, &text), [], "{text}");
        }
        assert_eq!(
            wide_lines(Language::Markdown, &format!("{} [that]({address})", "word ".repeat(20)))
                .len(),
            1
        );
    }
}
