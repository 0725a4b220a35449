//! Text in the columns of a terminal, where some characters take two columns and others none.

use unicode_width::UnicodeWidthChar;

/// The columns between two fields.
pub(super) const GAP: usize = 2;

/// Returns the columns that a text takes.
pub(super) fn width_of(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

/// Shortens a text to this number of columns. `…` marks the end of a text that was cut.
pub(super) fn cut(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.into();
    }
    let mut room = width.saturating_sub(1);
    let mut kept = String::new();
    for character in text.chars() {
        let Some(left) = room.checked_sub(character.width().unwrap_or(0)) else { break };
        room = left;
        kept.push(character);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// Joins as many of the first parts as fit.
pub(super) fn join(parts: &[String], width: usize) -> String {
    let mut joined = String::new();
    for part in parts {
        let gap = if joined.is_empty() { "" } else { "   " };
        if !joined.is_empty() && width_of(&joined) + gap.len() + width_of(part) > width {
            break;
        }
        joined = joined + gap + part;
    }
    joined
}

/// Lays out rows of fields. The first field is at the left, and is cut if it is long; the others
/// are numbers, at the right. Returns `None` if fewer than `least` columns are left for the first.
pub(super) fn columns(rows: &[Vec<String>], least: usize, width: usize) -> Option<Vec<String>> {
    let numbers = rows.first().map_or(0, |row| row.len().saturating_sub(1));
    let widest = |field: usize| {
        rows.iter().filter_map(|row| row.get(field)).map(|text| width_of(text)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (1..=numbers).map(widest).collect();
    let room = width.checked_sub(widths.iter().map(|width| GAP + width).sum())?;
    if room < least {
        return None;
    }
    let first = widest(0).min(room);
    let line = |row: &Vec<String>| {
        let name = row.first().map(|name| cut(name, first)).unwrap_or_default();
        let mut line = pad(&name, first, false);
        for (text, width) in row.iter().skip(1).zip(&widths) {
            line.push_str(&pad(text, GAP + width, true));
        }
        line.trim_end().to_string()
    };
    Some(rows.iter().map(line).collect())
}

/// Fills a text up to this number of columns.
pub(super) fn pad(text: &str, width: usize, at_right: bool) -> String {
    let spaces = " ".repeat(width.saturating_sub(width_of(text)));
    if at_right { spaces + text } else { text.to_string() + &spaces }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_its_columns() {
        assert_eq!(cut("queue", 5), "queue");
        assert_eq!(cut("queues", 5), "queu…");
        assert_eq!(cut("待ち行列", 8), "待ち行列");
        assert_eq!(cut("待ち行列", 7), "待ち行…");
        assert_eq!(cut("待ち行列", 6), "待ち…");
        assert_eq!(cut("e\u{301}e\u{301}e", 2), "e\u{301}…");
        assert_eq!((cut("ab", 1), cut("ab", 0)), ("…".into(), String::new()));
    }

    #[test]
    fn parts_that_do_not_fit_are_left_out() {
        let parts = ["1 queue", "7 ready", "+1.0/s"].map(String::from);
        assert_eq!(join(&parts, 80), "1 queue   7 ready   +1.0/s");
        assert_eq!(join(&parts, 20), "1 queue   7 ready");
        assert_eq!(join(&parts, 3), "1 queue");
    }

    #[test]
    fn numbers_stand_below_each_other() {
        let row = |name: &str, number: &str| vec![name.to_string(), number.to_string()];
        let rows = [row("queue", "ready"), row("待ち行列", "7"), row("a-long-name", "100000")];
        let lines = columns(&rows, 4, 16);
        let expected = ["queue      ready", "待ち行列       7", "a-long-…  100000"];
        assert_eq!(lines.as_deref(), Some(&expected.map(String::from)[..]));
        assert!(columns(&rows, 9, 16).is_none() && columns(&rows, 0, 7).is_none());
    }
}
