//! How a headers exchange compares the arguments of a binding with the headers of a message.

use carrot_core::{Headers, Result, Value};

use crate::refusal::precondition;

#[cfg(doc)]
use carrot_core::Error;

/// What a binding of a headers exchange asks for.
#[derive(Debug, Clone)]
pub(crate) struct HeaderMatch {
    all: bool,
    wanted: Vec<(Box<str>, Value)>,
}

impl HeaderMatch {
    /// Reads `x-match` and the headers to compare from the arguments of a binding.
    ///
    /// # Errors
    /// [`Error::Precondition`] if `x-match` is none of `all`, `any`, `all-with-x`, `any-with-x`.
    pub(crate) fn new(arguments: &Headers) -> Result<HeaderMatch> {
        let (all, with_x) = match arguments.get("x-match") {
            None => (true, false),
            Some(Value::String(word)) => match word.as_str() {
                "all" => (true, false),
                "any" => (false, false),
                "all-with-x" => (true, true),
                "any-with-x" => (false, true),
                other => {
                    return Err(precondition(format_args!(
                        "Invalid x-match field value {other:?}; expected all, any, all-with-x, or any-with-x"
                    )));
                }
            },
            Some(other) => return Err(precondition(format_args!("Invalid x-match field type {other:?}; expected a string"))),
        };
        let wanted = arguments
            .iter()
            .filter(|(name, _)| if with_x { *name != "x-match" } else { !name.starts_with("x-") })
            .map(|(name, value)| (name.into(), value.clone()))
            .collect();
        Ok(HeaderMatch { all, wanted })
    }

    /// Whether a message with these headers fits. The types of two values must be the same, integer widths included.
    pub(crate) fn matches(&self, headers: Option<&Headers>) -> bool {
        let fits = |(name, wanted): &(Box<str>, Value)| match headers.and_then(|headers| headers.get(name)) {
            None => false,
            Some(_) if *wanted == Value::Void => true,
            Some(found) => found == wanted,
        };
        if self.all { self.wanted.iter().all(fits) } else { self.wanted.iter().any(fits) }
    }
}
