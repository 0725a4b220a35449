//! Work that the user can end while the broker does not answer.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::exit::Result;
use crate::interrupt::Interrupt;

/// The time after which a wait looks at the thread.
const STEP: Duration = Duration::from_millis(5);
/// The time without progress, after the signal, after which the work is left.
const LEAVE: Duration = Duration::from_secs(1);

/// Runs work on a thread of its own, because nothing ends a call that waits for the broker.
/// `progress` returns a number that each step of the work changes.
///
/// Returns `None` if the user ends the command, and the work makes no progress for a second. The
/// thread ends with the process then, and its connection with it: the broker requeues what is not
/// settled.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn attend<T: Send + 'static>(
    name: &str,
    interrupt: &Interrupt,
    progress: impl Fn() -> u64,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>> {
    let thread = thread::Builder::new().name(name.into()).spawn(work)?;
    Ok(is_ended(&thread, interrupt, progress).then(|| match thread.join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    }))
}

/// Waits for the end of the thread. Returns false if it is left.
fn is_ended<T>(thread: &JoinHandle<T>, interrupt: &Interrupt, progress: impl Fn() -> u64) -> bool {
    let mut last = (progress(), Instant::now());
    while !thread.is_finished() {
        thread::sleep(STEP);
        let now = progress();
        if now != last.0 || !interrupt.is_wanted() {
            last = (now, Instant::now());
        }
        if last.1.elapsed() > LEAVE {
            return false;
        }
    }
    true
}
