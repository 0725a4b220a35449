//! The terminal while `carrot top` uses it.

use std::io::{IsTerminal, Read, Write};

use comfy_table::CellAlignment;
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::terminal::{
    self, Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use serde_json::Value;

use crate::commands::top::plot::plot;
use crate::commands::top::sample::Sample;
use crate::escaping;
use crate::exit::Result;
use crate::interrupt::Interrupt;
use crate::printing::table_of;

/// The rows of the plot.
const PLOT: usize = 4;
/// The columns that a table needs beside the names.
const BESIDE_NAMES: usize = 52;
/// Ctrl-C, which a terminal that reads single keys sends as a character.
const CTRL_C: u8 = 3;

/// A screen of its own. Dropping it leaves the terminal as it was.
pub(super) struct Screen {
    reads_keys: bool,
}

impl Screen {
    /// Opens the screen. From now on, q and Ctrl-C end the command.
    pub(super) fn open(interrupt: &Interrupt) -> Result<Screen> {
        let reads_keys = std::io::stdin().is_terminal();
        let screen = Screen { reads_keys };
        if reads_keys {
            terminal::enable_raw_mode()?;
        }
        execute!(std::io::stdout(), EnterAlternateScreen, Hide, DisableLineWrap)?;
        if reads_keys {
            let interrupt = interrupt.clone();
            // Ends with the process: nothing ends a read of a terminal.
            std::thread::Builder::new()
                .name("carrot-keys".into())
                .spawn(move || read_keys(&interrupt))?;
        }
        Ok(screen)
    }

    /// Returns the columns and rows of the terminal.
    pub(super) fn size() -> (usize, usize) {
        let (width, height) = terminal::size().unwrap_or((80, 24));
        (width.max(1).into(), height.max(1).into())
    }

    /// Replaces what the screen shows. The first line is bold.
    pub(super) fn draw(&mut self, lines: &[String]) -> Result<()> {
        let mut output = std::io::stdout().lock();
        for (row, line) in lines.iter().enumerate() {
            let weight = if row == 0 { Attribute::Bold } else { Attribute::Reset };
            queue!(
                output,
                MoveTo(0, u16::try_from(row).unwrap_or(u16::MAX)),
                SetAttribute(weight),
                Print(line),
                SetAttribute(Attribute::Reset),
                Clear(ClearType::UntilNewLine)
            )?;
        }
        let (_, height) = Screen::size();
        if let Some(row) = u16::try_from(lines.len()).ok().filter(|row| usize::from(*row) < height)
        {
            queue!(output, MoveTo(0, row), Clear(ClearType::FromCursorDown))?;
        }
        Ok(output.flush()?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        close(self.reads_keys);
    }
}

fn close(reads_keys: bool) {
    let _ = execute!(std::io::stdout(), EnableLineWrap, Show, LeaveAlternateScreen);
    if reads_keys {
        let _ = terminal::disable_raw_mode();
    }
}

/// Waits for the keys that end the command. The second one does not wait for the broker.
fn read_keys(interrupt: &Interrupt) {
    let keys = std::io::stdin().lock().bytes().map_while(std::result::Result::ok);
    for _ in keys.filter(|key| matches!(*key, b'q' | b'Q' | CTRL_C)) {
        if interrupt.is_wanted() {
            close(true);
            std::process::exit(130);
        }
        interrupt.end();
    }
}

/// Returns the lines for a screen of this size.
pub(super) fn picture(
    sample: &Sample,
    totals: &[u64],
    problem: Option<&str>,
    width: usize,
    height: usize,
) -> Vec<String> {
    let mut lines = vec![sample.summary(), String::new()];
    let most = totals.iter().copied().max().unwrap_or(0).to_string();
    let label = most.len().max("messages".len());
    for (row, blocks) in plot(totals, width.saturating_sub(label + 1), PLOT).iter().enumerate() {
        let label_of_row = match row {
            0 => &*most,
            1 => "messages",
            _ if row == PLOT - 1 => "0",
            _ => "",
        };
        lines.push(format!("{label_of_row:>label$} {blocks}"));
    }
    lines.push(String::new());
    let last = match problem {
        Some(problem) => format!("the numbers are old: {}", escaping::line(problem)),
        None => "q ends".into(),
    };
    // The header of the table, and the last line.
    let room = height.saturating_sub(lines.len() + 2);
    let hidden = sample.queues.len().saturating_sub(room);
    let last = if hidden > 0 { format!("{last}   {hidden} more queues") } else { last };
    lines.extend(table(sample, room, width.saturating_sub(BESIDE_NAMES)));
    lines.truncate(height.saturating_sub(1));
    lines.push(last);
    lines.iter().map(|line| line.chars().take(width).collect()).collect()
}

/// Returns the header and the first rows, with numbers at the right, and with long names cut.
fn table(sample: &Sample, rows: usize, name_width: usize) -> Vec<String> {
    let headings = sample.names(false).into_iter().map(|name| match name {
        "unacknowledged" => "unacked",
        "publish_rate" => "publish/s",
        "deliver_rate" => "deliver/s",
        "change_rate" => "change/s",
        other => other,
    });
    let headings: Vec<_> = headings.collect();
    let mut entries = sample.entries(false);
    entries.truncate(rows);
    for entry in &mut entries {
        if let Some(Value::String(name)) = entry.first_mut() {
            *name = cut(name, name_width.max(12));
        }
    }
    let mut table = table_of(&headings, &entries);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.lines().map(|line| line.trim_end().to_string()).collect()
}

fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width - 1).chain(['…']).collect(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::queue_listing::ListedQueue;

    #[test]
    fn picture_fits_every_terminal() {
        let queue = |number: u64| ListedQueue {
            name: format!("queue-{number}\u{1b}[2J"),
            ready: Some(number),
            ..ListedQueue::default()
        };
        let sample = Sample::of((0..50).map(queue).collect(), true, Instant::now(), None);
        for (width, height) in [(1, 1), (20, 5), (80, 24), (200, 100)] {
            for problem in [None, Some("gone")] {
                let lines = picture(&sample, &[1, 2, 3], problem, width, height);
                assert!(lines.len() <= height, "{width} {height}: {lines:#?}");
                assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:#?}");
                assert!(!lines.iter().any(|line| line.contains('\u{1b}')), "{lines:#?}");
            }
        }
        let lines = picture(&sample, &[1], None, 80, 24);
        assert_eq!(lines.last().map(String::as_str), Some("q ends   35 more queues"));
        assert!(lines.iter().any(|line| line.contains("queue-49")), "{lines:#?}");
    }
}
