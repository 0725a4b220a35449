use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::accounting::Accounting;
use crate::error::Result;
use crate::failing_worker::{HandlerCall, is_undecodable, now};

/// The calls of the handler, which the processes append to a file.
pub(super) struct CallLog {
    folder: TempDir,
    file: File,
    /// The part of the last line that was read before its line end was written.
    unfinished: String,
    calls: Vec<HandlerCall>,
    started: u64,
}

impl CallLog {
    pub(super) fn new() -> Result<CallLog> {
        let folder = tempfile::tempdir()?;
        File::create(folder.path().join("record"))?;
        let file = File::open(folder.path().join("record"))?;
        Ok(CallLog { folder, file, unfinished: String::new(), calls: Vec::new(), started: now() })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("record")
    }

    /// Reads the new calls, and returns the number of calls.
    pub(super) fn read(&mut self, accounting: &Accounting) -> Result<usize> {
        self.file.read_to_string(&mut self.unfinished)?;
        let end = self.unfinished.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.unfinished.split_off(end);
        for line in std::mem::replace(&mut self.unfinished, rest).lines() {
            let call = HandlerCall::parse(line)?;
            if call.handled {
                accounting.consume(call.message);
            }
            self.calls.push(call);
        }
        Ok(self.calls.len())
    }

    /// Returns the number of calls that were read.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Returns the number of successful calls for each message.
    pub(super) fn handled(&self) -> HashMap<u64, usize> {
        let mut times = HashMap::new();
        for call in self.calls.iter().filter(|call| call.handled) {
            *times.entry(call.message).or_default() += 1;
        }
        times
    }

    /// Formats every call of the handler for these messages.
    pub(super) fn history(&self, messages: &[u64]) -> String {
        let mut text = String::new();
        for message in messages {
            let _ = write!(text, "\n    message {message}:");
            if is_undecodable(*message) {
                text.push_str(" cannot be decoded;");
            }
            for call in self.calls.iter().filter(|call| call.message == *message) {
                let (attempt, process, at) =
                    (call.attempt, call.process, call.time.saturating_sub(self.started));
                let _ = write!(text, " attempt {attempt} in process {process} after {at} ms;");
            }
        }
        text
    }
}
