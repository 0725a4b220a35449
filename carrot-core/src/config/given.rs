//! Reads a value of any type, without repeating the value in an error.
//!
//! The errors of serde quote a wrong value, which may be a password in the wrong place.

use std::fmt;
use std::time::Duration;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result};

/// A value of a self-describing format. Never displayed.
pub(crate) enum Given {
    Nothing,
    Whole(u64),
    /// A fraction, a negative number, or a number beyond 64 bits.
    Fraction(f64),
    Text(String),
    List(Vec<Given>),
    Table(Vec<(String, Given)>),
    /// A boolean or bytes.
    Other,
}

impl Given {
    pub(super) fn text(self, field: &'static str) -> Result<String> {
        match self {
            Given::Text(text) => Ok(text),
            _ => Err(Error::config(field, "must be a string; digits stand in quotes")),
        }
    }

    /// Returns a whole number of at most `most`.
    pub(super) fn whole<N: TryFrom<u64>>(self, field: &'static str, most: u64) -> Result<N> {
        match self {
            Given::Whole(number) => number.try_into().ok(),
            _ => None,
        }
        .ok_or_else(|| Error::config(field, format!("must be a whole number, at most {most}")))
    }

    /// Returns the duration of a number of seconds, whole or fractional.
    pub(crate) fn seconds(self, field: &'static str) -> Result<Duration> {
        match self {
            Given::Whole(seconds) => Some(Duration::from_secs(seconds)),
            Given::Fraction(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            _ => None,
        }
        .ok_or_else(|| {
            Error::config(field, "must be a number of seconds, from 0 to 1.8e19, such as 30 or 0.5")
        })
    }

    pub(super) fn list(self, field: &'static str) -> Result<Vec<Given>> {
        match self {
            Given::List(values) => Ok(values),
            _ => Err(Error::config(field, "must be a list")),
        }
    }

    /// Returns the fields of a table, all of which are among `known`.
    pub(super) fn fields(
        self,
        table: &'static str,
        known: &'static [&'static str],
        otherwise: &'static str,
    ) -> Result<Fields> {
        let Given::Table(fields) = self else {
            return Err(Error::config(table, otherwise));
        };
        for (index, (name, _)) in fields.iter().enumerate() {
            let Some(known_name) = known.iter().find(|known| *known == name) else {
                return Err(Error::config(
                    shown(name),
                    format!("is not a field of {table}; there are {}", known.join(", ")),
                ));
            };
            if fields[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Error::config(*known_name, "is given twice"));
            }
        }
        Ok(Fields(fields))
    }
}

/// Returns the name of an unknown field, unless the name is longer or other than that of a field.
fn shown(name: &str) -> String {
    const LONGEST: usize = 40;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    if name.len() <= LONGEST && name.chars().all(is_name) {
        name.to_string()
    } else {
        "a field".to_string()
    }
}

/// The fields of a table, all of them known.
pub(super) struct Fields(Vec<(String, Given)>);

impl Fields {
    /// Converts a field, and returns `None` for a missing field and for a null.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        convert: impl FnOnce(Given, &'static str) -> Result<T>,
    ) -> Result<Option<T>> {
        match self.0.iter().position(|(field, _)| field == name) {
            None => Ok(None),
            Some(index) => match self.0.swap_remove(index).1 {
                Given::Nothing => Ok(None),
                given => convert(given, name).map(Some),
            },
        }
    }

    pub(super) fn require<T>(
        &mut self,
        name: &'static str,
        convert: impl FnOnce(Given, &'static str) -> Result<T>,
    ) -> Result<T> {
        self.read(name, convert)?.ok_or_else(|| Error::config(name, "is missing"))
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Given, D::Error> {
        deserializer.deserialize_any(AnyGiven)
    }
}

struct AnyGiven;

impl<'de> Visitor<'de> for AnyGiven {
    type Value = Given;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, a number, a list or a table")
    }

    fn visit_unit<E>(self) -> Result<Given, E> {
        Ok(Given::Nothing)
    }

    fn visit_none<E>(self) -> Result<Given, E> {
        Ok(Given::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Given, D::Error> {
        Given::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Given, D::Error> {
        Given::deserialize(deserializer)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Given, E> {
        Ok(Given::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Given, E> {
        Ok(u64::try_from(number).map_or(Given::Fraction(number as f64), Given::Whole))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Given, E> {
        Ok(u64::try_from(number).map_or(Given::Fraction(number as f64), Given::Whole))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Given, E> {
        Ok(u64::try_from(number).map_or(Given::Fraction(number as f64), Given::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Given, E> {
        Ok(Given::Fraction(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Given, E> {
        Ok(Given::Text(text.to_string()))
    }

    fn visit_string<E>(self, text: String) -> Result<Given, E> {
        Ok(Given::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Given, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Given::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = map.next_entry()? {
            let Given::Text(name) = name else {
                return Err(A::Error::custom("the name of a field must be a string"));
            };
            fields.push((name, value));
        }
        Ok(Given::Table(fields))
    }
}
