//! Waiting a moment for what others are about to send, so that it leaves as one.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many bytes are not waited with for more.
const ENOUGH: usize = 16 << 10;
/// How often, at most, nothing is waited for because it was in vain before.
const LONGEST_PAUSE: u32 = 64;

/// Counts what is sent, for one thread that waits for so much of it. That waits less and less often if what it expects does not come,
/// or not in time.
#[derive(Debug, Default)]
pub(crate) struct WriteCoalescing {
    /// What was sent since it began; the most there can be once that is enough to be written.
    sent: AtomicUsize,
    /// For how many times not to wait.
    pause: AtomicU32,
    /// For how many times not to wait after the last time in vain; zero if it was not.
    last_pause: AtomicU32,
}

impl WriteCoalescing {
    pub(crate) fn begin(&self) {
        self.sent.store(0, Ordering::Release);
    }

    /// Says that something was sent, after which so many bytes are pending.
    pub(crate) fn sent(&self, pending: usize) {
        let count = if pending < ENOUGH { 1 } else { usize::MAX };
        let _ = self.sent.fetch_update(Ordering::AcqRel, Ordering::Acquire, |sent| {
            Some(sent.saturating_add(count))
        });
    }

    /// Waits until so much was sent since it began, `longest` at most.
    pub(crate) fn wait_for(&self, expected: usize, longest: Duration) {
        // A single one is written as soon by who sends it.
        if expected > 1 && !self.pauses() {
            self.learn(self.wait(expected, longest));
        }
    }

    /// Whether not to wait this time.
    fn pauses(&self) -> bool {
        self.pause
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |pause| pause.checked_sub(1))
            .is_ok()
    }

    /// Takes note whether it paid to wait.
    fn learn(&self, it_paid: bool) {
        let pause = if it_paid {
            0
        } else {
            (2 * self.last_pause.load(Ordering::Relaxed)).clamp(1, LONGEST_PAUSE)
        };
        self.last_pause.store(pause, Ordering::Relaxed);
        self.pause.store(pause, Ordering::Relaxed);
    }

    /// Whether all came in time. To sleep, and to be woken, would take as long as those need who are to send; they may run on this very
    /// processor.
    fn wait(&self, expected: usize, longest: Duration) -> bool {
        let started = Instant::now();
        loop {
            let all_came = self.sent.load(Ordering::Acquire) >= expected;
            // A processor that others are busy on may be given back late.
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

    /// Waits for what is expected; that is to be over soon.
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
