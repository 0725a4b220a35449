use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::error::Result;

/// A small process that runs a command once this value is dropped, or once this process has ended.
/// A panic, a signal or a `kill -9` of this process also runs the command.
///
/// The small process waits at the end of a pipe that only this process holds open. It is in a
/// process group of its own, so a Ctrl-C does not reach it.
#[derive(Debug)]
pub(crate) struct CleanupProcess {
    process: Child,
    pipe: Option<ChildStdin>,
}

impl CleanupProcess {
    /// Starts the process. `script` is a script for `sh`, with `arguments` as its `$1`, `$2`, ...
    pub(crate) fn new(script: &str, arguments: &[&Path]) -> Result<CleanupProcess> {
        let mut process = Command::new("sh")
            .arg("-c")
            .arg(format!("cat >/dev/null; {script}"))
            .arg("sh")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = process.stdin.take();
        Ok(CleanupProcess { process, pipe })
    }
}

impl Drop for CleanupProcess {
    /// Runs the command, and blocks until it has ended.
    fn drop(&mut self) {
        drop(self.pipe.take());
        if let Err(error) = self.process.wait() {
            log::warn!("cannot wait for the clean-up process: {error}");
        }
    }
}
