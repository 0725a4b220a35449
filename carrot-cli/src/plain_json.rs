//! Arguments as RabbitMQ's management API shows them: without the types of numbers.

use serde_json::{Map, Value};

use carrot::message::{Headers, Value as Header};

/// Returns arguments as plain JSON.
pub(crate) fn plain_arguments(arguments: &Headers) -> Value {
    untagged(serde_json::to_value(arguments).unwrap_or_default())
}

/// Removes the tags that carrot gives to values whose type JSON would lose, such as
/// `{"!i64": 9}`. Octets become text.
pub(crate) fn untagged(value: Value) -> Value {
    match value {
        Value::Object(fields) => match tagged(&fields) {
            Some(value) => value,
            None => fields
                .into_iter()
                .map(|(name, value)| (name, untagged(value)))
                .collect::<Map<_, _>>()
                .into(),
        },
        Value::Array(values) => values.into_iter().map(untagged).collect(),
        other => other,
    }
}

/// Returns the value behind the tag of a number, a time or octets.
fn tagged(fields: &Map<String, Value>) -> Option<Value> {
    let mut all = fields.iter();
    let (Some((tag, value)), None) = (all.next(), all.next()) else { return None };
    match &**tag {
        "!i8" | "!u8" | "!i16" | "!u16" | "!u32" | "!i64" | "!f32" | "!timestamp" => {
            Some(value.clone())
        }
        "!f32_text" | "!f64_text" => Some(value.clone()),
        "!table" => {
            let table = value.as_object()?.iter();
            Some(table.map(|(name, value)| (name.clone(), untagged(value.clone()))).collect())
        }
        "!bytes" => {
            let octets = value.as_array()?.iter().map(|octet| octet.as_u64()?.try_into().ok());
            let octets: Vec<u8> = octets.collect::<Option<_>>()?;
            Some(String::from_utf8_lossy(&octets).into())
        }
        _ => None,
    }
}

/// Whether two plain values are the same. `1` and `1.0` are, as in TOML and JSON.
pub(crate) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || (one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, value)| other.get(name).is_some_and(|other| is_same(value, other)))
        }
        _ => one == other,
    }
}

/// Whether two headers are equal. Numbers are compared by value, whichever their types are.
pub(crate) fn is_equal_header(one: &Header, other: &Header) -> bool {
    match (one, other) {
        (Header::Timestamp(_), _) | (_, Header::Timestamp(_)) => one == other,
        (Header::Array(one), Header::Array(other)) => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len() && pairs.all(|(one, other)| is_equal_header(one, other))
        }
        _ => {
            let plain = [one, other]
                .map(|header| untagged(serde_json::to_value(header).unwrap_or_default()));
            let are_numbers = plain.iter().all(Value::is_number);
            one == other || (are_numbers && is_same(&plain[0], &plain[1]))
        }
    }
}

#[cfg(test)]
mod tests {
    use carrot::message::Value as Argument;
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_lose_their_types() {
        let nested: Headers = [("n", Argument::from(7_i64))].into_iter().collect();
        let arguments: Headers = [
            ("small", Argument::from(9_i64)),
            ("text", Argument::from("x")),
            ("octets", Argument::Bytes(b"ab".to_vec())),
            ("list", Argument::Array(vec![Argument::U8(1), Argument::Table(nested)])),
            ("time", Argument::Timestamp(5)),
        ]
        .into_iter()
        .collect();
        assert_eq!(
            plain_arguments(&arguments),
            json!({"small": 9, "text": "x", "octets": "ab", "list": [1, {"n": 7}], "time": 5})
        );
        assert_eq!(untagged(json!({"!table": {"!i64": {"!i8": 2}}})), json!({"!i64": 2}));
        assert_eq!(untagged(json!({"!own": 1, "!i64": 2})), json!({"!own": 1, "!i64": 2}));
    }

    #[test]
    fn numbers_of_headers_are_equal_by_value() {
        let five = Argument::from(5);
        for equal in [Argument::I64(5), Argument::U8(5), Argument::F32(5.0), Argument::F64(5.0)] {
            assert!(is_equal_header(&five, &equal), "{equal:?}");
            let list = |value: &Argument| Argument::Array(vec![value.clone()]);
            assert!(is_equal_header(&list(&five), &list(&equal)), "{equal:?}");
        }
        let text = Argument::from("5");
        for other in [Argument::I64(6), Argument::Timestamp(5), Argument::F32(5.5), text.clone()] {
            assert!(!is_equal_header(&five, &other), "{other:?}");
        }
        assert!(!is_equal_header(&text, &Argument::Bytes(b"5".to_vec())));
        assert!(is_equal_header(&text, &text.clone()));
    }

    #[test]
    fn numbers_are_the_same_by_value() {
        assert!(is_same(&json!({"a": [1]}), &json!({"a": [1.0]})));
        assert!(!is_same(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992_i64)));
        assert!(!is_same(&json!({"a": 1}), &json!({"a": 1, "b": 1})));
        assert!(!is_same(&json!("1"), &json!(1)));
    }
}
