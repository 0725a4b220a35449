//! The broker's answers to publications, in wire order: multiple, out of order, and returns.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::Instant;

use carrot_core::backend::{Body, Content, Outcome};
use log::{debug, warn};

use super::arrived::MessageHead;
use super::ranges::Ranges;
use crate::connection::Confirm;
use crate::sync::lock;

/// The maximum number of refusals and returns that are kept without a caller that asks for them.
const KEPT: usize = 65_536;

/// The reason why [`Confirms::wait`] returned no outcome.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoOutcome {
    Late,
    /// The channel has ended, so no more outcomes arrive.
    ChannelEnded,
    /// The outcome was dropped, because no caller asked for it in time.
    Forgotten,
}

/// The answer to one message, as far as it is known.
#[derive(Debug)]
pub(crate) enum ConfirmStatus {
    /// The result of [`Confirms::wait`].
    Known(Result<Outcome, NoOutcome>),
    /// The number of messages without an answer, this one among them.
    Awaited(u64),
}

/// The confirms of one channel. The reader brings the answers, and wakes the threads that wait for
/// them.
#[derive(Debug)]
pub(crate) struct Confirms {
    is_confirming: bool,
    /// The last tag that was taken.
    issued: AtomicU64,
    state: Mutex<ConfirmState>,
}

#[derive(Debug, Default)]
struct ConfirmState {
    answers: Answers,
    /// The number of answered messages.
    answered: u64,
    has_ended: bool,
    waiting: HashMap<u64, Thread>,
}

impl ConfirmState {
    fn known(&mut self, tag: u64) -> Option<Result<Outcome, NoOutcome>> {
        let ended = self.has_ended.then_some(Err(NoOutcome::ChannelEnded));
        self.answers.take(tag).or(ended)
    }
}

impl Confirms {
    pub(crate) fn new(is_confirming: bool) -> Confirms {
        Confirms { is_confirming, issued: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Returns the tag of the next message. Keeps the message if the broker may return it. The
    /// caller sends the messages in the order of their tags.
    pub(crate) fn issue(&self, content: &Arc<Content>, mandatory: bool) -> u64 {
        let tag = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        if mandatory && self.is_confirming {
            lock(&self.state).answers.mandatory.push_back((tag, Arc::clone(content)));
        }
        tag
    }

    pub(crate) fn status(&self, tag: u64) -> ConfirmStatus {
        let mut state = lock(&self.state);
        match state.known(tag) {
            Some(known) => ConfirmStatus::Known(known),
            None => {
                let issued = self.issued.load(Ordering::SeqCst);
                ConfirmStatus::Awaited(issued.saturating_sub(state.answered))
            }
        }
    }

    /// Returns whether [`wait`](Confirms::wait) returns at once.
    pub(crate) fn is_known(&self, tag: u64) -> bool {
        let state = lock(&self.state);
        state.has_ended || state.answers.is_answered(tag)
    }

    pub(crate) fn wait(&self, tag: u64, deadline: Instant) -> Result<Outcome, NoOutcome> {
        let mut state = lock(&self.state);
        loop {
            if let Some(known) = state.known(tag) {
                return known;
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(NoOutcome::Late);
            }
            state.waiting.insert(tag, thread::current());
            drop(state);
            thread::park_timeout(deadline - now);
            state = lock(&self.state);
            state.waiting.remove(&tag);
        }
    }

    /// Takes confirms, in wire order. Returns the number of answered messages if a thread has
    /// waited for one, because that thread is likely to publish as many.
    pub(crate) fn confirm(&self, confirms: &[Confirm]) -> usize {
        let mut state = lock(&self.state);
        let ConfirmState { answers, answered: total, waiting, .. } = &mut *state;
        let mut answered = 0;
        let mut unknown = None;
        let forgotten = answers.forgotten;
        let issued = self.issued.load(Ordering::SeqCst);
        for Confirm { tag, multiple, refused } in confirms {
            let tag = if *multiple && *tag == 0 { issued } else { *tag };
            if (1..=issued).contains(&tag) {
                answered += answers.confirm(tag, *multiple, *refused);
            } else if issued > 0 || !multiple {
                unknown = Some(tag);
            }
        }
        *total += answered;
        let woken: Vec<_> = waiting.extract_if(|tag, _| answers.is_answered(*tag)).collect();
        let dropped = Some(answers.forgotten).filter(|now| *now > forgotten);
        drop(state);
        if let Some(tag) = unknown {
            warn!("broker confirmed unknown publish tag {tag}");
        }
        dropped.inspect(|tag| warn_of_dropped(*tag));
        let expected = if woken.is_empty() { 0 } else { answered };
        woken.into_iter().for_each(|(_, waiter)| waiter.unpark());
        usize::try_from(expected).unwrap_or(usize::MAX)
    }

    /// Takes a returned message.
    pub(crate) fn returned(&self, code: u16, text: String, head: &MessageHead, body: &Body) {
        if self.is_confirming {
            let mut state = lock(&self.state);
            let forgotten = state.answers.forgotten;
            let unknown = state.answers.returned(code, text, head, body);
            let dropped = Some(state.answers.forgotten).filter(|now| *now > forgotten);
            drop(state);
            if let Some(text) = unknown {
                debug!("the broker returned an unknown message: {code} {text}");
            }
            dropped.inspect(|tag| warn_of_dropped(*tag));
        }
    }

    /// Returns the number of messages without an answer; on a channel without confirms, 1 if any
    /// message was sent.
    pub(crate) fn unconfirmed(&self) -> u64 {
        let issued = self.issued.load(Ordering::SeqCst);
        if self.is_confirming {
            issued.saturating_sub(lock(&self.state).answered)
        } else {
            issued.min(1)
        }
    }

    /// Notes that no more answers arrive.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        state.has_ended = true;
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(|waiter| waiter.unpark());
    }
}

fn warn_of_dropped(tag: u64) {
    warn!(
        "dropping the outcomes of publications up to {tag}: no caller has asked for them, and \
         {KEPT} others are kept"
    );
}

/// The answers of the broker. An acceptance takes no memory.
#[derive(Debug, Default)]
struct Answers {
    answered: Ranges,
    /// Refusals and returns that no caller has asked for. A return is here before its confirm.
    notable: BTreeMap<u64, Outcome>,
    /// Notable outcomes up to this tag may have been dropped.
    forgotten: u64,
    /// Mandatory messages that may be returned, in the order of tags.
    mandatory: VecDeque<(u64, Arc<Content>)>,
}

impl Answers {
    fn is_answered(&self, tag: u64) -> bool {
        self.answered.contains(tag)
    }

    fn take(&mut self, tag: u64) -> Option<Result<Outcome, NoOutcome>> {
        if !self.is_answered(tag) {
            return None;
        }
        Some(match self.notable.remove(&tag) {
            Some(outcome) => Ok(outcome),
            None if tag <= self.forgotten => Err(NoOutcome::Forgotten),
            None => Ok(Outcome::Accepted),
        })
    }

    /// Returns the number of messages that the confirm answers.
    fn confirm(&mut self, tag: u64, multiple: bool, refused: bool) -> u64 {
        let first = if multiple { self.answered.end_of_first() + 1 } else { tag };
        if refused {
            for tag in first..=tag {
                if !self.answered.contains(tag) {
                    self.keep(tag, Outcome::Refused);
                }
            }
        }
        let answered = self.answered.insert(first, tag);
        while self.mandatory.front().is_some_and(|(tag, _)| self.answered.contains(*tag)) {
            self.mandatory.pop_front();
        }
        answered
    }

    fn keep(&mut self, tag: u64, outcome: Outcome) {
        self.notable.entry(tag).or_insert(outcome);
        while self.notable.len() > KEPT
            && let Some((tag, _)) = self.notable.pop_first()
        {
            self.forgotten = self.forgotten.max(tag);
        }
    }

    /// The broker returns messages in the order in which it routes them, so the first message with
    /// equal content is the returned one. Returns `text` if there is none.
    fn returned(
        &mut self,
        code: u16,
        text: String,
        head: &MessageHead,
        body: &Body,
    ) -> Option<String> {
        let message_id = head.properties().ok().and_then(|properties| properties.message_id);
        let position = self.mandatory.iter().position(|(tag, content)| {
            content.body == *body
                && content.routing_key.as_bytes() == head.routing_key().as_bytes()
                && content.exchange.as_bytes() == head.exchange().as_bytes()
                && content.properties.message_id().map(str::as_bytes)
                    == message_id.map(|id| id.as_bytes())
                && !self.answered.contains(*tag)
        });
        let Some((tag, _)) = position.and_then(|position| self.mandatory.remove(position)) else {
            return Some(text);
        };
        self.keep(tag, Outcome::Returned { code, text });
        None
    }
}

#[cfg(test)]
#[path = "confirms_tests.rs"]
mod tests;
