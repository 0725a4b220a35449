//! Escapes and cuts text of a peer for log lines and errors.

use std::fmt::{self, Display, Write};

/// Displays text of a peer: escaped, and cut after `most` bytes.
///
/// A peer chooses the names of queues, the texts of errors and the content of bodies. Unescaped
/// text could forge log lines, send escape sequences to a terminal, or fill a disk. Control
/// characters and characters that change the direction of text are escaped as `\n` or `\u{1b}`; all
/// others stay. Text beyond `most` bytes is not formatted.
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
    /// Displays at most `most` bytes of `text`, followed by a note if the text is longer.
    pub fn new(most: usize, text: T) -> Printable<T> {
        Printable { most, text }
    }
}

/// Returns the text of [`Printable::new`].
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
                // An error stops the formatting of the text.
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

/// Returns whether `letter` is a control character, a line or paragraph separator, invisible, or
/// changes the direction of text.
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// Displays bytes as text if they are UTF-8, and as hexadecimal digits otherwise.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 120;
        let Shown(bytes) = self;
        let start = bytes.get(..MOST).unwrap_or(bytes);
        let text = match std::str::from_utf8(start) {
            Ok(text) => Some(text),
            // The cut may split the last character.
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
        let is_complete =
            if text.is_some() { bytes.len() <= MOST } else { bytes.len() <= MOST / 2 };
        if is_complete { Ok(()) } else { write!(formatter, "... ({} bytes)", bytes.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_text_is_not_changed() {
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
    fn long_text_is_cut_between_characters_and_not_formatted_to_its_end() {
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
