//! The replies to one channel, and the calls that wait for them.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Delivery, Subscription};
use crate::deadline;
use crate::error::{Error, Result};
use crate::escaping::Printable;
use crate::model::ShortString;

/// The longest identifier in a log line, in bytes.
const LONGEST_ID: usize = 60;

/// The replies to one channel.
#[derive(Debug)]
pub(super) struct Replies {
    subscription: Box<dyn Subscription>,
    /// The address that requests carry.
    pub(super) address: ShortString,
    state: Mutex<RepliesState>,
}

#[derive(Debug, Default)]
struct RepliesState {
    /// The calls without an answer, by correlation id.
    calls: HashMap<ShortString, Arc<PendingCall>>,
    /// The number of calls without a confirm.
    unconfirmed: usize,
    /// Whether a thread receives.
    receiving: bool,
    /// The reason why no reply arrives any more.
    ended: Option<Error>,
    /// The number of calls without a confirm when the channel was refused.
    suspects: Option<usize>,
    /// The number of replies without a call.
    dropped: u64,
}

/// The end of receiving.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// No call waits, and no reply has arrived for a while.
    Idle,
    /// The channel was lost.
    Lost,
}

impl Replies {
    pub(super) fn new(subscription: Box<dyn Subscription>, address: ShortString) -> Replies {
        Replies { subscription, address, state: Mutex::default() }
    }

    /// Adds a call that waits for the reply with this correlation id.
    ///
    /// # Errors
    /// The reason why no reply arrives any more.
    pub(super) fn register(&self, id: &ShortString) -> Result<WaitingCall<'_>> {
        let call = Arc::<PendingCall>::default();
        let mut state = self.lock();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        state.calls.insert(id.clone(), Arc::clone(&call));
        state.unconfirmed += 1;
        Ok(WaitingCall { replies: self, id: id.clone(), call, is_unconfirmed: true })
    }

    /// Returns whether no thread receives. The calling thread has to start one, or to call
    /// [`not_receiving`](Replies::not_receiving).
    pub(super) fn needs_receiver(&self) -> bool {
        !std::mem::replace(&mut self.lock().receiving, true)
    }

    /// Records that no thread could be started.
    pub(super) fn not_receiving(&self) {
        self.lock().receiving = false;
    }

    /// Passes replies to their calls, until the channel is lost, or until no call has waited and no
    /// reply has arrived for `idle`.
    ///
    /// Blocks until then.
    pub(super) fn receive(&self, idle: Duration) -> Received {
        loop {
            match self.subscription.next(idle) {
                Ok(Some(reply)) => self.pass_on(reply),
                Ok(None) => {
                    if self.end_if_unused() {
                        return Received::Idle;
                    }
                }
                Err(error) => {
                    self.end(&error);
                    return Received::Lost;
                }
            }
        }
    }

    fn pass_on(&self, reply: Delivery) {
        let properties = &reply.content.properties;
        let mut state = self.lock();
        if let [_, _, Some(id), ..] = properties.short_strings()
            && let Some(call) = state.calls.remove(id)
        {
            drop(state);
            return call.end(Ok(reply));
        }
        state.dropped += 1;
        let dropped = state.dropped;
        drop(state);
        log::debug!(
            "dropping a reply to no waiting call: correlation_id={:?} body_bytes={} dropped={dropped}",
            properties.correlation_id().map(|id| Printable::new(LONGEST_ID, id).to_string()),
            reply.content.body.len(),
        );
    }

    /// Refuses later calls if no call waits. Returns whether that was so.
    fn end_if_unused(&self) -> bool {
        let mut state = self.lock();
        let is_unused = state.calls.is_empty() && state.unconfirmed == 0;
        if is_unused {
            state.ended = Some(Error::closed("idle channel of a caller"));
        }
        is_unused
    }

    fn end(&self, error: &Error) {
        let mut state = self.lock();
        state.ended = Some(error.clone());
        let calls = std::mem::take(&mut state.calls);
        drop(state);
        calls.into_values().for_each(|call| call.end(Err(error.clone())));
    }

    fn lock(&self) -> MutexGuard<'_, RepliesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call without an answer.
#[derive(Debug, Default)]
struct PendingCall {
    answer: Mutex<Option<Result<Delivery>>>,
    changed: Condvar,
}

impl PendingCall {
    fn end(&self, answer: Result<Delivery>) {
        self.lock().get_or_insert(answer);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Result<Delivery>>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call of this thread. Later replies to it are dropped once it is dropped.
#[derive(Debug)]
pub(super) struct WaitingCall<'a> {
    replies: &'a Replies,
    id: ShortString,
    call: Arc<PendingCall>,
    is_unconfirmed: bool,
}

impl WaitingCall<'_> {
    /// Records that the broker has confirmed the request.
    pub(super) fn confirmed(&mut self) {
        if std::mem::take(&mut self.is_unconfirmed) {
            self.replies.lock().unconfirmed -= 1;
        }
    }

    pub(super) fn is_unconfirmed(&self) -> bool {
        self.is_unconfirmed
    }

    /// Returns whether the request is the only one that the broker can have refused when it closed
    /// the channel.
    pub(super) fn is_only_suspect(&self) -> bool {
        let mut state = self.replies.lock();
        let unconfirmed = state.unconfirmed;
        *state.suspects.get_or_insert(unconfirmed) == 1
    }

    /// Waits for the answer; `None` if none has arrived by `until`.
    ///
    /// # Errors
    /// The error of the channel, which was lost.
    pub(super) fn wait(&self, until: Instant) -> Option<Result<Delivery>> {
        let mut answer = self.call.lock();
        loop {
            if let Some(answer) = answer.take() {
                return Some(answer);
            }
            let left = deadline::left(until);
            if left.is_zero() {
                return None;
            }
            answer = self
                .call
                .changed
                .wait_timeout(answer, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        self.confirmed();
        self.replies.lock().calls.remove(&self.id);
    }
}

#[cfg(test)]
#[path = "replies_tests.rs"]
mod tests;
