//! The limits of a publisher's messages in flight.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::deadline::FOREVER;
use crate::error::{Error, Result};
use crate::publisher::in_flight::InFlight;
use crate::recovery::wait_queue::{FairQueue, Ticket};
use crate::statistics::PublishingSum;

/// Limits the number of messages and bytes in flight.
pub(crate) struct Window {
    max_messages: usize,
    max_bytes: usize,
    state: Mutex<WindowState>,
    left: Condvar,
    /// The threads that wait for room. Only the first of them makes room.
    pub(crate) waiting: FairQueue,
}

#[derive(Default)]
struct WindowState {
    bytes: usize,
    sequence: u64,
    messages: BTreeMap<u64, Arc<InFlight>>,
    /// The number of messages that have left.
    departures: u64,
    /// Those among them that were not confirmed.
    failures: FailureCounts,
    /// The deadline and the timeout of the message that was confirmed last.
    last_confirmed: Option<(Instant, Duration)>,
    /// The number of threads that wait for a message to leave.
    awaiting_departure: usize,
}

/// The messages that left the window unconfirmed.
#[derive(Debug, Default)]
struct FailureCounts {
    returned: u64,
    refused: u64,
    failed: u64,
}

/// The way in which a message failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublishFailure {
    Returned,
    Refused,
    Failed,
}

impl PublishFailure {
    /// Returns the failure, if `outcome` is one.
    pub(crate) fn of(outcome: &Result<()>) -> Option<PublishFailure> {
        match outcome {
            Ok(()) => None,
            Err(Error::Unroutable { .. }) => Some(PublishFailure::Returned),
            Err(Error::Refused) => Some(PublishFailure::Refused),
            Err(_) => Some(PublishFailure::Failed),
        }
    }
}

/// The reason why there is no room.
#[derive(Debug)]
pub(crate) struct WindowFull {
    pub(crate) oldest: Arc<InFlight>,
    departures: u64,
}

impl Window {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Window {
        Window {
            max_messages,
            max_bytes,
            state: Mutex::default(),
            left: Condvar::new(),
            waiting: FairQueue::default(),
        }
    }

    /// Adds a message with a body of `bytes` bytes, if there is room and no thread waits for room.
    /// `message` builds it from its position in publish order.
    pub(crate) fn enter(
        &self,
        bytes: usize,
        message: impl FnOnce(u64) -> InFlight,
    ) -> Option<Arc<InFlight>> {
        if !self.waiting.is_empty() {
            return None;
        }
        self.admit(bytes, message).ok()
    }

    /// Adds a message as [`enter`](Window::enter) does, for the thread whose ticket is first. Fails
    /// with the oldest message in flight if there is no room. One message always fits.
    pub(crate) fn enter_with_ticket(
        &self,
        _turn: &Ticket<'_>,
        bytes: usize,
        message: impl FnOnce(u64) -> InFlight,
    ) -> Result<Arc<InFlight>, WindowFull> {
        self.admit(bytes, message)
    }

    fn admit(
        &self,
        bytes: usize,
        message: impl FnOnce(u64) -> InFlight,
    ) -> Result<Arc<InFlight>, WindowFull> {
        let mut state = self.lock();
        let fits = state.messages.len() < self.max_messages
            && state.bytes.saturating_add(bytes) <= self.max_bytes;
        if let Some((_, oldest)) = state.messages.first_key_value()
            && !fits
        {
            return Err(WindowFull { oldest: Arc::clone(oldest), departures: state.departures });
        }
        state.bytes += bytes;
        state.sequence += 1;
        let message = Arc::new(message(state.sequence));
        state.messages.insert(message.sequence, Arc::clone(&message));
        Ok(message)
    }

    /// Removes a message, which makes room. Counts its outcome.
    pub(crate) fn leave(&self, message: &InFlight, failure: Option<PublishFailure>) {
        let mut state = self.lock();
        if state.messages.remove(&message.sequence).is_some() {
            state.bytes -= message.content.body.len();
            state.departures += 1;
            match failure {
                None => state.last_confirmed = Some((message.deadline, message.timeout)),
                Some(PublishFailure::Returned) => state.failures.returned += 1,
                Some(PublishFailure::Refused) => state.failures.refused += 1,
                Some(PublishFailure::Failed) => state.failures.failed += 1,
            }
            let is_awaited = state.awaiting_departure > 0;
            drop(state);
            if is_awaited {
                self.left.notify_all();
            }
        }
    }

    /// Waits until a message has left after `since` was returned, at most until `until`.
    pub(crate) fn wait_for_departure(&self, since: &WindowFull, until: Instant) {
        let mut state = self.lock();
        while state.departures == since.departures {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state.awaiting_departure += 1;
            state = self.left.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.awaiting_departure -= 1;
        }
    }

    /// Adds the numbers of messages, which all belong to the same moment.
    pub(crate) fn add_to(&self, sum: &mut PublishingSum) {
        let state = self.lock();
        let FailureCounts { returned, refused, failed } = state.failures;
        let statistics = &mut sum.statistics;
        statistics.published += state.sequence;
        statistics.confirmed += state.departures - returned - refused - failed;
        statistics.returned += returned;
        statistics.refused += refused;
        statistics.failed += failed;
        statistics.in_flight += state.messages.len() as u64;
        statistics.bytes_in_flight += state.bytes as u64;
        // No clock is read for a confirm: the deadline shows when the message was sent.
        let sent = state
            .last_confirmed
            .and_then(|(deadline, timeout)| deadline.checked_sub(timeout.min(FOREVER)));
        sum.last_confirmed = sum.last_confirmed.max(sent);
    }

    /// Returns the oldest message in flight.
    pub(crate) fn oldest(&self) -> Option<Arc<InFlight>> {
        self.lock().messages.first_key_value().map(|(_, oldest)| Arc::clone(oldest))
    }

    /// Returns every message in flight, oldest first.
    pub(crate) fn messages(&self) -> Vec<Arc<InFlight>> {
        self.lock().messages.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, WindowState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Displays the numbers only: a window can hold thousands of messages.
impl fmt::Debug for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let (messages, bytes) = (state.messages.len(), state.bytes);
        drop(state);
        formatter
            .debug_struct("Window")
            .field("messages", &messages)
            .field("bytes", &bytes)
            .field("max_messages", &self.max_messages)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}
