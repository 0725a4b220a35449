//! Text of messages, so that it cannot control the terminal.

use std::fmt::Write;

/// Escapes everything but printable characters. A line break is escaped, too.
pub(crate) fn line(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            _ if is_misleading(character) => {
                let _ = write!(escaped, "{}", character.escape_unicode());
            }
            _ if character.is_control() => {
                let _ = write!(escaped, "{}", character.escape_default());
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Escapes what would control a terminal in a line of JSON, which stays the same value.
pub(crate) fn json(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    for character in line.chars() {
        if is_misleading(character) || character.is_control() {
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Whether a character changes the direction of text, or is invisible.
fn is_misleading(character: char) -> bool {
    matches!(character,
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}')
}

/// Escapes octets: text as [`line`] does, and others as `\xff`.
pub(crate) fn octets(octets: &[u8]) -> String {
    let mut escaped = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        escaped.push_str(&line(chunk.valid()));
        for octet in chunk.invalid() {
            let _ = write!(escaped, "\\x{octet:02x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_that_control_a_terminal_are_escaped() {
        assert_eq!(octets(b"red \x1b[31m"), "red \\u{1b}[31m");
        assert_eq!(octets(b"two\nlines\r\x07"), "two\\nlines\\r\\u{7}");
        assert_eq!(octets("caf\u{e9} \u{9b}31m".as_bytes()), "caf\u{e9} \\u{9b}31m");
        assert_eq!(octets("\u{202e}txt.exe".as_bytes()), "\\u{202e}txt.exe");
        assert_eq!(octets(b"\xff\xc3"), "\\xff\\xc3");
        assert_eq!(octets(b"C:\\new"), "C:\\\\new");
    }

    #[test]
    fn json_is_escaped_and_means_the_same() {
        let text = "red \u{9b}31m \u{202e} \u{7f} caf\u{e9} \u{1f600} \u{1b}";
        let line = serde_json::Value::from(text).to_string();
        let escaped = json(&line);
        assert_eq!(escaped, "\"red \\u009b31m \\u202e \\u007f caf\u{e9} \u{1f600} \\u001b\"");
        assert_eq!(serde_json::from_str::<String>(&escaped).ok().as_deref(), Some(text));
    }
}
