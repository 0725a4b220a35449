use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::Result;

/// A process with failing handlers. Dropping it kills the process.
pub(super) struct FailingProcess(Child);

impl FailingProcess {
    pub(super) fn start(
        program: &Path,
        url: &str,
        queue: &str,
        record: &Path,
        seed: u64,
    ) -> Result<FailingProcess> {
        let mut process = Command::new(program);
        process.args(["failing-worker", url, queue]).arg(record).arg(seed.to_string());
        // The process ends at the end of its input, so it does not outlive this process.
        Ok(FailingProcess(process.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Kills the process (`kill -9`). Returns a failure if the process had ended before.
    pub(super) fn kill(&mut self) -> Result<Option<String>> {
        let ended = self.0.try_wait()?;
        self.0.kill()?;
        self.0.wait()?;
        Ok(ended.map(|status| format!("process {} ended by itself: {status}", self.id())))
    }
}

impl Drop for FailingProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
