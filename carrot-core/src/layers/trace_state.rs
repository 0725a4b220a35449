//! The header `tracestate`: the positions of other tracing systems, which are passed on unchanged.

use crate::model::{Properties, Value};

/// The name of the header.
pub(super) const TRACESTATE: &str = "tracestate";
/// The length that each participant has to pass on, in bytes.
const LONGEST: usize = 512;
const MOST_MEMBERS: usize = 32;
/// The longest key, and the longest value.
const LONGEST_PART: usize = 256;

/// Returns the text of the header, if the header is valid and at most 512 bytes long.
pub(super) fn of_properties(properties: &Properties) -> Option<&str> {
    let bytes = properties.header(TRACESTATE).and_then(Value::as_bytes)?;
    let text = str::from_utf8(bytes.get(..bytes.len().min(LONGEST + 1))?).ok()?;
    is_valid(text).then_some(text)
}

fn is_valid(text: &str) -> bool {
    if text.len() > LONGEST {
        return false;
    }
    let mut keys: [&str; MOST_MEMBERS] = [""; MOST_MEMBERS];
    let mut count = 0;
    for member in text.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue;
        }
        let Some((key, value)) = member.split_once('=') else { return false };
        let known = keys.get(..count).unwrap_or_default();
        if !is_key(key) || !is_value(value) || known.contains(&key) {
            return false;
        }
        let Some(place) = keys.get_mut(count) else { return false };
        *place = key;
        count += 1;
    }
    count > 0
}

fn is_key(key: &str) -> bool {
    let starts =
        key.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    starts
        && key.len() <= LONGEST_PART
        && key.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte)
        })
}

fn is_value(value: &str) -> bool {
    (1..=LONGEST_PART).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_state_that_is_valid_is_kept() {
        let full: Vec<String> = (0..32).map(|number| format!("k{number}=v")).collect();
        for text in [
            "rojo=00f067aa0ba902b7",
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
            "fw529a3039@dt=FfUw,a=1 2",
            "a=1 ,\tb=2",
            "a=1,,b=2",
            "0a_-*/=!~:",
            &full.join(","),
            &format!("a={}", "v".repeat(256)),
            &format!("{}=v,b={}", "k".repeat(253), "v".repeat(254)),
        ] {
            assert!(is_valid(text), "{text}");
            for value in [Value::from(text), Value::Bytes(text.into())] {
                let properties = Properties::new().with_header(TRACESTATE, value);
                assert_eq!(of_properties(&properties), Some(text));
            }
        }
    }

    #[test]
    fn trace_state_that_is_invalid_or_long_counts_as_missing() {
        let many: Vec<String> = (0..33).map(|number| format!("k{number}=v")).collect();
        for text in [
            "",
            " ",
            ",",
            "a",
            "a=",
            "=1",
            "A=1",
            "a b=1",
            "a =1",
            "é=1",
            "a=é",
            "a=1=2",
            "a=\u{7f}",
            "a=1\n,b=2",
            "a=1,b",
            "a=1,b=2,a=3",
            &many.join(","),
            &format!("a={}", "v".repeat(257)),
            &format!("{}=v", "k".repeat(257)),
            &format!("a={},b={}", "v".repeat(255), "v".repeat(253)),
            &"é".repeat(1_000_000),
        ] {
            let properties = Properties::new().with_header(TRACESTATE, text);
            assert_eq!(of_properties(&properties), None, "{text:.60}");
        }
        let bytes = Properties::new().with_header(TRACESTATE, Value::Bytes(vec![b'a', b'=', 0xff]));
        assert_eq!(of_properties(&bytes), None);
        assert_eq!(of_properties(&Properties::new().with_header(TRACESTATE, 7)), None);
    }
}
