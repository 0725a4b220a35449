//! The broker's answers to publications: multiple, out of order, with nacks and returns in between.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use amiquip::Return;
use carrot_core::backend::{Body, Content, Outcome};
use crossbeam_channel::Receiver;
use log::{debug, warn};

use crate::error::words;
use crate::large_bodies::LargeBodies;
use crate::ranges::Ranges;

/// How many refusals and returns are kept that nobody has asked for.
const KEPT: usize = 65_536;

/// Why [`Confirms::wait`] gave no outcome.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoOutcome {
    /// None came in time.
    Late,
    /// The channel is gone, so none will come.
    ChannelGone,
    /// It came so long ago that it was thrown away.
    Forgotten,
}

/// What the broker answers to publications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Confirm(Confirm),
    /// One comes back: amiquip hands it over by the time of the confirm that follows.
    Return,
}

/// What the broker says of the publications up to a tag, or of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confirm {
    pub(crate) tag: u64,
    /// Whether it is said of all before it, too.
    pub(crate) multiple: bool,
    pub(crate) refused: bool,
}

/// The confirms of one channel. The driver's I/O thread brings the answers, and wakes whom they concern.
#[derive(Debug)]
pub(crate) struct Confirms {
    confirming: bool,
    returns: Receiver<Return>,
    bodies: Arc<LargeBodies>,
    /// The last tag that was given.
    issued: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: Answers,
    /// How many messages were answered.
    answered: u64,
    /// How many messages have come back since the last confirm.
    returns_due: usize,
    ended: bool,
    waiting: HashMap<u64, Thread>,
}

impl Confirms {
    pub(crate) fn new(
        confirming: bool,
        returns: Receiver<Return>,
        bodies: Arc<LargeBodies>,
    ) -> Confirms {
        Confirms { confirming, returns, bodies, issued: AtomicU64::new(0), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the tag of the message that leaves next, and keeps it if it may come back. To be called in the order of leaving.
    pub(crate) fn issue(&self, content: &Arc<Content>, mandatory: bool) -> u64 {
        let tag = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        if mandatory {
            self.lock().answers.mandatory.push_back((tag, Arc::clone(content)));
        }
        tag
    }

    /// Takes so many returns. The broker returns a message before it confirms it, so those that are due are there.
    fn read_returns(&self, count: usize, answers: &mut Answers) {
        for mut returned in self.returns.try_iter().take(count) {
            let body = self.bodies.claim(mem::take(&mut returned.content)).body;
            answers.returned(returned, &body);
        }
    }

    pub(crate) fn wait(&self, tag: u64, deadline: Instant) -> Result<Outcome, NoOutcome> {
        let mut state = self.lock();
        loop {
            if let Some(answer) = state.answers.take(tag) {
                return answer;
            }
            if state.ended {
                return Err(NoOutcome::ChannelGone);
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(NoOutcome::Late);
            }
            state.waiting.insert(tag, thread::current());
            drop(state);
            thread::park_timeout(deadline - now);
            state = self.lock();
            state.waiting.remove(&tag);
        }
    }

    /// Takes answers, in the order in which they came. Gives for how many messages there is room now, if somebody has waited for that and
    /// is likely to send as many.
    pub(crate) fn take(&self, news: impl IntoIterator<Item = Answer>) -> usize {
        let mut state = self.lock();
        let State { answers, answered: total, waiting, returns_due, .. } = &mut *state;
        let mut answered = 0;
        for answer in news {
            match answer {
                Answer::Return if self.confirming => *returns_due += 1,
                // Nobody asks for them, and they would pile up.
                Answer::Return => self.read_returns(usize::MAX, answers),
                Answer::Confirm(Confirm { tag, multiple, refused }) => {
                    self.read_returns(mem::take(returns_due), answers);
                    match self.issued.load(Ordering::SeqCst) {
                        issued if (1..=issued).contains(&tag) => {
                            answered += answers.confirm(tag, multiple, refused)
                        }
                        _ => warn!("the broker confirmed publication {tag}, which there is not"),
                    }
                }
            }
        }
        *total += answered;
        let woken: Vec<_> = waiting.extract_if(|tag, _| answers.is_answered(*tag)).collect();
        drop(state);
        let expected = if woken.is_empty() { 0 } else { answered };
        woken.into_iter().for_each(|(_, waiter)| waiter.unpark());
        usize::try_from(expected).unwrap_or(usize::MAX)
    }

    /// How many messages have no answer; on a channel without confirms, one if there was any.
    pub(crate) fn unconfirmed(&self) -> u64 {
        let issued = self.issued.load(Ordering::SeqCst);
        if self.confirming { issued.saturating_sub(self.lock().answered) } else { issued.min(1) }
    }

    /// Says that no more answers come.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(|waiter| waiter.unpark());
    }
}

/// What the broker has answered. An acceptance takes no room.
#[derive(Debug, Default)]
struct Answers {
    answered: Ranges,
    /// Refusals and returns not yet asked for. A return is here before it is answered.
    notable: BTreeMap<u64, Outcome>,
    /// Notable outcomes up to this tag may have been thrown away.
    forgotten: u64,
    /// Mandatory messages that may yet be returned, in the order of tags.
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

    /// Gives how many messages are answered by this.
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
            && let Some((tag, outcome)) = self.notable.pop_first()
        {
            warn!(
                "publication {tag} was {outcome:?}, and nobody has asked for it among {KEPT} such"
            );
            self.forgotten = self.forgotten.max(tag);
        }
    }

    /// The broker returns in the order in which it routes, so the first message that looks the same is the one.
    fn returned(&mut self, returned: Return, body: &Body) {
        let position = self.mandatory.iter().position(|(tag, content)| {
            !self.answered.contains(*tag)
                && content.properties.message_id() == returned.properties.message_id().as_deref()
                && *content.exchange == *returned.exchange
                && *content.routing_key == *returned.routing_key
                && content.body == *body
        });
        let Some((tag, _)) = position.and_then(|position| self.mandatory.remove(position)) else {
            debug!(
                "a message was returned that nobody waits for: {} {}",
                returned.reply_code,
                words(&returned.reply_text)
            );
            return;
        };
        self.keep(
            tag,
            Outcome::Returned { code: returned.reply_code, text: words(&returned.reply_text) },
        );
    }
}

#[cfg(test)]
#[path = "confirms_tests.rs"]
mod tests;
