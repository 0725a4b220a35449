//! The broker's answers to publications: multiple, out of order, with nacks and returns in between.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use amiquip::{Confirm, Return};
use carrot_core::backend::{Content, Outcome};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use log::{debug, warn};

use crate::ranges::Ranges;

/// How many refusals and returns are kept that nobody has asked for.
const KEPT: usize = 65_536;
/// How many unread confirms make a publisher stop and read them.
const UNREAD: usize = 4096;

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

/// The confirms of one channel. Of the threads that wait, one reads, and wakes the others when their answers come.
#[derive(Debug)]
pub(crate) struct Confirms {
    confirms: Receiver<Confirm>,
    returns: Receiver<Return>,
    /// The last tag that was given.
    issued: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: Answers,
    reading: bool,
    ended: bool,
    waiting: HashMap<u64, Thread>,
}

impl Confirms {
    pub(crate) fn new(confirms: Receiver<Confirm>, returns: Receiver<Return>) -> Confirms {
        Confirms { confirms, returns, issued: AtomicU64::new(0), state: Mutex::default() }
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

    /// Reads what has come, if much has come and nobody reads: otherwise it would pile up while nobody asks.
    pub(crate) fn tidy(&self) {
        if self.confirms.len() < UNREAD && self.returns.len() < UNREAD {
            return;
        }
        let mut state = self.lock();
        if !state.reading {
            self.read(&mut state, None);
        }
    }

    pub(crate) fn wait(&self, tag: u64, deadline: Instant) -> Result<Outcome, NoOutcome> {
        let mut state = self.lock();
        let mut looked = false;
        loop {
            if let Some(answer) = state.answers.take(tag) {
                state.waiting.remove(&tag);
                pass_on(state);
                return answer;
            }
            if state.ended {
                return Err(NoOutcome::ChannelGone);
            }
            let now = Instant::now();
            if now >= deadline && (state.reading || looked) {
                state.waiting.remove(&tag);
                pass_on(state);
                return Err(NoOutcome::Late);
            }
            if state.reading {
                state.waiting.insert(tag, thread::current());
                drop(state);
                thread::park_timeout(deadline.saturating_duration_since(now));
                state = self.lock();
                state.waiting.remove(&tag);
            } else {
                state.reading = true;
                drop(state);
                let first = self.confirms.recv_deadline(deadline);
                state = self.lock();
                state.reading = false;
                match first {
                    Ok(first) => self.read(&mut state, Some(first)),
                    Err(RecvTimeoutError::Timeout) => looked = true,
                    Err(RecvTimeoutError::Disconnected) => {
                        state.ended = true;
                        self.read(&mut state, None);
                        state.waiting.drain().for_each(|(_, waiter)| waiter.unpark());
                    }
                }
            }
        }
    }

    /// Applies all that has come, and wakes who waits for it. The I/O thread hands a return over before its confirm, so all returns are
    /// taken after the confirms, and applied before them.
    fn read(&self, state: &mut State, first: Option<Confirm>) {
        let confirms: Vec<Confirm> = first.into_iter().chain(self.confirms.try_iter()).collect();
        for returned in self.returns.try_iter() {
            state.answers.returned(returned);
        }
        for confirm in confirms {
            let (payload, refused) = match confirm {
                Confirm::Ack(payload) => (payload, false),
                Confirm::Nack(payload) => (payload, true),
            };
            let issued = self.issued.load(Ordering::SeqCst);
            match payload.delivery_tag {
                0 => state.answers.confirm(issued, payload.multiple, refused),
                tag if tag <= issued => state.answers.confirm(tag, payload.multiple, refused),
                tag => warn!("the broker confirmed publication {tag}, which there is not"),
            }
        }
        if !state.waiting.is_empty() {
            let State { answers, waiting, .. } = state;
            waiting.retain(|tag, waiter| {
                let answered = answers.is_answered(*tag);
                if answered {
                    waiter.unpark();
                }
                !answered
            });
        }
    }
}

/// Lets another waiting thread read, if nobody does.
fn pass_on(mut state: MutexGuard<'_, State>) {
    if !state.reading
        && let Some(tag) = state.waiting.keys().next().copied()
        && let Some(next) = state.waiting.remove(&tag)
    {
        drop(state);
        next.unpark();
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

    fn confirm(&mut self, tag: u64, multiple: bool, refused: bool) {
        let first = if multiple { self.answered.end_of_first() + 1 } else { tag };
        if refused {
            for tag in first..=tag {
                if !self.answered.contains(tag) {
                    self.keep(tag, Outcome::Refused);
                }
            }
        }
        self.answered.insert(first, tag);
        while self.mandatory.front().is_some_and(|(tag, _)| self.answered.contains(*tag)) {
            self.mandatory.pop_front();
        }
    }

    fn keep(&mut self, tag: u64, outcome: Outcome) {
        self.notable.entry(tag).or_insert(outcome);
        while self.notable.len() > KEPT
            && let Some((tag, outcome)) = self.notable.pop_first()
        {
            warn!("publication {tag} was {outcome:?}, and nobody has asked for it among {KEPT} such");
            self.forgotten = self.forgotten.max(tag);
        }
    }

    /// The broker returns in the order in which it routes, so the first message that looks the same is the one.
    fn returned(&mut self, returned: Return) {
        let position = self.mandatory.iter().position(|(tag, content)| {
            !self.answered.contains(*tag)
                && content.properties.message_id() == returned.properties.message_id().as_deref()
                && *content.exchange == *returned.exchange
                && *content.routing_key == *returned.routing_key
                && content.body == returned.content
        });
        let Some((tag, _)) = position.and_then(|position| self.mandatory.remove(position)) else {
            debug!("a message was returned that nobody waits for: {} {}", returned.reply_code, returned.reply_text);
            return;
        };
        self.keep(tag, Outcome::Returned { code: returned.reply_code, text: returned.reply_text });
    }
}

#[cfg(test)]
#[path = "confirms_tests.rs"]
mod tests;
