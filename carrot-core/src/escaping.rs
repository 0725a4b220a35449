//! Text that a peer wrote, made fit for a log line or an error.

use std::fmt::{self, Display, Write};

/// Shows text that came from outside: escaped, and cut after `most` bytes.
///
/// A peer chooses the names of queues, the words of a refusal and what a decoder quotes. Shown as
/// they are, they could forge log lines, send escape sequences to a terminal, or fill a disk.
/// Control characters and characters that change the direction of text become `\n` or `\u{1b}`; the
/// rest stays as it is. What follows after `most` bytes is not even formatted.
///
/// ```
/// use carrot::backend::Printable;
///
/// assert_eq!(Printable::new(20, "no\nline").to_string(), "no\\nline");
/// assert_eq!(Printable::new(4, "longer").to_string(), "long... (cut)");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Printable<T> {
    most: usize,
    text: T,
}

impl<T: Display> Printable<T> {
    /// Shows at most `most` bytes of `text`, and a note if there is more.
    pub fn new(most: usize, text: T) -> Printable<T> {
        Printable { most, text }
    }
}

/// The text of [`Printable::new`].
pub fn printable(most: usize, text: impl Display) -> String {
    Printable::new(most, text).to_string()
}

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaping = Escaping { out: formatter, left: self.most, is_cut: false };
        let result = write!(escaping, "{}", self.text);
        if escaping.is_cut { formatter.write_str("... (cut)") } else { result }
    }
}

struct Escaping<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    left: usize,
    is_cut: bool,
}

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            let escaped = is_unsafe(letter);
            let length = if escaped { letter.escape_default().len() } else { letter.len_utf8() };
            if length > self.left {
                self.is_cut = true;
                // Ends the formatting of whatever is shown.
                return Err(fmt::Error);
            }
            self.left -= length;
            if escaped {
                write!(self.out, "{}", letter.escape_default())?
            } else {
                self.out.write_char(letter)?
            }
        }
        Ok(())
    }
}

/// Control characters, line and paragraph separators, and what is invisible or turns the direction
/// of text.
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Bytes, for people.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 120;
        let Shown(bytes) = self;
        let start = bytes.get(..MOST).unwrap_or(bytes);
        let text = match std::str::from_utf8(start) {
            Ok(text) => Some(text),
            // A character may be cut at the end.
            Err(error) if error.error_len().is_none() && bytes.len() > MOST => {
                start.get(..error.valid_up_to()).and_then(|whole| std::str::from_utf8(whole).ok())
            }
            Err(_) => None,
        };
        match text {
            Some(text) => write!(formatter, "{text:?}")?,
            None => {
                formatter.write_str("0x")?;
                start.iter().take(MOST / 2).try_for_each(|byte| write!(formatter, "{byte:02x}"))?;
            }
        }
        let is_whole = if text.is_some() { bytes.len() <= MOST } else { bytes.len() <= MOST / 2 };
        if is_whole { Ok(()) } else { write!(formatter, "... ({} bytes)", bytes.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        assert_eq!(printable(100, "queue 'größe' \\ \"x\""), "queue 'größe' \\ \"x\"");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            printable(100, "a\r\n\x1b[2J\u{202e}b\u{85}"),
            "a\\r\\n\\u{1b}[2J\\u{202e}b\\u{85}"
        );
    }

    #[test]
    fn what_is_too_long_is_cut_between_letters_and_not_formatted_to_its_end() {
        assert_eq!(printable(3, "ää"), "ä... (cut)");
        assert_eq!(printable(4, "ää"), "ää");

        struct Endless;
        impl Display for Endless {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    formatter.write_str("x")?;
                }
            }
        }
        assert_eq!(printable(2, Endless), "xx... (cut)");
    }
}
