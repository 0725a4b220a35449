//! What a publisher has sent and the broker has not yet answered.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Backend, Content, Outcome, PublishTag};
use crate::{Error, Result, Returned};

/// One message until its fate is known. Whoever needs its fate first waits for the broker; the others wait for that thread.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) content: Arc<Content>,
    pub(crate) deadline: Instant,
    pub(crate) timeout: Duration,
    /// Its place in the order of sending.
    pub(crate) sequence: u64,
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inside {
    state: State,
    /// Whether the receipt is gone, so that a failure has to be told elsewhere.
    abandoned: bool,
}

/// Where a message was handed over, so that its answer can be asked for there.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) channel: Arc<dyn Backend>,
    pub(crate) tag: PublishTag,
}

#[derive(Debug)]
enum State {
    /// Not handed over yet.
    New,
    /// Handed over; nobody is asking.
    Sent(Attempt),
    /// Handed over; a thread is asking.
    Asking,
    /// Its fate is known. `reported` once somebody was told.
    Resolved { fate: Result<()>, reported: bool },
}

impl InFlight {
    pub(crate) fn new(content: Arc<Content>, timeout: Duration, deadline: Instant, sequence: u64) -> InFlight {
        let inside = Mutex::new(Inside { state: State::New, abandoned: false });
        InFlight { content, timeout, deadline, sequence, inside, changed: Condvar::new() }
    }

    pub(crate) fn is_resolved(&self) -> bool {
        matches!(self.lock().state, State::Resolved { .. })
    }

    pub(crate) fn sent(&self, attempt: Attempt) {
        let mut inside = self.lock();
        if !matches!(inside.state, State::Resolved { .. }) {
            inside.state = State::Sent(attempt);
        }
        drop(inside);
        self.changed.notify_all();
    }

    /// Settles its fate. `None` if it was settled before; else a failure that nobody is left to ask for.
    pub(crate) fn resolve(&self, fate: Result<()>) -> Option<Result<()>> {
        let mut inside = self.lock();
        if matches!(inside.state, State::Resolved { .. }) {
            return None;
        }
        let unclaimed = if inside.abandoned { fate.clone() } else { Ok(()) };
        inside.state = State::Resolved { fate, reported: inside.abandoned };
        drop(inside);
        self.changed.notify_all();
        Some(unclaimed)
    }

    /// Waits until `until` for its fate. Gives what the broker, or the channel, said; that is not recorded yet: the caller decides
    /// whether it is final and calls [`resolve`](InFlight::resolve) or [`sent`](InFlight::sent).
    pub(crate) fn ask(&self, until: Instant) -> Answer {
        let mut inside = self.lock();
        let attempt = loop {
            match std::mem::replace(&mut inside.state, State::Asking) {
                State::Sent(attempt) => break attempt,
                State::Resolved { fate, reported } => {
                    inside.state = State::Resolved { fate: fate.clone(), reported };
                    return Answer::Known(fate);
                }
                other @ (State::New | State::Asking) => inside.state = other,
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Answer::None;
            }
            inside = self.changed.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(inside);
        match attempt.channel.confirm(attempt.tag, until.saturating_duration_since(Instant::now())) {
            Ok(outcome) => Answer::Final(self.fate(outcome)),
            Err(Error::Timeout { .. }) => {
                self.sent(attempt);
                Answer::None
            }
            Err(error @ Error::Blocked { .. }) => {
                self.sent(attempt);
                Answer::Blocked(error)
            }
            Err(error) => Answer::Lost(attempt, error),
        }
    }

    fn fate(&self, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Accepted => Ok(()),
            Outcome::Refused => Err(Error::Refused),
            Outcome::Returned { code, text } => {
                let Content { exchange, routing_key, properties, body } = &*self.content;
                let returned = Returned::new(code, text, exchange, routing_key, properties.message_id(), body);
                Err(Error::Unroutable { returned: Box::new(returned) })
            }
        }
    }

    /// What became of it, if that is known; marks it as told.
    pub(crate) fn report(&self) -> Option<Result<()>> {
        match &mut self.lock().state {
            State::Resolved { fate, reported } => {
                *reported = true;
                Some(fate.clone())
            }
            _ => None,
        }
    }

    /// Says that its receipt is gone; gives its failure, if it failed and nobody was told.
    pub(crate) fn abandon(&self) -> Result<()> {
        let mut inside = self.lock();
        inside.abandoned = true;
        match &mut inside.state {
            State::Resolved { fate, reported: reported @ false } => {
                *reported = true;
                fate.clone()
            }
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What asking for a message's fate gave.
pub(crate) enum Answer {
    /// It was known already.
    Known(Result<()>),
    /// The broker has spoken; this thread has to record it.
    Final(Result<()>),
    /// No answer yet.
    None,
    /// No answer yet, since the broker has blocked publishing.
    Blocked(Error),
    /// The channel is gone, so no answer will come; this thread has to resolve the message, or to send it again.
    Lost(Attempt, Error),
}
