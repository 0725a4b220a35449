//! Text for a terminal, which it cannot control.
//!
//! Two forms exist. [`text`] is for everything that people read, and is applied where the text is
//! written: applied twice, it changes nothing more. [`octets`] also escapes the backslash, so that
//! each body has one form.

use std::fmt::Write;

use carrot::backend::printable;

/// Escapes the characters that control a terminal, are invisible or change the direction of text.
/// A line break is escaped, too. A backslash stays.
pub(crate) fn text(text: &str) -> String {
    printable(usize::MAX, text)
}

/// As [`text`], but line breaks stay.
pub(crate) fn lines(of: &str) -> String {
    of.split('\n').map(text).collect::<Vec<_>>().join("\n")
}

/// Escapes what would control a terminal in JSON, which stays the same value. Line breaks between
/// the values stay.
pub(crate) fn json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character == '\n' || is_printable(character) {
            escaped.push(character);
        } else {
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        }
    }
    escaped
}

/// Whether [`text`] leaves a character as it is.
fn is_printable(character: char) -> bool {
    match character.is_ascii() {
        true => !character.is_ascii_control(),
        false => text(character.encode_utf8(&mut [0; 4])).starts_with(character),
    }
}

/// Escapes octets: text as [`text`] does, the backslash as `\\`, and others as `\xff`.
pub(crate) fn octets(octets: &[u8]) -> String {
    let mut escaped = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        escaped.push_str(&text(&chunk.valid().replace('\\', "\\\\")));
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
    fn text_that_is_escaped_again_is_the_same() {
        for (given, escaped) in [
            ("red \u{1b}[31m\n", "red \\u{1b}[31m\\n"),
            ("\u{202e}\u{2060}\u{200b}\u{85}", "\\u{202e}\\u{2060}\\u{200b}\\u{85}"),
            ("C:\\new \"x\"", "C:\\new \"x\""),
        ] {
            assert_eq!(text(given), escaped);
            assert_eq!(text(escaped), escaped);
        }
        assert_eq!(lines("a\u{7}\nb\t"), "a\\u{7}\nb\\t");
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
