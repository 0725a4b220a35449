//! The comparison of a binding's arguments with the headers of a message.

use carrot_core::backend::Printable;
use carrot_core::{Headers, Value};

/// The longest part of a value that an error shows, in bytes.
const LONGEST_VALUE: usize = 255;

/// How a headers exchange compares numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NumberMatch {
    /// By value, regardless of their types.
    ByValue,
    /// Integers with integers, and floats with floats. A timestamp of a binding is an integer, and
    /// one of a message matches nothing.
    WithinKinds,
}

/// The argument `x-match` of a binding is none of `all`, `any`, `all-with-x` and `any-with-x`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "x-match is {}, and must be all, any, all-with-x or any-with-x",
    Printable::new(LONGEST_VALUE, format_args!("{value:?}"))
)]
pub struct InvalidMatch {
    value: Value,
}

impl InvalidMatch {
    /// Returns the argument.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// The headers that a binding of a headers exchange requires.
///
/// ```
/// use carrot_core::Headers;
/// use carrot_routing::{HeaderMatch, NumberMatch};
///
/// let arguments = Headers::from([("x-match", "any"), ("format", "pdf"), ("kind", "bill")]);
/// let wanted = HeaderMatch::new(&arguments, NumberMatch::ByValue)?;
/// assert!(wanted.matches(Some(&Headers::from([("format", "pdf")]))));
/// assert!(!wanted.matches(None));
/// # Ok::<(), carrot_routing::InvalidMatch>(())
/// ```
#[derive(Debug, Clone)]
pub struct HeaderMatch {
    all: bool,
    numbers: NumberMatch,
    wanted: Vec<(Box<str>, Value)>,
}

impl HeaderMatch {
    /// Reads `x-match` and the headers to compare from the arguments of a binding.
    ///
    /// # Errors
    /// [`InvalidMatch`]: `x-match` is none of `all`, `any`, `all-with-x`, `any-with-x`.
    pub fn new(arguments: &Headers, numbers: NumberMatch) -> Result<HeaderMatch, InvalidMatch> {
        let (all, with_x) = match arguments.get("x-match") {
            None => (true, false),
            Some(value) => match value.as_str() {
                Some("all") => (true, false),
                Some("any") => (false, false),
                Some("all-with-x") => (true, true),
                Some("any-with-x") => (false, true),
                _ => return Err(InvalidMatch { value: value.clone() }),
            },
        };
        let wanted = arguments
            .iter()
            .filter(|(name, _)| if with_x { *name != "x-match" } else { !name.starts_with("x-") })
            .map(|(name, value)| (name.as_str().into(), value.clone()))
            .collect();
        Ok(HeaderMatch { all, numbers, wanted })
    }

    /// Returns whether a message with these headers matches.
    #[inline]
    pub fn matches(&self, headers: Option<&Headers>) -> bool {
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
/// Numbers match as `numbers` says. Bytes match strings. Other
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn match_by_x_match_compares_all_or_any() {
        let one = Headers::from([("a", 1)]);
        let both = Headers::from([("a", 1), ("b", 2)]);
        for (x_match, matches_one) in
            [("all", false), ("any", true), ("all-with-x", false), ("any-with-x", true)]
        {
            let arguments =
                Headers::from([("x-match", x_match.into()), ("a", Value::I32(1)), ("b", 2.into())]);
            let wanted = HeaderMatch::new(&arguments, NumberMatch::ByValue).expect("valid");
            assert_eq!(wanted.matches(Some(&one)), matches_one, "{x_match}");
            assert!(wanted.matches(Some(&both)), "{x_match}");
            assert!(!wanted.matches(None), "{x_match}");
        }
    }

    #[test]
    fn match_with_x_compares_headers_that_begin_with_x() {
        let headers = Headers::from([("x-a", 1)]);
        for (x_match, matches, matches_none) in [
            ("any", false, false),
            ("any-with-x", true, false),
            ("all", true, true),
            ("all-with-x", true, false),
        ] {
            let arguments = Headers::from([("x-match", x_match.into()), ("x-a", Value::I32(1))]);
            let wanted = HeaderMatch::new(&arguments, NumberMatch::ByValue).expect("valid");
            assert_eq!(wanted.matches(Some(&headers)), matches, "{x_match}");
            assert_eq!(wanted.matches(None), matches_none, "{x_match}");
        }
    }

    #[test]
    fn match_of_numbers_depends_on_their_kinds_if_asked() {
        let arguments = Headers::from([("a", 1)]);
        let found = Headers::from([("a", 1.0)]);
        for (numbers, matches) in [(NumberMatch::ByValue, true), (NumberMatch::WithinKinds, false)]
        {
            let wanted = HeaderMatch::new(&arguments, numbers).expect("valid");
            assert_eq!(wanted.matches(Some(&found)), matches, "{numbers:?}");
        }
    }

    #[test]
    fn match_of_another_x_match_is_refused_with_its_value() {
        for value in ["none".into(), Value::I32(1)] {
            let arguments = Headers::from([("x-match", value.clone())]);
            let error = HeaderMatch::new(&arguments, NumberMatch::ByValue).expect_err("invalid");
            assert_eq!(*error.value(), value);
        }
    }

    #[test]
    fn error_of_a_long_value_is_cut_and_escaped() {
        let long = format!("\u{1b}{}", "x".repeat(1000));
        let error = InvalidMatch { value: long.into() }.to_string();
        assert!(error.len() < 400 && !error.contains('\u{1b}'), "{error}");
    }
}
