//! Finds the ends of items and the leaves of imports among tokens.

use crate::lexer::{Kind, Token};

/// A path as written, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// Returns the place of the bracket that closes the one at `open`, or the end.
pub(crate) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Mark('(' | '[' | '{') => depth += 1,
            Kind::Mark(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// Returns the place after the item, statement, field or arm that starts at `start`.
pub(crate) fn after_item(tokens: &[Token], start: usize) -> usize {
    const ITEMS: [&str; 12] = [
        "fn",
        "impl",
        "struct",
        "enum",
        "trait",
        "union",
        "mod",
        "unsafe",
        "async",
        "extern",
        "macro_rules",
        "type",
    ];
    const ENDED_BY_SEMICOLON: [&str; 4] = ["use", "let", "const", "static"];
    let mut at = start;
    if tokens[at].word() == Some("pub") {
        at = after_visibility(tokens, at);
    }
    let word = tokens.get(at).and_then(Token::word).unwrap_or_default();
    let is_const_fn = word == "const"
        && tokens
            .get(at + 1)
            .and_then(Token::word)
            .is_some_and(|word| ["fn", "unsafe"].contains(&word));
    let needs_semicolon = ENDED_BY_SEMICOLON.contains(&word) && !is_const_fn;
    let is_item = ITEMS.contains(&word) || is_const_fn;
    while at < tokens.len() {
        match tokens[at].kind {
            Kind::Mark(';') => return at + 1,
            Kind::Mark(',') if !is_item && !needs_semicolon => return at + 1,
            Kind::Mark('{') if !needs_semicolon => return closing(tokens, at) + 1,
            Kind::Mark('(' | '[' | '{') => at = closing(tokens, at) + 1,
            Kind::Mark(')' | ']' | '}') => return at,
            _ => at += 1,
        }
    }
    at
}

/// Returns the place after `pub`, `pub(crate)` or `pub(in a::b)`.
pub(crate) fn after_visibility(tokens: &[Token], at: usize) -> usize {
    let is_restricted = tokens.get(at + 1).is_some_and(|token| token.is('('))
        && match tokens.get(at + 2).and_then(Token::word) {
            Some("in") => true,
            Some("crate" | "super" | "self") => {
                tokens.get(at + 3).is_some_and(|token| token.is(')'))
            }
            _ => false,
        };
    if is_restricted { closing(tokens, at + 1) + 1 } else { at + 1 }
}

/// Returns whether `use` starts a declaration. In `impl Sized + use<'a>` it does not.
pub(crate) fn starts_use(tokens: &[Token], at: usize) -> bool {
    tokens.get(at + 1).is_some_and(|token| {
        token.word().is_some() || token.is('{') || token.kind == Kind::PathSeparator
    })
}

/// Reads a tree of imports from `at`, and leaves `at` behind it.
pub(crate) fn use_tree(
    tokens: &[Token],
    at: &mut usize,
    prefix: &[String],
    leaves: &mut Vec<(Path, String)>,
) {
    let mut segments = prefix.to_vec();
    let mut line = 0;
    while let Some(token) = tokens.get(*at) {
        match &token.kind {
            Kind::Word(word) if word == "as" => {
                let alias = tokens.get(*at + 1).and_then(Token::word).unwrap_or("_").to_owned();
                leaves.push((Path { segments, line }, alias));
                *at += 2;
                return;
            }
            Kind::Word(word) => {
                line = token.line;
                // `a::{self}` stands for `a`.
                if word != "self" || segments.is_empty() {
                    segments.push(word.clone());
                }
                *at += 1;
            }
            Kind::PathSeparator => *at += 1,
            Kind::Mark('*') => {
                leaves.push((Path { segments, line: token.line }, "*".to_owned()));
                *at += 1;
                return;
            }
            Kind::Mark('{') => {
                *at += 1;
                while tokens.get(*at).is_some_and(|token| !token.is('}')) {
                    let before = *at;
                    use_tree(tokens, at, &segments, leaves);
                    if tokens.get(*at).is_some_and(|token| token.is(',')) || *at == before {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            _ => break,
        }
    }
    if line > 0
        && let Some(alias) = segments.last().cloned()
    {
        leaves.push((Path { segments, line }, alias));
    }
}
