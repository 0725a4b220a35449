//! The slot in which the one call of a channel waits for its answer.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

use carrot_core::backend::QueueInfo;

use super::arrived::Arrived;
use crate::connection::calls::{Call, MethodId};
use crate::sync::{lock, wait_while};

/// The answer of the broker to a call.
#[derive(Debug)]
pub(crate) enum Reply {
    Done,
    Queue(QueueInfo),
    /// A number of messages.
    Count(u32),
    Got(Option<Box<Arrived>>),
}

/// The reason why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoReply {
    Late,
    /// The channel has failed.
    Failed,
}

/// Admits one call at a time.
#[derive(Default)]
pub(crate) struct CallSlot {
    state: Mutex<SlotState>,
    changed: Condvar,
}

#[derive(Default)]
struct SlotState {
    /// The call in flight, until it is answered.
    awaited: Option<Call>,
    is_taken: bool,
    reply: Option<Reply>,
    /// Whether the channel has failed.
    has_failed: bool,
    /// Whether the broker knows that the channel is closed.
    is_closed: bool,
}

impl CallSlot {
    /// Waits while `is_busy` holds. Returns `None` if `deadline` passes first.
    fn wait_while(
        &self,
        deadline: Instant,
        is_busy: impl Fn(&SlotState) -> bool,
    ) -> Option<MutexGuard<'_, SlotState>> {
        wait_while(&self.changed, lock(&self.state), deadline, is_busy)
    }

    /// Takes the slot, after the calls before. Dropping the turn frees the slot.
    pub(crate) fn take(&self, call: Call, deadline: Instant) -> Result<CallTurn<'_>, NoReply> {
        let is_busy = |state: &SlotState| state.is_taken && !state.has_failed;
        let mut state = self.wait_while(deadline, is_busy).ok_or(NoReply::Late)?;
        if state.has_failed {
            return Err(NoReply::Failed);
        }
        state.is_taken = true;
        state.awaited = Some(call);
        state.reply = None;
        Ok(CallTurn(self))
    }

    /// Returns whether the call in flight waits for this method.
    pub(crate) fn expects(&self, method: MethodId) -> bool {
        lock(&self.state).awaited.is_some_and(|call| call.last_answers.contains(&method))
    }

    /// Returns whether the call in flight waits for this method before its last answer.
    pub(crate) fn expects_first(&self, method: MethodId) -> bool {
        lock(&self.state).awaited.is_some_and(|call| call.first_answers.contains(&method))
    }

    /// Answers the call in flight. Returns whether there is one.
    pub(crate) fn answer(&self, reply: Reply) -> bool {
        let mut state = lock(&self.state);
        let is_awaited = state.awaited.take().is_some();
        if is_awaited {
            state.reply = Some(reply);
            drop(state);
            self.changed.notify_all();
        }
        is_awaited
    }

    /// Ends the call in flight, and all later ones.
    pub(crate) fn fail(&self) {
        let mut state = lock(&self.state);
        state.has_failed = true;
        state.awaited = None;
        drop(state);
        self.changed.notify_all();
    }

    /// Notes that the broker has closed the channel, or has lost it.
    pub(crate) fn closed(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        drop(state);
        self.changed.notify_all();
    }

    /// Returns whether the broker has closed the channel.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).is_closed
    }

    /// Waits until the broker has closed the channel. Returns false if `deadline` passes first.
    pub(crate) fn wait_until_closed(&self, deadline: Instant) -> bool {
        self.wait_while(deadline, |state| !state.is_closed).is_some()
    }
}

/// The right to make a call.
pub(crate) struct CallTurn<'a>(&'a CallSlot);

impl SlotState {
    fn is_calling(&self) -> bool {
        self.reply.is_none() && !self.has_failed
    }
}

impl CallTurn<'_> {
    /// Returns whether the call has ended.
    pub(crate) fn has_ended(&self) -> bool {
        !lock(&self.0.state).is_calling()
    }

    /// Waits for the answer.
    pub(crate) fn wait(&self, deadline: Instant) -> Result<Reply, NoReply> {
        let waited = self.0.wait_while(deadline, SlotState::is_calling);
        let mut state = waited.ok_or(NoReply::Late)?;
        state.reply.take().ok_or(NoReply::Failed)
    }
}

impl Drop for CallTurn<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.is_taken = false;
        state.awaited = None;
        state.reply = None;
        drop(state);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::connection::calls::OPEN_CHANNEL;

    fn after(milliseconds: u64) -> Instant {
        Instant::now() + Duration::from_millis(milliseconds)
    }

    #[test]
    fn calls_are_admitted_one_at_a_time_and_answered_once() {
        let slot = CallSlot::default();
        let turn = slot.take(OPEN_CHANNEL, after(10)).unwrap();
        assert_eq!(slot.take(OPEN_CHANNEL, after(10)).map(drop), Err(NoReply::Late));
        assert!(slot.expects((20, 11)) && !slot.expects((50, 11)));
        slot.answer(Reply::Count(7));
        slot.answer(Reply::Done);
        assert!(matches!(turn.wait(after(10)), Ok(Reply::Count(7))));
        thread::scope(|scope| {
            let next = scope.spawn(|| slot.take(OPEN_CHANNEL, after(10_000)).map(drop));
            drop(turn);
            assert!(next.join().unwrap().is_ok());
        });
    }

    #[test]
    fn a_failure_ends_the_call_in_flight_and_later_ones() {
        let slot = CallSlot::default();
        let turn = slot.take(OPEN_CHANNEL, after(10)).unwrap();
        assert_eq!(turn.wait(after(10)).unwrap_err(), NoReply::Late);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| turn.wait(after(10_000)).map(drop));
            slot.fail();
            assert_eq!(waiting.join().unwrap(), Err(NoReply::Failed));
        });
        assert_eq!(slot.take(OPEN_CHANNEL, after(10_000)).map(drop), Err(NoReply::Failed));
        assert!(!slot.wait_until_closed(after(10)));
        slot.closed();
        assert!(slot.wait_until_closed(after(10)));
    }
}
