use std::time::{Duration, Instant};

/// The times at which a connection shows that it lives. Other messages do not delay one: a peer
/// that only receives has nothing else to answer.
#[derive(Debug)]
pub struct IntervalTimer {
    interval: Option<Duration>,
    next: Option<Instant>,
}

impl IntervalTimer {
    /// Begins the first interval; `None` for none.
    pub fn new(interval: Option<Duration>) -> IntervalTimer {
        let next = interval.and_then(|pause| Instant::now().checked_add(pause));
        IntervalTimer { interval, next }
    }

    /// Begins an interval of at most `pause`, unless the current one ends before.
    pub fn hasten(&mut self, pause: Duration) {
        let soon = Instant::now().checked_add(pause);
        self.next = [self.next, soon].into_iter().flatten().min();
    }

    /// Returns the time until the end of the interval; `None` for none.
    pub fn left(&self) -> Option<Duration> {
        self.next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// Returns whether the interval has ended, and begins the next one then.
    pub fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.next.is_some_and(|next| next <= now);
        if is_due {
            self.next = self.interval.and_then(|pause| now.checked_add(pause));
        }
        is_due
    }
}
