//! Lines of the standard input. A thread of its own reads them, because nothing ends a read.

use std::io::{self, BufRead, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;

/// The most lines that are read ahead.
const AHEAD: usize = 16;
/// The time after which a wait looks for the signal.
const STEP: Duration = Duration::from_millis(50);
/// The time after the signal in which a line has to come, for the lines of a pipe to go on.
const PAUSE: Duration = Duration::from_millis(500);
/// The time after the signal at which the lines end in any case.
const REST: Duration = Duration::from_secs(5);

/// The lines of the standard input.
pub(crate) struct InputLines {
    lines: Receiver<io::Result<Vec<u8>>>,
    number: u64,
    is_terminal: bool,
    /// When the lines end, after the signal.
    ends: Option<Instant>,
}

impl InputLines {
    pub(crate) fn start() -> Result<InputLines> {
        let (sender, lines) = sync_channel(AHEAD);
        thread::Builder::new().name("carrot-input".into()).spawn(move || {
            for line in io::stdin().lock().split(b'\n') {
                if sender.send(line).is_err() {
                    break;
                }
            }
        })?;
        let is_terminal = io::stdin().is_terminal();
        Ok(InputLines { lines, number: 0, is_terminal, ends: None })
    }

    /// Returns the octets of the next line without its line feed, and its number, from 1, or `None`
    /// at the end. Calls `idle` while no line comes.
    ///
    /// After the signal, the lines of a terminal end. Those of a pipe continue as long as they
    /// come, for 5 seconds at most: the command that writes them has got the signal, too, and may
    /// have acknowledged the messages that it wrote.
    pub(crate) fn next(
        &mut self,
        interrupt: &Interrupt,
        mut idle: impl FnMut() -> Result<()>,
    ) -> Result<Option<(u64, Vec<u8>)>> {
        let mut waits_until = None;
        loop {
            let now = Instant::now();
            if interrupt.is_wanted() {
                let ends = *self.ends.get_or_insert(now + REST);
                let waits_until = *waits_until.get_or_insert((now + PAUSE).min(ends));
                if self.is_terminal || now >= waits_until {
                    return Ok(None);
                }
            }
            match self.lines.recv_timeout(STEP) {
                Ok(Ok(line)) => {
                    self.number += 1;
                    return Ok(Some((self.number, line)));
                }
                Ok(Err(error)) => {
                    let number = self.number + 1;
                    let text = format!("line {number} of the input: {error}");
                    return Err(CommandFailure::input(text));
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => idle()?,
            }
        }
    }
}
