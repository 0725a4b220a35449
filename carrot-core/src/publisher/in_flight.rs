//! Messages that a publisher has sent and the broker has not yet confirmed.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Backend, Content, Outcome, Publication, PublishTag};
use crate::error::{Error, Result, Returned};
use crate::publish_layer::layer::PublishLayers;
use crate::publish_layer::passed_layers::{CallTime, PassedLayers};
use crate::publisher::delayed::Delayed;

/// One message until the outcome is known. The first thread that waits for the outcome asks the
/// broker; others wait for that thread.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) content: Arc<Content>,
    pub(crate) mandatory: bool,
    pub(crate) deadline: Instant,
    pub(crate) timeout: Duration,
    /// The position of the message in publish order.
    pub(crate) sequence: u64,
    /// Whether layers of the publisher see the outcome.
    has_layers: bool,
    /// The delay of the message, if any.
    delayed: Option<Box<Delayed>>,
    state: Mutex<InFlightState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct InFlightState {
    /// The channel and the tag of the last publishing.
    attempt: Option<Attempt>,
    /// Whether a channel in the nack grace refused the message. The message must then be sent
    /// again.
    refused: bool,
    /// Whether a thread waits for the broker's confirm.
    asking: bool,
    /// The number of threads that wait for a change. Without any, the system call that wakes is
    /// saved.
    waiting: usize,
    /// Whether the message may have caused the loss of a channel. A suspect is sent again alone.
    suspect: bool,
    /// The number of hard closes of the connection that the message was in flight on.
    hard_closes: u32,
    /// Whether the loss of the last channel is counted.
    counted: bool,
    /// The layers that have not seen the outcome.
    passed: Option<PassedLayers>,
    /// Whether the layers see the outcome now. No other outcome is possible.
    decided: bool,
    outcome: Option<Result<()>>,
    /// Whether the outcome was returned to a caller, or does not have to be.
    reported: bool,
    /// Whether the confirmation was dropped. A failure is then reported by the next flush.
    abandoned: bool,
}

/// One publishing of a message: the channel and the tag of the confirm.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) channel: Arc<dyn Backend>,
    pub(crate) tag: PublishTag,
}

impl Attempt {
    fn is(&self, other: &Attempt) -> bool {
        Arc::ptr_eq(&self.channel, &other.channel) && self.tag == other.tag
    }
}

impl InFlight {
    pub(crate) fn new(
        content: Arc<Content>,
        mandatory: bool,
        timeout: Duration,
        deadline: Instant,
        sequence: u64,
        passed: Option<PassedLayers>,
    ) -> InFlight {
        InFlight {
            content,
            mandatory,
            timeout,
            deadline,
            sequence,
            has_layers: passed.is_some(),
            delayed: None,
            state: Mutex::new(InFlightState { passed, ..InFlightState::default() }),
            changed: Condvar::new(),
        }
    }

    /// Delays the message, if it has a delay.
    pub(crate) fn with_delay(mut self, delayed: Option<&Delayed>) -> InFlight {
        self.delayed = delayed.cloned().map(Box::new);
        self
    }

    /// Ensures that the waiting queues of a delayed message exist before it is published.
    pub(crate) fn declare_again(&self, until: Instant) -> Result<()> {
        match &self.delayed {
            None => Ok(()),
            Some(delayed) => delayed.declare_again(until),
        }
    }

    /// Returns the message, which was validated before it was in flight.
    pub(crate) fn publication(&self) -> Publication<'_> {
        match &self.delayed {
            None => {
                Publication::new(&self.content).with_mandatory(self.mandatory).already_validated()
            }
            Some(delayed) => delayed.publication(&self.content),
        }
    }

    pub(crate) fn is_resolved(&self) -> bool {
        self.lock().outcome.is_some()
    }

    /// Returns whether the outcome is recorded, or shown to the layers before it is.
    pub(crate) fn is_decided(&self) -> bool {
        let state = self.lock();
        state.decided || state.outcome.is_some()
    }

    /// Shows the outcome to the layers, without a lock. Returns false if another outcome was
    /// decided before. Must be called before [`resolve`](InFlight::resolve).
    pub(crate) fn decide(&self, outcome: &Result<()>, layers: &PublishLayers) -> bool {
        if !self.has_layers {
            return true;
        }
        let mut state = self.lock();
        if state.decided || state.outcome.is_some() {
            return false;
        }
        state.decided = true;
        // No thread sends the message again meanwhile.
        state.attempt = None;
        state.refused = false;
        let passed = state.passed.take();
        drop(state);
        if let Some(passed) = passed {
            let time = CallTime { deadline: self.deadline, timeout: self.timeout };
            passed.observe(layers, &self.content, outcome, true, time);
        }
        true
    }

    pub(crate) fn sent(&self, attempt: Attempt) {
        let mut state = self.lock();
        state.attempt = Some(attempt);
        state.refused = false;
        state.counted = false;
        self.unlock_and_wake(state);
    }

    /// Marks the message as a suspect of the loss of `channel`, if `channel` published the message
    /// last. Counts each loss once.
    pub(crate) fn suspect(&self, channel: &Arc<dyn Backend>, error: &Error) {
        let mut state = self.lock();
        let is_there =
            state.attempt.as_ref().is_some_and(|attempt| Arc::ptr_eq(&attempt.channel, channel));
        // The cause of a hard error is one message, which is known.
        if is_there && !state.counted && !matches!(error, Error::HardError { .. }) {
            state.counted = true;
            state.suspect = true;
            state.hard_closes += u32::from(error.hard_close().is_some());
        }
    }

    /// Removes the suspicion.
    pub(crate) fn clear_suspicion(&self) {
        self.lock().suspect = false;
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.lock().suspect
    }

    /// Returns the number of hard closes of the connection that the message was in flight on.
    pub(crate) fn hard_closes(&self) -> u32 {
        self.lock().hard_closes
    }

    /// Returns the tag on the channel that published the message last.
    pub(crate) fn tag(&self) -> Option<PublishTag> {
        self.lock().attempt.as_ref().map(|attempt| attempt.tag)
    }

    /// Returns the outcome, if known. Does not count as a report.
    pub(crate) fn known(&self) -> Option<Result<()>> {
        self.lock().outcome.clone()
    }

    /// Fails if `left` is zero because the layers of the message took all the time.
    pub(crate) fn check_layers_in_time(&self, left: Duration) -> Result<()> {
        if self.has_layers && left.is_zero() {
            return Err(late_layers(self.timeout));
        }
        Ok(())
    }

    /// Returns the time until the deadline.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Returns whether a channel other than `channel` published the message last, and no valid
    /// answer arrived.
    pub(crate) fn is_elsewhere_than(&self, channel: &Arc<dyn Backend>) -> bool {
        let state = self.lock();
        state.refused
            || state.attempt.as_ref().is_some_and(|attempt| !Arc::ptr_eq(&attempt.channel, channel))
    }

    /// Returns whether a channel in the nack grace refused the message, and the message was not
    /// sent again.
    pub(crate) fn is_refused(&self) -> bool {
        self.lock().refused
    }

    /// Returns whether another thread sends the message, or waits for the outcome.
    pub(crate) fn is_attended(&self) -> bool {
        let state = self.lock();
        state.outcome.is_none() && !state.refused && (state.asking || state.attempt.is_none())
    }

    /// Returns whether `channel` published the message last, and no answer arrived.
    pub(crate) fn is_on(&self, channel: &Arc<dyn Backend>) -> bool {
        self.lock().attempt.as_ref().is_some_and(|attempt| Arc::ptr_eq(&attempt.channel, channel))
    }

    /// Records the outcome, unless one is recorded. Calls `first` before other threads can see the
    /// outcome. `first` receives the failure if the confirmation was dropped.
    pub(crate) fn resolve(&self, outcome: Result<()>, first: impl FnOnce(Option<&Error>)) {
        if let Some(delayed) = &self.delayed {
            delayed.note(&outcome);
        }
        let mut state = self.lock();
        if state.outcome.is_some() {
            return;
        }
        first(outcome.as_ref().err().filter(|_| state.abandoned));
        state.reported = state.abandoned;
        state.outcome = Some(outcome);
        state.attempt = None;
        self.unlock_and_wake(state);
    }

    /// Waits for the outcome, at most until `until`. Returns the answer of the broker or of the
    /// channel, without recording it. The caller decides whether the answer is final, and calls
    /// [`resolve`](InFlight::resolve) or [`sent`](InFlight::sent). A nack is not final while
    /// `in_grace` returns true.
    pub(crate) fn ask(&self, until: Instant, in_grace: impl Fn() -> bool) -> BrokerAnswer {
        loop {
            let attempt = match self.become_asker(until) {
                Ok(attempt) => attempt,
                Err(answer) => return answer,
            };
            let left = until.saturating_duration_since(Instant::now());
            let error = match attempt.channel.confirm(attempt.tag, left) {
                Ok(Outcome::Refused) => match self.refused(attempt, in_grace()) {
                    Some(answer) => return answer,
                    None => continue,
                },
                Ok(outcome) => {
                    return BrokerAnswer::Final(attempt.channel, self.result_of(outcome));
                }
                Err(error) => error,
            };
            let mut state = self.lock();
            state.asking = false;
            let sent_again = state.attempt.as_ref().is_none_or(|current| !current.is(&attempt));
            self.unlock_and_wake(state);
            match error {
                Error::Timeout { .. } => return BrokerAnswer::None,
                Error::Blocked { .. } => return BrokerAnswer::Blocked(error),
                _ if sent_again => {}
                error => return BrokerAnswer::Lost(attempt, error),
            }
        }
    }

    /// Returns the meaning of a nack; `None` if the message was sent again meanwhile.
    fn refused(&self, attempt: Attempt, in_grace: bool) -> Option<BrokerAnswer> {
        let mut state = self.lock();
        if state.attempt.as_ref().is_some_and(|current| current.is(&attempt)) {
            state.attempt = None;
            if !in_grace {
                return Some(BrokerAnswer::Final(attempt.channel, Err(Error::Refused)));
            }
            state.refused = true;
        }
        state.asking = false;
        let answer = state.refused.then_some(BrokerAnswer::Refused(Some(attempt.channel)));
        self.unlock_and_wake(state);
        answer
    }

    /// Waits until no other thread asks the broker. The calling thread then does.
    fn become_asker(&self, until: Instant) -> Result<Attempt, BrokerAnswer> {
        let mut state = self.lock();
        loop {
            if let Some(outcome) = &state.outcome {
                return Err(BrokerAnswer::Known(outcome.clone()));
            }
            if state.refused {
                return Err(BrokerAnswer::Refused(None));
            }
            if let Some(attempt) = state.attempt.clone().filter(|_| !state.asking) {
                state.asking = true;
                return Ok(attempt);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(BrokerAnswer::None);
            }
            state.waiting += 1;
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
    }

    fn is_dropped_when_returned(&self) -> bool {
        self.delayed.as_ref().is_some_and(|delayed| delayed.may_return())
    }

    fn result_of(&self, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Accepted => Ok(()),
            Outcome::Refused => Err(Error::Refused),
            Outcome::Returned { .. } if !self.mandatory && self.is_dropped_when_returned() => {
                Ok(())
            }
            Outcome::Returned { code, text } => {
                let Content { exchange, routing_key, properties, body } = &*self.content;
                let returned =
                    Returned::new(code, text, exchange, routing_key, properties.message_id(), body);
                Err(Error::Unroutable { returned: Box::new(returned) })
            }
        }
    }

    /// Returns the outcome, if known, and marks it as reported.
    pub(crate) fn report(&self) -> Option<Result<()>> {
        let mut state = self.lock();
        state.reported |= state.outcome.is_some();
        state.outcome.clone()
    }

    /// Marks the confirmation as dropped. Returns the failure if the message failed without a
    /// report.
    pub(crate) fn abandon(&self) -> Result<()> {
        let mut state = self.lock();
        state.abandoned = true;
        if state.outcome.is_none() || std::mem::replace(&mut state.reported, true) {
            return Ok(());
        }
        state.outcome.clone().unwrap_or(Ok(()))
    }

    /// Releases the lock and wakes the threads that wait for a change.
    fn unlock_and_wake(&self, state: MutexGuard<'_, InFlightState>) {
        let has_waiters = state.waiting > 0;
        drop(state);
        if has_waiters {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, InFlightState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the error of a message whose layers took all the time.
#[cold]
pub(crate) fn late_layers(timeout: Duration) -> Error {
    Error::timeout("passing a message through its layers", timeout)
}

/// The result of asking for a message's outcome.
pub(crate) enum BrokerAnswer {
    /// The outcome was known already.
    Known(Result<()>),
    /// The broker answered on this channel. The calling thread has to record the outcome.
    Final(Arc<dyn Backend>, Result<()>),
    /// A channel in the nack grace refused the message: this one now, or an earlier one if `None`.
    /// The calling thread has to send the message again or to resolve the message.
    Refused(Option<Arc<dyn Backend>>),
    /// No answer arrived.
    None,
    /// No answer arrived because the broker has blocked publishing.
    Blocked(Error),
    /// The channel was lost, and no answer will arrive. The calling thread has to resolve the
    /// message or to send the message again.
    Lost(Attempt, Error),
}
