//! Finds phrases in prose that have a better word.

use crate::prose::Block;

/// A phrase and what reads better.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Phrase {
    /// The phrase as the list writes it.
    pub(crate) pattern: String,
    pub(crate) better: String,
    /// Whether it is searched only where a doc comment begins.
    is_at_beginning: bool,
    /// For each word its alternatives. None stands for any word.
    words: Vec<Option<Vec<String>>>,
}

/// A phrase that stands in a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) phrase: &'a Phrase,
}

/// Reads a list of phrases: `phrase: better`.
pub(crate) fn parse(list: &str) -> Result<Vec<Phrase>, String> {
    list.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(Phrase::parse)
        .collect()
}

impl Phrase {
    fn parse(line: &str) -> Result<Phrase, String> {
        let (pattern, better) =
            line.split_once(": ").ok_or_else(|| format!("phrase without better words: {line}"))?;
        let (is_at_beginning, bare) = match pattern.strip_prefix("^ ") {
            Some(bare) => (true, bare),
            None => (false, pattern),
        };
        let words = bare
            .split_whitespace()
            .map(|word| (word != "_").then(|| word.split('|').map(str::to_lowercase).collect()))
            .collect();
        Ok(Phrase {
            pattern: pattern.to_owned(),
            better: better.to_owned(),
            is_at_beginning,
            words,
        })
    }

    fn matches(&self, words: &[Word]) -> bool {
        words.len() >= self.words.len()
            && self.words.iter().zip(words).all(|(wanted, word)| match (wanted, &word.text) {
                (Some(alternatives), Some(text)) => alternatives.contains(text),
                (None, Some(_)) => true,
                (_, None) => false,
            })
    }
}

/// A word in small letters. None stands for punctuation and for code, which no phrase crosses.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: Option<String>,
    line: usize,
}

/// Finds every phrase in a block of prose.
pub(crate) fn find<'a>(block: &Block, phrases: &'a [Phrase]) -> Vec<Found<'a>> {
    let words = words(block);
    let mut found = Vec::new();
    for at in 0..words.len() {
        let is_beginning = block.is_doc && at == 0;
        for phrase in phrases.iter().filter(|phrase| is_beginning || !phrase.is_at_beginning) {
            if phrase.matches(&words[at..]) {
                let text: Vec<&str> = words[at..at + phrase.words.len()]
                    .iter()
                    .filter_map(|word| word.text.as_deref())
                    .collect();
                found.push(Found { line: words[at].line, text: text.join(" "), phrase });
            }
        }
    }
    found
}

fn words(block: &Block) -> Vec<Word> {
    let mut words = Vec::new();
    let mut is_code = false;
    for (line, text) in &block.lines {
        let text = without_addresses(text);
        for (index, piece) in text.split('`').enumerate() {
            if index > 0 {
                is_code = !is_code;
                words.push(Word { text: None, line: *line });
            }
            if !is_code {
                split(piece, *line, &mut words);
            }
        }
    }
    words
}

fn split(text: &str, line: usize, words: &mut Vec<Word>) {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_of_word = |letter: char| letter.is_alphanumeric() || letter == '\'' || letter == '-';
        let end = rest.find(|letter| is_of_word(letter) != is_of_word(first)).unwrap_or(rest.len());
        let (piece, tail) = rest.split_at(end);
        if is_of_word(first) {
            words.push(Word { text: Some(piece.to_lowercase()), line });
        } else if piece.contains(['.', ',', ';', ':', '(', ')', '|', '#', '?', '!']) {
            words.push(Word { text: None, line });
        }
        rest = tail;
    }
}

/// Removes the addresses of links: `[text](address)` becomes `[text]`.
fn without_addresses(text: &str) -> String {
    let mut parts = text.split("](");
    let mut cleaned = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        cleaned.push_str("] ");
        cleaned.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    cleaned
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn found(is_doc: bool, lines: &[&str], list: &str) -> Vec<(usize, String)> {
        let lines =
            lines.iter().enumerate().map(|(index, line)| (index + 1, (*line).to_owned())).collect();
        let phrases = parse(list).unwrap();
        find(&Block { is_doc, lines }, &phrases)
            .into_iter()
            .map(|found| (found.line, found.text))
            .collect()
    }

    #[test]
    fn phrase_is_found_across_lines_in_any_case() {
        assert_eq!(found(false, &["So", "many messages"], "so many: x"), [(1, "so many".into())]);
        assert_eq!(found(false, &["so manyfold"], "so many: x"), []);
    }

    #[test]
    fn alternatives_and_any_word_are_matched() {
        assert_eq!(found(false, &["lets it go, and let them go"], "let|lets _ go: x").len(), 2);
        assert_eq!(found(false, &["lets go"], "lets _ go: x"), []);
    }

    #[test]
    fn punctuation_code_and_addresses_are_not_crossed() {
        for line in ["so, many", "so `x` many", "so (many)", "`so many`", "[x](so many)"] {
            assert_eq!(found(false, &[line], "so many: x"), [], "{line}");
        }
        assert_eq!(found(false, &["[so many](x)"], "so many: x").len(), 1);
    }

    #[test]
    fn beginning_is_that_of_a_doc_comment() {
        assert_eq!(found(true, &[" What is held"], "^ what: x").len(), 1);
        assert_eq!(found(true, &[" Returns what is held"], "^ what: x"), []);
        assert_eq!(found(false, &["What is held"], "^ what: x"), []);
    }

    #[test]
    fn code_that_spans_lines_is_left_out() {
        assert_eq!(
            found(false, &["a `so", "many` b so many"], "so many: x"),
            [(2, "so many".into())]
        );
    }

    #[test]
    fn list_of_the_workspace_is_sound() {
        assert!(parse(include_str!("../words.txt")).unwrap().len() > 20);
        assert!(parse("no better word").is_err());
    }
}
