//! Waits briefly for frames that other threads are about to send, so that one write sends them all.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The number of pending octets that are written without waiting for more.
const ENOUGH: usize = 16 << 10;
/// The maximum number of times that a wait is left out after one that failed.
const LONGEST_PAUSE: u32 = 64;

/// Counts the messages that are sent, for one thread that waits for a number of them. The thread
/// waits less and less often if the messages do not arrive in time.
#[derive(Debug, Default)]
pub(crate) struct WriteCoalescing {
    /// The messages sent since [`begin`](WriteCoalescing::begin), or the maximum once enough octets
    /// are pending.
    sent: AtomicUsize,
    /// The number of waits to leave out.
    pause: AtomicU32,
    /// The number of waits that were left out after the last wait that failed; 0 if it succeeded.
    last_pause: AtomicU32,
}

impl WriteCoalescing {
    pub(crate) fn begin(&self) {
        self.sent.store(0, Ordering::Release);
    }

    /// Records a message, after which this number of octets is pending.
    pub(crate) fn sent(&self, pending: usize) {
        let count = if pending < ENOUGH { 1 } else { usize::MAX };
        let _ = self.sent.fetch_update(Ordering::AcqRel, Ordering::Acquire, |sent| {
            Some(sent.saturating_add(count))
        });
    }

    /// Waits until this number of messages was sent, at most for `longest`.
    pub(crate) fn wait_for(&self, expected: usize, longest: Duration) {
        // Its own sender writes a single message just as early.
        if expected > 1 && !self.pauses() {
            self.learn(self.wait(expected, longest));
        }
    }

    /// Returns whether to leave out this wait.
    fn pauses(&self) -> bool {
        self.pause
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |pause| pause.checked_sub(1))
            .is_ok()
    }

    /// Records whether the wait succeeded.
    fn learn(&self, it_paid: bool) {
        let pause = if it_paid {
            0
        } else {
            (2 * self.last_pause.load(Ordering::Relaxed)).clamp(1, LONGEST_PAUSE)
        };
        self.last_pause.store(pause, Ordering::Relaxed);
        self.pause.store(pause, Ordering::Relaxed);
    }

    /// Returns whether all messages were sent in time. Yields instead of sleeping: a sleep and a
    /// wake-up would take as long as the senders need, and they may run on the same processor.
    fn wait(&self, expected: usize, longest: Duration) -> bool {
        let started = Instant::now();
        loop {
            let all_came = self.sent.load(Ordering::Acquire) >= expected;
            // A busy processor may resume this thread late.
            let is_late = started.elapsed() > longest;
            if all_came || is_late {
                return all_came && !is_late;
            }
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// Waits for this number of messages, and fails after 20 seconds.
    fn wait_for(expected: usize, coalescing: &WriteCoalescing) {
        let started = Instant::now();
        coalescing.wait_for(expected, LONG);
        assert!(started.elapsed() < LONG);
    }

    #[test]
    fn all_that_is_expected_is_waited_for() {
        let coalescing = WriteCoalescing::default();
        coalescing.sent(100);
        coalescing.begin();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| coalescing.sent(100));
            }
            wait_for(8, &coalescing);
            assert_eq!(coalescing.sent.load(Ordering::Acquire), 8);
        });
    }

    #[test]
    fn what_may_as_well_be_written_by_itself_is_not_waited_for() {
        wait_for(1, &WriteCoalescing::default());
    }

    #[test]
    fn what_is_enough_to_be_written_does_not_wait_for_more() {
        let coalescing = WriteCoalescing::default();
        coalescing.sent(ENOUGH);
        coalescing.sent(1);
        wait_for(1000, &coalescing);
    }

    #[test]
    fn who_waits_in_vain_waits_less_and_less_often() {
        let coalescing = WriteCoalescing::default();
        for pause in [1, 2, 4, 8, 16, 32, 64, 64] {
            assert!(!coalescing.pauses());
            coalescing.learn(false);
            assert!((0..pause).all(|_| coalescing.pauses()), "{pause}");
        }
        assert!(!coalescing.pauses());
        coalescing.learn(true);
        assert!(!coalescing.pauses());
        coalescing.learn(false);
        assert!(coalescing.pauses() && !coalescing.pauses());
    }

    #[test]
    fn what_comes_in_part_or_late_was_waited_for_in_vain() {
        for (sent, longest, in_vain) in
            [(9, LONG, false), (8, Duration::ZERO, true), (9, Duration::ZERO, true)]
        {
            let coalescing = WriteCoalescing::default();
            (0..sent).for_each(|_| coalescing.sent(100));
            coalescing.wait_for(9, longest);
            assert_eq!(coalescing.pauses(), in_vain, "{sent} of 9 in {longest:?}");
        }
    }
}
