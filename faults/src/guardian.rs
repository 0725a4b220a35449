use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::Result;

/// A small process that runs a command once this one is gone, or lets go of it: also after a panic, a signal or a `kill -9`.
///
/// It waits at the end of a pipe that only this process holds open, in a process group of its own, so that a Ctrl-C does not reach it.
#[derive(Debug)]
pub(crate) struct Guardian {
    process: Child,
    lifeline: Option<ChildStdin>,
}

impl Guardian {
    /// Starts to wait; `script` is for `sh`, with `arguments` as its `$1`, `$2`, ...
    pub(crate) fn new(script: &str, arguments: &[&Path]) -> Result<Guardian> {
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
        let lifeline = process.stdin.take();
        Ok(Guardian { process, lifeline })
    }
}

impl Drop for Guardian {
    /// Has the command run now, and waits for it.
    fn drop(&mut self) {
        drop(self.lifeline.take());
        if let Err(error) = self.process.wait() {
            log::warn!("nobody knows whether the guardian cleaned up: {error}");
        }
    }
}
