//! Names of a peer in log lines.

use std::fmt;

/// The maximum length of a name in a log line, in bytes. AMQP allows no longer ones.
const LONGEST_NAME: usize = 255;

/// Displays a name in quotes, escaped, and cut after 255 bytes.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quoted(name) = self;
        let end = (0..=LONGEST_NAME.min(name.len()))
            .rev()
            .find(|end| name.is_char_boundary(*end))
            .unwrap_or_default();
        write!(formatter, "{:?}", &name[..end])?;
        if end < name.len() { write!(formatter, "... ({} bytes)", name.len()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_with_control_characters_is_escaped() {
        assert_eq!(Quoted("a\" b=\"\n\u{202e}").to_string(), r#""a\" b=\"\n\u{202e}""#);
    }

    #[test]
    fn name_over_255_bytes_is_cut_between_characters() {
        assert_eq!(Quoted(&"x".repeat(255)).to_string().len(), 257);
        let long = Quoted(&"ä".repeat(200)).to_string();
        assert_eq!(long, format!("\"{}\"... (400 bytes)", "ä".repeat(127)));
    }
}
