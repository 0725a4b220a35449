//! The terminal while `carrot top` uses it.

use std::io::{IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::terminal::{
    self, Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{execute, queue};

use crate::commands::top::columns::width_of;
use crate::exit::Result;
use crate::interrupt::Interrupt;

/// Ctrl-C, which a terminal that reads single keys sends as a character.
const CTRL_C: u8 = 3;

/// A screen of its own. Dropping it leaves the terminal as it was, and so does a second signal.
pub(super) struct Screen {
    state: Arc<ScreenState>,
}

struct ScreenState {
    reads_keys: bool,
    /// Written while the standard output is locked: nothing is drawn after the end.
    is_open: AtomicBool,
}

impl Screen {
    /// Opens the screen. From now on, q and Ctrl-C end the command.
    pub(super) fn open(interrupt: &Interrupt) -> Result<Screen> {
        let reads_keys = std::io::stdin().is_terminal();
        let state = Arc::new(ScreenState { reads_keys, is_open: AtomicBool::new(true) });
        let screen = Screen { state: Arc::clone(&state) };
        interrupt.restores(move || state.close());
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

    /// Returns the columns and rows of the terminal, and 80 and 24 if it does not know them.
    pub(super) fn size() -> (usize, usize) {
        let known = terminal::size().ok().filter(|(width, height)| *width > 0 && *height > 0);
        let (width, height) = known.unwrap_or((80, 24));
        (width.into(), height.into())
    }

    /// Replaces what the screen shows. The first line is bold.
    pub(super) fn draw(&mut self, lines: &[String]) -> Result<()> {
        let mut output = std::io::stdout().lock();
        if !self.state.is_open.load(Ordering::SeqCst) {
            return Ok(());
        }
        let (width, height) = Screen::size();
        for (row, line) in lines.iter().enumerate() {
            let weight = if row == 0 { Attribute::Bold } else { Attribute::Reset };
            queue!(
                output,
                MoveTo(0, u16::try_from(row).unwrap_or(u16::MAX)),
                SetAttribute(weight),
                Print(line),
                SetAttribute(Attribute::Reset)
            )?;
            // After a full line, the cursor is still on its last character, which would go.
            if width_of(line) < width {
                queue!(output, Clear(ClearType::UntilNewLine))?;
            }
        }
        if let Some(row) = u16::try_from(lines.len()).ok().filter(|row| usize::from(*row) < height)
        {
            queue!(output, MoveTo(0, row), Clear(ClearType::FromCursorDown))?;
        }
        Ok(output.flush()?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.state.close();
    }
}

impl ScreenState {
    fn close(&self) {
        // First, because it waits for nothing. A stopped terminal takes no output.
        if self.reads_keys {
            let _ = terminal::disable_raw_mode();
        }
        let mut output = std::io::stdout().lock();
        if self.is_open.swap(false, Ordering::SeqCst) {
            let _ = execute!(output, EnableLineWrap, Show, LeaveAlternateScreen);
        }
    }
}

/// Waits for the keys that end the command. The second one does not wait for the broker.
fn read_keys(interrupt: &Interrupt) {
    let keys = std::io::stdin().lock().bytes().map_while(std::result::Result::ok);
    for _ in keys.filter(|key| matches!(*key, b'q' | b'Q' | CTRL_C)) {
        interrupt.end();
    }
}
