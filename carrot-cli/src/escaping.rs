//! Text of messages, so that it cannot control the terminal.

use std::fmt::Write;

/// Escapes everything but printable characters. A line break is escaped, too.
pub(crate) fn line(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            // Marks that change the direction of text, and invisible ones, would mislead.
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => {
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
}
