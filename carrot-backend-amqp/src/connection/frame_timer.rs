//! The time that one frame takes.

use std::time::{Duration, Instant};

/// The maximum time that one frame takes from its first octet to its last.
const FRAME_WITHIN: Duration = Duration::from_secs(5 * 60);

/// Measures the frame under way.
#[derive(Debug, Default)]
pub(crate) struct FrameTimer {
    /// The time since which a frame is incomplete.
    begun: Option<Instant>,
}

impl FrameTimer {
    /// Notes that octets have arrived. Returns false if the frame under way takes too long.
    pub(crate) fn arrived(&mut self, now: Instant) -> bool {
        let begun = *self.begun.get_or_insert(now);
        now.saturating_duration_since(begun) <= FRAME_WITHIN
    }

    /// Notes that this side has read nothing until now. Its time begins again.
    pub(crate) fn paused(&mut self, now: Instant) {
        self.begun = self.begun.map(|_| now);
    }

    /// Notes that a frame has ended.
    pub(crate) fn ended(&mut self) {
        self.begun = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_takes_its_time_and_no_more() {
        let mut timer = FrameTimer::default();
        let begun = Instant::now();
        assert!(timer.arrived(begun));
        assert!(timer.arrived(begun + FRAME_WITHIN));
        assert!(!timer.arrived(begun + FRAME_WITHIN + Duration::from_millis(1)));
    }

    #[test]
    fn pause_of_this_side_is_not_counted() {
        let mut timer = FrameTimer::default();
        let begun = Instant::now();
        assert!(timer.arrived(begun));
        timer.paused(begun + FRAME_WITHIN * 3);
        assert!(timer.arrived(begun + FRAME_WITHIN * 4));
        assert!(!timer.arrived(begun + FRAME_WITHIN * 5));
    }

    #[test]
    fn silence_between_frames_is_not_counted() {
        let mut timer = FrameTimer::default();
        let begun = Instant::now();
        assert!(timer.arrived(begun));
        timer.ended();
        assert!(timer.arrived(begun + FRAME_WITHIN * 3));
        assert!(timer.arrived(begun + FRAME_WITHIN * 4));
        assert!(!timer.arrived(begun + FRAME_WITHIN * 5));
    }
}
