//! Values of tables in the words of RabbitMQ's errors.

use std::fmt::{self, Display, Formatter};

use carrot_core::Value;

/// The longest part of a text that an error shows, in characters.
const LONGEST_TEXT: usize = 255;

/// Returns RabbitMQ's name for the type of a value.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Void => "void",
        Value::Bool(_) => "bool",
        Value::I8(_) => "byte",
        Value::U8(_) => "unsignedbyte",
        Value::I16(_) => "short",
        Value::U16(_) => "unsignedshort",
        Value::I32(_) => "signedint",
        Value::U32(_) => "unsignedint",
        Value::I64(_) => "long",
        Value::F32(_) => "float",
        Value::F64(_) => "double",
        Value::Decimal { .. } => "decimal",
        Value::String(_) => "longstr",
        Value::Bytes(_) => "binary",
        Value::Timestamp(_) => "timestamp",
        Value::Array(_) => "array",
        Value::Table(_) => "table",
    }
}

/// Shows a value as Erlang prints it. Texts are cut and escaped.
pub(crate) struct AsTerm<'a>(pub(crate) &'a Value);

impl Display for AsTerm<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::String(text) => write!(formatter, "<<\"{}\">>", cut(text)),
            Value::Bytes(bytes) => {
                write!(formatter, "<<\"{}\">>", cut(&String::from_utf8_lossy(bytes)))
            }
            other => AsText(other).fmt(formatter),
        }
    }
}

/// Shows a value as [`AsTerm`] does, but a text without quotes.
pub(crate) struct AsText<'a>(pub(crate) &'a Value);

impl Display for AsText<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Void => formatter.write_str("undefined"),
            Value::Bool(value) => value.fmt(formatter),
            Value::I8(value) => value.fmt(formatter),
            Value::U8(value) => value.fmt(formatter),
            Value::I16(value) => value.fmt(formatter),
            Value::U16(value) => value.fmt(formatter),
            Value::I32(value) => value.fmt(formatter),
            Value::U32(value) => value.fmt(formatter),
            Value::I64(value) => value.fmt(formatter),
            Value::Timestamp(value) => value.fmt(formatter),
            Value::F32(value) => write!(formatter, "{value:?}"),
            Value::F64(value) => write!(formatter, "{value:?}"),
            Value::Decimal { scale, value } => write!(formatter, "{{{scale},{value}}}"),
            Value::String(text) => formatter.write_str(&cut(text)),
            Value::Bytes(bytes) => formatter.write_str(&cut(&String::from_utf8_lossy(bytes))),
            Value::Array(values) => {
                let elements = values
                    .iter()
                    .map(|value| format!("{{{},{}}}", type_name(value), AsTerm(value)));
                write!(formatter, "[{}]", elements.collect::<Vec<_>>().join(","))
            }
            Value::Table(table) => {
                let entries = table.iter().map(|(name, value)| {
                    format!("{{<<\"{}\">>,{},{}}}", cut(name), type_name(value), AsTerm(value))
                });
                write!(formatter, "[{}]", entries.collect::<Vec<_>>().join(","))
            }
        }
    }
}

fn cut(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(LONGEST_TEXT) {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use carrot_core::Headers;

    use super::*;

    #[test]
    fn values_are_shown_in_the_words_of_rabbitmq() {
        let list = Value::from(vec![Value::I32(1), "a".into()]);
        let table = Value::from(Headers::from([("a", 1)]));
        for (value, text, term) in [
            (Value::Void, "undefined", "undefined"),
            (true.into(), "true", "true"),
            (Value::F64(1.5), "1.5", "1.5"),
            (Value::Decimal { scale: 2, value: 15 }, "{2,15}", "{2,15}"),
            ("all".into(), "all", "<<\"all\">>"),
            (Value::Bytes(b"all".to_vec()), "all", "<<\"all\">>"),
            (list, "[{signedint,1},{longstr,<<\"a\">>}]", "[{signedint,1},{longstr,<<\"a\">>}]"),
            (table, "[{<<\"a\">>,signedint,1}]", "[{<<\"a\">>,signedint,1}]"),
            ("a\nb".into(), "a\\nb", "<<\"a\\nb\">>"),
        ] {
            assert_eq!(
                (AsText(&value).to_string(), AsTerm(&value).to_string()),
                (text.into(), term.into())
            );
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(AsText(&"x".repeat(1000).into()).to_string().len(), LONGEST_TEXT);
    }
}
