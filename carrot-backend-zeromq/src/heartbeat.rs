//! When a PING is due, and when a peer is lost.

use std::time::{Duration, Instant};

/// The number of intervals without an octet after which a peer is lost.
const LOST_AFTER: u32 = 3;
/// A tenth of a second, the unit of the time that a PING names.
const TENTH: u128 = 100;

/// The interval of heartbeats of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat {
    interval: Option<Duration>,
}

impl Heartbeat {
    /// Creates the heartbeat of an interval; zero for none.
    pub(crate) fn every(interval: Duration) -> Heartbeat {
        Heartbeat { interval: (!interval.is_zero()).then_some(interval) }
    }

    /// Returns the time after which a silent peer is lost. It answers a PING of each interval.
    pub(crate) fn patience(self) -> Option<Duration> {
        self.interval.map(|interval| interval.saturating_mul(LOST_AFTER))
    }

    /// Returns the same time for a PING, in tenths of a second.
    pub(crate) fn ttl_tenths(self) -> u16 {
        let patience = self.patience().unwrap_or_default();
        u16::try_from(patience.as_millis() / TENTH).unwrap_or(u16::MAX)
    }
}

/// The times at which a connection sends a PING. Other messages do not delay one: a peer that only
/// receives has nothing else to answer.
#[derive(Debug)]
pub(crate) struct PingTimer {
    interval: Option<Duration>,
    next: Option<Instant>,
}

impl PingTimer {
    pub(crate) fn new(heartbeat: Heartbeat) -> PingTimer {
        let interval = heartbeat.interval;
        PingTimer { interval, next: interval.and_then(|pause| Instant::now().checked_add(pause)) }
    }

    /// Begins an interval of at most `pause`, unless the next PING is due before.
    pub(crate) fn hasten(&mut self, pause: Duration) {
        let soon = Instant::now().checked_add(pause);
        self.next = [self.next, soon].into_iter().flatten().min();
    }

    /// Returns the time until the next PING; `None` for none.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// Returns whether a PING is due, and begins the next interval then.
    pub(crate) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.next.is_some_and(|next| next <= now);
        if is_due {
            self.next = self.interval.and_then(|pause| now.checked_add(pause));
        }
        is_due
    }
}
