//! Lines of the standard input. A thread of its own reads them, because nothing ends a read.

use std::io::{self, BufRead, IsTerminal, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;

/// The most lines that are read ahead.
const AHEAD: usize = 16;
/// The most bytes of lines that are read ahead, unless it is one line.
const AHEAD_BYTES: usize = 1 << 20;
/// The time after which a wait looks for the signal.
const STEP: Duration = Duration::from_millis(50);
/// The time after the signal in which a line has to come, for the lines of a pipe to go on.
const PAUSE: Duration = Duration::from_millis(500);
/// The time after the signal at which the lines end in any case.
const REST: Duration = Duration::from_secs(5);

/// The lines of the standard input.
pub(crate) struct InputLines {
    lines: Receiver<ReadLine>,
    ahead: Arc<BytesAhead>,
    number: u64,
    is_terminal: bool,
    /// When the lines end, after the signal.
    ends: Option<Instant>,
}

/// A line, or the reason why there is none.
type ReadLine = std::result::Result<Vec<u8>, String>;

impl InputLines {
    /// `limit` is the most bytes of a line, and `limit_of` what has that limit.
    pub(crate) fn start(limit: u64, limit_of: &'static str) -> Result<InputLines> {
        let (sender, lines) = sync_channel(AHEAD);
        let ahead = Arc::new(BytesAhead::default());
        let read = Arc::clone(&ahead);
        thread::Builder::new().name("carrot-input".into()).spawn(move || {
            let mut input = io::stdin().lock();
            while let Some(line) = read_line(&mut input, limit, limit_of).transpose() {
                let is_last = line.is_err();
                read.add(line.as_ref().map_or(0, Vec::len));
                if sender.send(line).is_err() || is_last {
                    break;
                }
            }
        })?;
        let is_terminal = io::stdin().is_terminal();
        Ok(InputLines { lines, ahead, number: 0, is_terminal, ends: None })
    }

    /// Returns the octets of the next line without its line feed, and its number, from 1, or `None`
    /// at the end. Calls `idle` while no line comes.
    ///
    /// After the signal, the lines of a terminal end. Those of a pipe continue as long as they
    /// come, for 5 seconds at most: the command that writes them has got the signal, too, and may
    /// have acknowledged the messages that it wrote.
    ///
    /// # Errors
    /// The line cannot be read, or exceeds the limit.
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
                    self.ahead.remove(line.len());
                    self.number += 1;
                    return Ok(Some((self.number, line)));
                }
                Ok(Err(reason)) => {
                    return Err(CommandFailure::input(reason).in_line(self.number + 1));
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => idle()?,
            }
        }
    }
}

/// Reads a line without its line feed. Returns `None` at the end.
fn read_line(
    input: &mut impl BufRead,
    limit: u64,
    limit_of: &str,
) -> std::result::Result<Option<Vec<u8>>, String> {
    let mut line = Vec::new();
    // With the line feed, and one octet more.
    let read = input.take(limit.saturating_add(1)).read_until(b'\n', &mut line);
    if read.map_err(|error| error.to_string())? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() as u64 > limit {
        return Err(format!("the line has more than {limit} bytes, {limit_of}"));
    }
    Ok(Some(line))
}

/// The bytes of the lines that are read ahead.
#[derive(Default)]
struct BytesAhead {
    bytes: Mutex<usize>,
    removed: Condvar,
}

impl BytesAhead {
    /// Adds the bytes of a line, once there is room.
    fn add(&self, line: usize) {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |bytes: &mut usize| *bytes > 0 && *bytes + line > AHEAD_BYTES;
        let waited = self.removed.wait_while(bytes, is_full);
        *waited.unwrap_or_else(PoisonError::into_inner) += line;
    }

    fn remove(&self, line: usize) {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) -= line;
        self.removed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_read_up_to_its_limit() {
        let read = |text: &str| {
            let mut input = text.as_bytes();
            let lines = std::iter::from_fn(|| read_line(&mut input, 3, "a limit").transpose());
            lines.take(4).map(|line| line.map(|line| line.len())).collect::<Vec<_>>()
        };
        assert_eq!(read(""), []);
        assert_eq!(read("abc\n\nab"), [Ok(3), Ok(0), Ok(2)]);
        assert_eq!(read("abc"), [Ok(3)]);
        let refused = Err("the line has more than 3 bytes, a limit".to_string());
        assert_eq!(read("a\nabcd")[1], refused);
        assert_eq!(read("abcd\n")[0], refused);
    }
}
