//! Counts the threads and the file descriptors of the process. A test binary that uses this module
//! must contain one test only, because the count includes the threads of the test harness.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

/// Runs `work` three times, and then `rounds` times. Checks that the latter runs leak no thread and
/// no file descriptor.
pub(crate) fn leaves_nothing(rounds: usize, mut work: impl FnMut()) {
    (0..3).for_each(|_| work());
    let before = settled(Instant::now() + Duration::from_secs(2), |_| false);
    (0..rounds).for_each(|_| work());
    let after = settled(Instant::now() + LONG, |now| now.0 <= before.0 && now.1 <= before.1);
    assert!(
        after.0 <= before.0 && after.1 <= before.1,
        "(threads, descriptors) before {before:?}, after {after:?}"
    );
}

fn settled(deadline: Instant, enough: impl Fn((usize, usize)) -> bool) -> (usize, usize) {
    let count = |directory| fs::read_dir(directory).unwrap().count();
    let mut least = (usize::MAX, usize::MAX);
    while Instant::now() < deadline && !enough(least) {
        let now = (count("/proc/self/task"), count("/proc/self/fd"));
        least = (least.0.min(now.0), least.1.min(now.1));
        thread::park_timeout(Duration::from_millis(5));
    }
    least
}
