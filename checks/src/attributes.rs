//! Reads the attributes of items.

use crate::lexer::{Kind, Token};
use crate::syntax::closing;

/// The attributes and the visibility before an item, as far as they matter here.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) is_test: bool,
    pub(crate) is_exported_macro: bool,
    pub(crate) is_public: bool,
    pub(crate) path: Option<String>,
}

/// One attribute: `#[body]`, or `#![body]` inside its item.
pub(crate) struct Attribute<'a> {
    pub(crate) is_inner: bool,
    pub(crate) body: &'a [Token],
    /// The place behind the attribute.
    pub(crate) end: usize,
}

impl<'a> Attribute<'a> {
    pub(crate) fn at(tokens: &'a [Token], at: usize) -> Option<Attribute<'a>> {
        if !tokens[at].is('#') {
            return None;
        }
        let is_inner = tokens.get(at + 1).is_some_and(|token| token.is('!'));
        let open = at + 1 + usize::from(is_inner);
        if !tokens.get(open)?.is('[') {
            return None;
        }
        let close = closing(tokens, open);
        Some(Attribute { is_inner, body: &tokens[open + 1..close], end: close + 1 })
    }
}

impl Attributes {
    pub(crate) fn of(attribute: &[Token]) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.read(attribute);
        attributes
    }

    pub(crate) fn read(&mut self, tokens: &[Token]) {
        match tokens.first().and_then(Token::word) {
            Some("cfg") if tokens.len() > 2 => {
                self.is_test |= implies_test(&tokens[2..tokens.len() - 1])
            }
            Some("test" | "bench") if tokens.len() == 1 => self.is_test = true,
            Some("macro_export") => self.is_exported_macro = true,
            Some("path") => {
                if let Some(Kind::Text(path)) = tokens.last().map(|token| &token.kind) {
                    self.path = Some(path.clone());
                }
            }
            _ => {}
        }
    }
}

/// Returns whether a `cfg` predicate holds in tests only.
fn implies_test(predicate: &[Token]) -> bool {
    let Some(word) = predicate.first().and_then(Token::word) else { return false };
    match (word, predicate.len()) {
        ("test" | "doctest", 1) => true,
        ("all" | "any", 3..) => {
            let mut parts = split(&predicate[2..predicate.len() - 1]);
            if word == "all" { parts.any(implies_test) } else { parts.all(implies_test) }
        }
        _ => false,
    }
}

/// Splits tokens at the commas that stand outside brackets.
fn split(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    let mut depth = 0_usize;
    tokens
        .split(move |token| {
            match token.kind {
                Kind::Mark('(' | '[' | '{') => depth += 1,
                Kind::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && token.is(',')
        })
        .filter(|part| !part.is_empty())
}
