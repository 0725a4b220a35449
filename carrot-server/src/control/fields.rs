//! The fields of a request, which are checked one after the other.

use std::ops::RangeInclusive;
use std::time::Duration;

use carrot_core::backend::printable;
use serde_json::{Map, Value};

use crate::control::error::{ControlError, LONGEST_VALUE};

/// The longest duration, in seconds: a hundred years.
const LONGEST: f64 = 100.0 * 365.25 * 86_400.0;

/// The fields of a request. Each is taken once, and no other may remain.
#[derive(Debug)]
pub(crate) struct ControlFields {
    given: Map<String, Value>,
    known: Vec<&'static str>,
}

impl ControlFields {
    /// Reads a body, which is a JSON object. An empty body has no fields.
    pub(crate) fn of_body(body: &[u8]) -> Result<ControlFields, ControlError> {
        let refused = |reason: String| Err(ControlError::new(400, format!("the body {reason}")));
        let given = if body.is_empty() {
            Map::new()
        } else {
            match serde_json::from_slice(body) {
                Ok(Value::Object(given)) => given,
                Ok(value) => {
                    let value = printable(LONGEST_VALUE, value);
                    return refused(format!("is {value}, and has to be a JSON object"));
                }
                Err(error) => return refused(format!("is no JSON: {error}")),
            }
        };
        Ok(ControlFields { given, known: Vec::new() })
    }

    /// Takes a field. A null counts as missing.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.given.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a field that has to be there.
    fn require(&mut self, name: &'static str) -> Result<Value, ControlError> {
        self.take(name).ok_or_else(|| ControlError::new(400, format!("field {name:?} is missing")))
    }

    /// Takes a string of at most `most` bytes; `None` if it is missing.
    pub(crate) fn optional_text(
        &mut self,
        name: &'static str,
        most: usize,
    ) -> Result<Option<String>, ControlError> {
        self.take(name).map(|value| text(name, value, most)).transpose()
    }

    /// Takes a string of at most `most` bytes.
    pub(crate) fn text(&mut self, name: &'static str, most: usize) -> Result<String, ControlError> {
        let value = self.require(name)?;
        text(name, value, most)
    }

    /// Takes a whole number.
    pub(crate) fn number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u32>,
    ) -> Result<u32, ControlError> {
        let value = self.require(name)?;
        number(name, &value, &range)
    }

    /// Takes a whole number, or returns `otherwise`.
    pub(crate) fn number_or(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u32>,
        otherwise: u32,
    ) -> Result<u32, ControlError> {
        self.take(name).map_or(Ok(otherwise), |value| number(name, &value, &range))
    }

    /// Takes a number of seconds, whole or fractional.
    pub(crate) fn seconds(&mut self, name: &'static str) -> Result<Duration, ControlError> {
        let value = self.require(name)?;
        seconds(name, &value, LONGEST)
    }

    /// Takes a number of seconds of at most `most`, or returns `otherwise`.
    pub(crate) fn seconds_or(
        &mut self,
        name: &'static str,
        most: Duration,
        otherwise: Duration,
    ) -> Result<Duration, ControlError> {
        let most = most.as_secs_f64();
        self.take(name).map_or(Ok(otherwise), |value| seconds(name, &value, most))
    }

    /// Takes a string that is one of the names.
    pub(crate) fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Result<T, ControlError> {
        let value = self.require(name)?;
        one_of(name, &value, choices)
    }

    /// Takes a string that is one of the names, or returns `otherwise`.
    pub(crate) fn one_of_or<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
        otherwise: T,
    ) -> Result<T, ControlError> {
        self.take(name).map_or(Ok(otherwise), |value| one_of(name, &value, choices))
    }

    /// Takes any value; `None` if it is missing.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<Value> {
        self.take(name)
    }

    /// Checks that no field remains.
    pub(crate) fn finish(&self) -> Result<(), ControlError> {
        let Some(name) = self.given.keys().next() else { return Ok(()) };
        let name = printable(LONGEST_VALUE, name);
        let known = match &*self.known {
            [] => "the operation has no fields".to_string(),
            known => format!("the fields are {}", known.join(", ")),
        };
        Err(ControlError::new(400, format!("unknown field \"{name}\": {known}")))
    }
}

fn text(name: &str, value: Value, most: usize) -> Result<String, ControlError> {
    match value {
        Value::String(text) if text.len() <= most => Ok(text),
        value => {
            let limit = format!("has to be a string of at most {most} bytes");
            Err(ControlError::field(name, &value, limit))
        }
    }
}

fn number(name: &str, value: &Value, range: &RangeInclusive<u32>) -> Result<u32, ControlError> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        let limit = format!("has to be a whole number from {least} to {most}");
        ControlError::field(name, value, limit)
    })
}

fn seconds(name: &str, value: &Value, most: f64) -> Result<Duration, ControlError> {
    let seconds = value.as_f64().filter(|seconds| *seconds <= most);
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
        ControlError::field(name, value, format!("has to be a number of seconds from 0 to {most}"))
    })
}

fn one_of<T: Copy>(name: &str, value: &Value, choices: &[(&str, T)]) -> Result<T, ControlError> {
    let chosen = choices.iter().find(|(choice, _)| value.as_str() == Some(choice));
    chosen.map(|(_, chosen)| *chosen).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
        ControlError::field(name, value, format!("has to be one of {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn fields(body: &str) -> ControlFields {
        ControlFields::of_body(body.as_bytes()).unwrap()
    }

    fn reason<T: std::fmt::Debug>(result: Result<T, ControlError>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.status, 400);
        error.reason
    }

    #[test]
    fn fields_of_their_types_are_taken() {
        let mut given = fields(r#"{"a": "x", "b": 7, "d": 0.25, "e": "two", "f": null}"#);
        assert_eq!(given.text("a", 1).unwrap(), "x");
        assert_eq!(given.number("b", 7..=7).unwrap(), 7);
        assert_eq!(given.seconds("d").unwrap(), Duration::from_millis(250));
        assert_eq!(given.one_of("e", &[("one", 1), ("two", 2)]).unwrap(), 2);
        assert_eq!(given.optional_text("f", 9).unwrap(), None);
        assert_eq!(given.number_or("g", 1..=2, 9).unwrap(), 9);
        given.finish().unwrap();
    }

    #[test]
    fn wrong_fields_are_named_with_their_value_and_the_limit() {
        let long = format!(r#"{{"a": "{}\u001b"}}"#, "x".repeat(300));
        let refused = reason(fields(&long).text("a", 255));
        assert!(refused.starts_with("field \"a\": \"xxx"), "{refused}");
        assert!(refused.ends_with("... (cut): has to be a string of at most 255 bytes"));
        for (body, expected) in [
            (r#"{"n": 0}"#, "field \"n\": 0: has to be a whole number from 1 to 5"),
            (r#"{"n": 6}"#, "field \"n\": 6: has to be a whole number from 1 to 5"),
            (r#"{"n": 1.5}"#, "field \"n\": 1.5: has to be a whole number from 1 to 5"),
            (r#"{"n": "1"}"#, "field \"n\": \"1\": has to be a whole number from 1 to 5"),
            ("{}", "field \"n\" is missing"),
        ] {
            assert_eq!(reason(fields(body).number("n", 1..=5)), expected);
        }
        for body in [r#"{"s": -1}"#, r#"{"s": 1e99}"#, r#"{"s": "1"}"#] {
            let refused = reason(fields(body).seconds("s"));
            assert!(
                refused.contains(": has to be a number of seconds from 0 to 31557"),
                "{refused}"
            );
        }
        let refused = reason(fields(r#"{"o": "x"}"#).one_of("o", &[("a", 1), ("b", 2)]));
        assert_eq!(refused, "field \"o\": \"x\": has to be one of a, b");
    }

    #[test]
    fn fields_that_remain_are_refused_with_the_known_ones() {
        let mut given = fields(r#"{"count": 1, "cuont\n": 2}"#);
        given.number("count", 0..=9).unwrap();
        let refused = reason(given.finish());
        assert_eq!(refused, "unknown field \"cuont\\n\": the fields are count");
        assert!(reason(fields(r#"{"x": 1}"#).finish()).contains("has no fields"));
    }

    #[test]
    fn bodies_that_are_no_objects_are_refused() {
        let refused = |body: &[u8]| reason(ControlFields::of_body(body));
        assert!(refused(b"[1]").contains("the body is [1], and has to be a JSON object"));
        assert!(refused(b"{").contains("the body is no JSON: EOF"));
        assert!(refused(b"\xff{}").contains("no JSON"));
        assert!(refused("[".repeat(10_000).as_bytes()).contains("recursion limit"));
        ControlFields::of_body(b"").unwrap().finish().unwrap();
    }
}
