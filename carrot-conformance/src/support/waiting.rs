use std::thread;
use std::time::{Duration, Instant};

use carrot_core::backend::Delivery;

/// The longest wait for an expected event.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// The time in which an unexpected event would be noticed.
pub(super) const QUIET: Duration = Duration::from_millis(100);
pub(super) const PAUSE: Duration = Duration::from_millis(2);

pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.content.body).into_owned()
}

pub(crate) fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Blocks until a condition is true, for at most ten seconds.
#[track_caller]
pub(crate) fn eventually(expected: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < until, "did not happen within {DEADLINE:?}: {expected}");
        thread::sleep(PAUSE);
    }
}
