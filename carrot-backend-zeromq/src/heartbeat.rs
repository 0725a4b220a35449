//! The interval of PINGs, and when a peer is lost.

use std::time::Duration;

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

    /// Returns the interval; `None` for none.
    pub(crate) fn interval(self) -> Option<Duration> {
        self.interval
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
