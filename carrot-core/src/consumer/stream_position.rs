use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Delivery, Subscription};
use crate::consumer::stream_offset;
use crate::deadline;
use crate::error::Result;

/// The offsets that a run has received from its stream, and which of them are settled.
///
/// One thread at a time receives. An offset is therefore recorded before any later one.
#[derive(Debug, Default)]
pub(crate) struct StreamPosition {
    state: Mutex<PositionState>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct PositionState {
    receiving: bool,
    /// The lowest offset that was never received.
    next: Option<u64>,
    /// The received offsets that are not settled.
    unsettled: BTreeSet<u64>,
}

/// The right to receive, which one thread has at a time.
struct ReceiveTurn<'a>(&'a StreamPosition);

impl Drop for ReceiveTurn<'_> {
    fn drop(&mut self) {
        self.0.lock().receiving = false;
        self.0.free.notify_one();
    }
}

impl StreamPosition {
    /// Returns the next delivery, as [`Subscription::next`] does, and records its offset.
    pub(crate) fn receive(
        &self,
        subscription: &dyn Subscription,
        timeout: Duration,
    ) -> Result<Option<Delivery>> {
        let deadline = deadline::after(timeout);
        let Some(_turn) = self.wait_for_turn(deadline) else { return Ok(None) };
        let received = subscription.next(deadline.saturating_duration_since(Instant::now()))?;
        if let Some(offset) =
            received.as_ref().and_then(|delivery| stream_offset::of(&delivery.content.properties))
        {
            self.record(offset);
        }
        Ok(received)
    }

    fn wait_for_turn(&self, deadline: Instant) -> Option<ReceiveTurn<'_>> {
        let mut state = self.lock();
        while state.receiving {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.free.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.receiving = true;
        Some(ReceiveTurn(self))
    }

    fn record(&self, offset: u64) {
        let mut state = self.lock();
        if state.next.is_none_or(|next| offset >= next) {
            state.next = Some(offset.saturating_add(1));
            state.unsettled.insert(offset);
        }
    }

    /// Returns whether the message at a received offset is not settled.
    pub(crate) fn is_open(&self, offset: u64) -> bool {
        self.lock().unsettled.contains(&offset)
    }

    /// Records that the program has settled the message at an offset.
    pub(crate) fn settle(&self, offset: u64) {
        self.lock().unsettled.remove(&offset);
    }

    /// Returns the offset at which the next subscription starts: that of the first message that is
    /// not settled. `None` if nothing was received.
    pub(crate) fn resume(&self) -> Option<u64> {
        let state = self.lock();
        state.unsettled.first().copied().or(state.next)
    }

    fn lock(&self) -> MutexGuard<'_, PositionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(offsets: impl IntoIterator<Item = u64>) -> StreamPosition {
        let position = StreamPosition::default();
        offsets.into_iter().for_each(|offset| position.record(offset));
        position
    }

    #[test]
    fn position_resumes_at_the_first_unsettled_offset() {
        assert_eq!(StreamPosition::default().resume(), None);
        let position = received(10..14);
        assert_eq!(position.resume(), Some(10));
        [10, 12].into_iter().for_each(|offset| position.settle(offset));
        assert_eq!(position.resume(), Some(11));
        [11, 13].into_iter().for_each(|offset| position.settle(offset));
        assert_eq!(position.resume(), Some(14));
    }

    #[test]
    fn redelivered_offset_is_open_unless_it_was_settled() {
        let position = received(10..14);
        [10, 12].into_iter().for_each(|offset| position.settle(offset));
        (11..15).for_each(|offset| position.record(offset));
        assert_eq!(
            [11, 12, 13, 14].map(|offset| position.is_open(offset)),
            [true, false, true, true]
        );
    }
}
