//! The comparison of a binding's arguments with the headers of a message.

use carrot_core::{Headers, Result, Value};

use crate::errors::precondition;
use crate::release_rules::NumberMatch;
use crate::value_text::{AsTerm, type_name};

#[allow(unused_imports, reason = "documentation links to it")]
use carrot_core::Error;

/// The headers that a binding of a headers exchange requires.
#[derive(Debug, Clone)]
pub(crate) struct HeaderMatch {
    all: bool,
    numbers: NumberMatch,
    wanted: Vec<(Box<str>, Value)>,
}

impl HeaderMatch {
    /// Reads `x-match` and the headers to compare from the arguments of a binding.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`]: `x-match` is none of `all`, `any`, `all-with-x`, `any-with-x`.
    pub(crate) fn new(arguments: &Headers, numbers: NumberMatch) -> Result<HeaderMatch> {
        let (all, with_x) = match arguments.get("x-match") {
            None => (true, false),
            Some(Value::String(word)) => match word.as_str() {
                "all" => (true, false),
                "any" => (false, false),
                "all-with-x" => (true, true),
                "any-with-x" => (false, true),
                other => {
                    return Err(precondition(format_args!(
                        "Invalid x-match field value {}; expected all, any, all-with-x, or any-with-x",
                        AsTerm(&other.into())
                    )));
                }
            },
            Some(other) => {
                return Err(precondition(format_args!(
                    "Invalid x-match field type {} (value {}); expected longstr",
                    type_name(other),
                    AsTerm(other)
                )));
            }
        };
        let wanted = arguments
            .iter()
            .filter(|(name, _)| if with_x { *name != "x-match" } else { !name.starts_with("x-") })
            .map(|(name, value)| (name.as_str().into(), value.clone()))
            .collect();
        Ok(HeaderMatch { all, numbers, wanted })
    }

    /// Whether a message with these headers matches.
    pub(crate) fn matches(&self, headers: Option<&Headers>) -> bool {
        let fits = |(name, wanted): &(Box<str>, Value)| match headers
            .and_then(|headers| headers.get(name))
        {
            None => false,
            Some(_) if *wanted == Value::Void => true,
            Some(found) => are_alike(wanted, found, self.numbers),
        };
        if self.all { self.wanted.iter().all(fits) } else { self.wanted.iter().any(fits) }
    }
}

/// Whether two values match, as RabbitMQ compares them.
///
/// Numbers match by value, within the kinds that the release compares. Bytes match strings. Other
/// values match only if their types are the same; this also holds for the elements of arrays and
/// tables.
fn are_alike(wanted: &Value, found: &Value, numbers: NumberMatch) -> bool {
    match (wanted, found) {
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len()
                && wanted
                    .iter()
                    .zip(found)
                    .all(|(wanted, found)| are_alike_in_type_too(wanted, found, numbers))
        }
        (Value::Table(wanted), Value::Table(found)) => {
            wanted.len() == found.len()
                && wanted.iter().all(|(name, wanted)| {
                    found
                        .get(name)
                        .is_some_and(|found| are_alike_in_type_too(wanted, found, numbers))
                })
        }
        (_, Value::Timestamp(_)) if numbers == NumberMatch::WithinKinds => false,
        _ => match (octets(wanted), octets(found), Number::of(wanted), Number::of(found)) {
            (Some(wanted), Some(found), ..) => wanted == found,
            (_, _, Some(wanted), Some(found)) => wanted.equals(found, numbers),
            _ => wanted == found,
        },
    }
}

fn are_alike_in_type_too(wanted: &Value, found: &Value, numbers: NumberMatch) -> bool {
    std::mem::discriminant(wanted) == std::mem::discriminant(found)
        && are_alike(wanted, found, numbers)
}

fn octets(value: &Value) -> Option<&[u8]> {
    match value {
        Value::String(text) => Some(text.as_bytes()),
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Fraction(f64),
}

impl Number {
    fn of(value: &Value) -> Option<Number> {
        match *value {
            Value::Timestamp(seconds) => Some(Number::Whole(seconds.into())),
            Value::F32(number) => Some(Number::Fraction(number.into())),
            Value::F64(number) => Some(Number::Fraction(number)),
            ref value => value.as_i64().map(|number| Number::Whole(number.into())),
        }
    }

    fn equals(self, other: Number, numbers: NumberMatch) -> bool {
        match (self, other) {
            (Number::Whole(one), Number::Whole(other)) => one == other,
            (Number::Fraction(one), Number::Fraction(other)) => one == other,
            (Number::Whole(whole), Number::Fraction(fraction))
            | (Number::Fraction(fraction), Number::Whole(whole)) => {
                numbers == NumberMatch::ByValue
                    && fraction.fract() == 0.0
                    && fraction.abs() < 1e30
                    && fraction as i128 == whole
            }
        }
    }
}
