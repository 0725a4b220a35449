//! The memory and the threads of this process.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a machine that is busy.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Runs the tests of a file one after another.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "did not happen within {LONG:?}: {what}");
        thread::yield_now();
    }
}

/// Returns the resident memory of the process in bytes; 0 where the memory cannot be read.
pub(crate) fn resident_bytes() -> usize {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .map_or(0, |kib: usize| kib << 10)
}
