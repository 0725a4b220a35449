//! Samples of the rates, and progress on a terminal.

use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::progress;

/// The first interval between two samples of the rates.
const INTERVAL: Duration = Duration::from_millis(100);
/// The most samples. Twice as many are merged in pairs.
const SAMPLES: usize = 200;

/// The numbers at one time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BenchSample {
    pub(super) time: Duration,
    pub(super) published: u64,
    pub(super) received: u64,
}

/// Samples of the rates, and progress on a terminal.
pub(super) struct Watching {
    progress: ProgressBar,
    interval: Duration,
    samples: Vec<BenchSample>,
}

impl Watching {
    pub(super) fn new() -> Watching {
        let samples = vec![BenchSample::default()];
        Watching { progress: progress::line(), interval: INTERVAL, samples }
    }

    /// Waits for a short time, and takes a sample when one is due.
    pub(super) fn step(&mut self, sample: impl FnOnce() -> BenchSample) {
        const STEP: Duration = Duration::from_millis(5);
        thread::sleep(STEP);
        let last = self.samples.last().copied().unwrap_or_default();
        let now = sample();
        if now.time.saturating_sub(last.time) < self.interval {
            return;
        }
        let seconds = (now.time - last.time).as_secs_f64();
        let rate = |now: u64, last: u64| (now.saturating_sub(last) as f64 / seconds).round();
        self.progress.set_message(format!(
            "{} published/s, {} received/s, {} in the queue or on their way",
            rate(now.published, last.published),
            rate(now.received, last.received),
            now.published.saturating_sub(now.received)
        ));
        self.progress.tick();
        self.samples.push(now);
        if self.samples.len() > 2 * SAMPLES {
            let mut is_kept = false;
            self.samples.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.interval *= 2;
        }
    }

    /// Removes the progress, and returns the samples with a last one.
    pub(super) fn end(mut self, now: BenchSample) -> Vec<BenchSample> {
        self.progress.finish_and_clear();
        let last = self.samples.last().copied().unwrap_or_default();
        if self.samples.len() < 2 || now.time.saturating_sub(last.time) > self.interval / 2 {
            self.samples.push(now);
        }
        self.samples
    }
}
