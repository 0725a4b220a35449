use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carrot_core::Result;
use carrot_core::backend::{Delivery, Subscription};

/// The longest wait for an expected event.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// The time in which an unexpected event would be noticed.
pub(super) const QUIET: Duration = Duration::from_millis(100);
pub(super) const PAUSE: Duration = Duration::from_millis(2);

pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.content.body).into_owned()
}

/// Returns a delivery of the kit's own messages, each of which a backend has to read whole.
#[track_caller]
pub(super) fn readable(delivery: Delivery) -> Delivery {
    assert_eq!(delivery.unreadable, None, "the backend cannot read a message that it was given");
    delivery
}

pub(crate) const fn milliseconds(milliseconds: u64) -> Duration {
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

/// Starts `COUNT` threads that wait in `next`, and calls `wake`. Returns the results of `next`.
///
/// Panics if the threads are not woken within ten seconds, but return when their timeout passes.
#[track_caller]
pub(crate) fn woken<const COUNT: usize>(
    subscription: &dyn Subscription,
    wake: impl FnOnce(),
) -> [Result<Option<Delivery>>; COUNT] {
    let started = AtomicUsize::new(0);
    thread::scope(|scope| {
        let waiters = [(); COUNT].map(|()| {
            scope.spawn(|| {
                started.fetch_add(1, Ordering::SeqCst);
                subscription.next(DEADLINE + DEADLINE / 5)
            })
        });
        eventually("the threads start", || started.load(Ordering::SeqCst) == COUNT);
        // No backend reports that a thread waits. A thread that waits later finds the change
        // already, so a shorter pause could only hide a missing wake-up.
        thread::sleep(QUIET);
        let woken_at = Instant::now();
        wake();
        let results = waiters.map(|waiter| waiter.join().expect("the waiting thread"));
        assert!(woken_at.elapsed() < DEADLINE, "the waiting threads were not woken");
        results
    })
}
