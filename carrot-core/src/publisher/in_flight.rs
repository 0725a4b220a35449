//! What a publisher has sent and the broker has not yet answered.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Backend, Content, Outcome, Publication, PublishTag};
use crate::error::{Error, Result, Returned};

/// One message until its fate is known. Whoever needs its fate first waits for the broker; the
/// others wait for that thread.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) content: Arc<Content>,
    pub(crate) mandatory: bool,
    pub(crate) deadline: Instant,
    pub(crate) timeout: Duration,
    /// Its place in the order of sending.
    pub(crate) sequence: u64,
    state: Mutex<InFlightState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct InFlightState {
    /// Where it was handed over last.
    attempt: Option<Attempt>,
    /// Whether a channel refused it that is not to be believed, so that it has to be sent again.
    refused: bool,
    /// Whether a thread is asking there.
    asking: bool,
    /// How many threads wait for a change. Waking nobody would take a system call.
    waiting: usize,
    /// Whether it may have caused the loss of a channel, so that it is to be sent again alone.
    suspect: bool,
    /// How many hard closes of the connection it was in flight on.
    hard_closes: u32,
    /// Whether the loss of the channel where it was handed over last counts already.
    counted: bool,
    fate: Option<Result<()>>,
    /// Whether somebody was told its fate, or need not be.
    reported: bool,
    /// Whether the receipt is gone, so that a failure has to be told elsewhere.
    abandoned: bool,
}

/// Where a message was handed over, so that its answer can be asked for there.
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
    ) -> InFlight {
        InFlight {
            content,
            mandatory,
            timeout,
            deadline,
            sequence,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn publication(&self) -> Publication<'_> {
        Publication { content: &self.content, mandatory: self.mandatory }
    }

    pub(crate) fn is_resolved(&self) -> bool {
        self.lock().fate.is_some()
    }

    pub(crate) fn sent(&self, attempt: Attempt) {
        let mut state = self.lock();
        state.attempt = Some(attempt);
        state.refused = false;
        state.counted = false;
        self.tell(state);
    }

    /// Makes it a suspect of the loss of `channel`, if it was handed over there last. Counts each
    /// loss once.
    pub(crate) fn suspect(&self, channel: &Arc<dyn Backend>, error: &Error) {
        let mut state = self.lock();
        let is_there =
            state.attempt.as_ref().is_some_and(|attempt| Arc::ptr_eq(&attempt.channel, channel));
        // A hard error is that of one message, which is known.
        if is_there && !state.counted && !matches!(error, Error::HardError { .. }) {
            state.counted = true;
            state.suspect = true;
            state.hard_closes += u32::from(error.hard_close().is_some());
        }
    }

    /// Makes it no suspect any more.
    pub(crate) fn clear_suspicion(&self) {
        self.lock().suspect = false;
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.lock().suspect
    }

    /// How many hard closes of the connection it was in flight on.
    pub(crate) fn hard_closes(&self) -> u32 {
        self.lock().hard_closes
    }

    /// Its tag on the channel where it was handed over last.
    pub(crate) fn tag(&self) -> Option<PublishTag> {
        self.lock().attempt.as_ref().map(|attempt| attempt.tag)
    }

    /// Its fate, if that is known; does not count as telling it.
    pub(crate) fn known(&self) -> Option<Result<()>> {
        self.lock().fate.clone()
    }

    /// How long there is until its deadline.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether it was handed over, but to a channel other than `channel`, and has no answer yet
    /// that counts.
    pub(crate) fn is_elsewhere_than(&self, channel: &Arc<dyn Backend>) -> bool {
        let state = self.lock();
        state.refused
            || state.attempt.as_ref().is_some_and(|attempt| !Arc::ptr_eq(&attempt.channel, channel))
    }

    /// Whether a channel refused it that is not to be believed, and it was not sent again since.
    pub(crate) fn is_refused(&self) -> bool {
        self.lock().refused
    }

    /// Whether another thread is sending it, or waits for its fate.
    pub(crate) fn is_seen_to(&self) -> bool {
        let state = self.lock();
        state.fate.is_none() && !state.refused && (state.asking || state.attempt.is_none())
    }

    /// Whether it was handed over to `channel` last, and has no answer yet.
    pub(crate) fn is_on(&self, channel: &Arc<dyn Backend>) -> bool {
        self.lock().attempt.as_ref().is_some_and(|attempt| Arc::ptr_eq(&attempt.channel, channel))
    }

    /// Settles its fate, unless it was settled before. Before anybody can see it, `first` is
    /// called, with the failure if nobody is left to ask for that.
    pub(crate) fn resolve(&self, fate: Result<()>, first: impl FnOnce(Option<&Error>)) {
        let mut state = self.lock();
        if state.fate.is_some() {
            return;
        }
        first(fate.as_ref().err().filter(|_| state.abandoned));
        state.reported = state.abandoned;
        state.fate = Some(fate);
        state.attempt = None;
        self.tell(state);
    }

    /// Waits until `until` for its fate. Gives what the broker, or the channel, said; that is not
    /// recorded yet: the caller decides whether it is final and calls
    /// [`resolve`](InFlight::resolve) or [`sent`](InFlight::sent). A refusal is not believed if
    /// `in_grace` says so.
    pub(crate) fn ask(&self, until: Instant, in_grace: impl Fn() -> bool) -> BrokerAnswer {
        loop {
            let attempt = match self.await_turn(until) {
                Ok(attempt) => attempt,
                Err(answer) => return answer,
            };
            let left = until.saturating_duration_since(Instant::now());
            let error = match attempt.channel.confirm(attempt.tag, left) {
                Ok(Outcome::Refused) => match self.refused(attempt, in_grace()) {
                    Some(answer) => return answer,
                    None => continue,
                },
                Ok(outcome) => return BrokerAnswer::Final(attempt.channel, self.fate(outcome)),
                Err(error) => error,
            };
            let mut state = self.lock();
            state.asking = false;
            let sent_again = state.attempt.as_ref().is_none_or(|current| !current.is(&attempt));
            self.tell(state);
            match error {
                Error::Timeout { .. } => return BrokerAnswer::None,
                Error::Blocked { .. } => return BrokerAnswer::Blocked(error),
                _ if sent_again => {}
                error => return BrokerAnswer::Lost(attempt, error),
            }
        }
    }

    /// What a refusal comes to: nothing if the message was sent again meanwhile.
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
        self.tell(state);
        answer
    }

    /// Waits until nobody else is asking; then this thread is.
    fn await_turn(&self, until: Instant) -> Result<Attempt, BrokerAnswer> {
        let mut state = self.lock();
        loop {
            if let Some(fate) = &state.fate {
                return Err(BrokerAnswer::Known(fate.clone()));
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

    fn fate(&self, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Accepted => Ok(()),
            Outcome::Refused => Err(Error::Refused),
            Outcome::Returned { code, text } => {
                let Content { exchange, routing_key, properties, body } = &*self.content;
                let returned =
                    Returned::new(code, text, exchange, routing_key, properties.message_id(), body);
                Err(Error::Unroutable { returned: Box::new(returned) })
            }
        }
    }

    /// What became of it, if that is known; marks it as told.
    pub(crate) fn report(&self) -> Option<Result<()>> {
        let mut state = self.lock();
        state.reported |= state.fate.is_some();
        state.fate.clone()
    }

    /// Says that its receipt is gone; gives its failure, if it failed and nobody was told.
    pub(crate) fn abandon(&self) -> Result<()> {
        let mut state = self.lock();
        state.abandoned = true;
        if state.fate.is_none() || std::mem::replace(&mut state.reported, true) {
            return Ok(());
        }
        state.fate.clone().unwrap_or(Ok(()))
    }

    /// Lets the others look at what this thread has changed.
    fn tell(&self, state: MutexGuard<'_, InFlightState>) {
        let somebody_waits = state.waiting > 0;
        drop(state);
        if somebody_waits {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, InFlightState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What asking for a message's fate gave.
pub(crate) enum BrokerAnswer {
    /// It was known already.
    Known(Result<()>),
    /// The broker has spoken, on this channel; this thread has to record it.
    Final(Arc<dyn Backend>, Result<()>),
    /// It was refused, now by this channel, or before; this thread has to send it again, or to
    /// resolve it.
    Refused(Option<Arc<dyn Backend>>),
    /// No answer yet.
    None,
    /// No answer yet, since the broker has blocked publishing.
    Blocked(Error),
    /// The channel is gone, so no answer will come; this thread has to resolve the message, or to
    /// send it again.
    Lost(Attempt, Error),
}
