//! One open channel, as its link and its handles share it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use carrot_core::backend::{Content, Delivery, DeliveryTag, Outcome};
use carrot_core::{Error, Result};
use carrot_listener::{lock, wait_until};

use crate::calls::request::TagRange;
use crate::client::confirm_window::ConfirmWindow;

/// The size that a delivery counts with towards the waiting bytes, in addition to its body. The
/// host counts the same.
const WAITING_OVERHEAD: u64 = 64;

/// A channel: its first error, its publications, and its deliveries.
#[derive(Debug)]
pub(crate) struct LinkChannel {
    pub(crate) number: u32,
    pub(crate) confirms: bool,
    /// The number of bytes that may wait for `next`; 0 for no limit.
    max_waiting: u64,
    state: Mutex<LinkChannelState>,
    confirmed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct LinkChannelState {
    failure: Option<Error>,
    published: u64,
    window: ConfirmWindow,
    inboxes: HashMap<u32, Inbox>,
    /// The tags of deliveries that a caller has received, and not settled, and their consumers.
    held: HeldTags,
    /// The bytes that callers have taken, and the host does not know of.
    taken: u64,
}

/// The deliveries of one consumer that wait for `next`.
#[derive(Debug)]
pub(crate) struct Inbox {
    is_manual: bool,
    queue: String,
    deliveries: VecDeque<Delivery>,
    /// The reason why nothing more arrives.
    ended: Option<Error>,
    arrived: Arc<Condvar>,
}

/// Unsettled deliveries by tag, with their consumers; 0 for a message that was fetched.
pub(crate) type HeldTags = BTreeMap<u64, u32>;

/// A delivery for a caller, and the bytes to report as taken, if enough have gathered.
#[derive(Debug)]
pub(crate) struct TakenDelivery {
    pub(crate) delivery: Delivery,
    pub(crate) report: Option<u64>,
}

/// The deliveries that a dropped consumer leaves.
#[derive(Debug, Default)]
pub(crate) struct Unseen {
    /// The tags to requeue, in order.
    pub(crate) tags: Vec<u64>,
    /// The tags from the first to the last that callers have received, and not settled. Callers
    /// receive the deliveries of a consumer in order, so that no tag to requeue lies between.
    pub(crate) seen: Option<TagRange>,
    /// The bytes to report as taken, if enough have gathered.
    pub(crate) report: Option<u64>,
}

impl LinkChannel {
    pub(crate) fn new(number: u32, confirms: bool, max_waiting: u64) -> LinkChannel {
        LinkChannel {
            number,
            confirms,
            max_waiting,
            state: Mutex::default(),
            confirmed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, LinkChannelState> {
        lock(&self.state)
    }

    /// Fails with the first error of a channel that has ended.
    pub(crate) fn check(&self) -> Result<()> {
        self.lock().check()
    }

    /// Ends the channel with its first error. Returns `false` if it had ended before.
    pub(crate) fn fail(&self, error: &Error) -> bool {
        let mut state = self.lock();
        if state.failure.is_some() {
            return false;
        }
        state.failure = Some(error.clone());
        let unseen: Vec<_> =
            state.inboxes.values_mut().map(|inbox| std::mem::take(&mut inbox.deliveries)).collect();
        state.inboxes.values().for_each(|inbox| inbox.arrived.notify_all());
        drop(state);
        self.confirmed.notify_all();
        drop(unseen);
        true
    }

    /// Takes the next tag for a publication, and calls `send` before any later one does.
    pub(crate) fn publish(&self, send: impl FnOnce()) -> Result<u64> {
        let mut state = self.lock();
        state.check()?;
        state.published += 1;
        if self.confirms {
            state.window.push();
        }
        send();
        Ok(state.published)
    }

    /// Notes the answer of the host to a range of publications.
    pub(crate) fn confirm(&self, first: u64, last: u64, outcome: &Outcome) {
        self.lock().window.answer(first, last, outcome);
        self.confirmed.notify_all();
    }

    /// Waits for the answer to a publication. Returns `None` if `timeout` passed first.
    pub(crate) fn wait_for_confirm(&self, tag: u64, timeout: Duration) -> Result<Option<Outcome>> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        loop {
            if let Some(outcome) = state.window.take(tag) {
                return Ok(Some(outcome));
            }
            state.check()?;
            let passed;
            (state, passed) = wait_until(&self.confirmed, state, deadline.unwrap_or_else(far));
            if passed {
                return Ok(None);
            }
        }
    }

    /// Adds an inbox for a consumer that is about to start.
    pub(crate) fn open_inbox(
        &self,
        consumer: u32,
        queue: &str,
        is_manual: bool,
    ) -> Result<Arc<Condvar>> {
        let mut state = self.lock();
        state.check()?;
        let arrived = Arc::new(Condvar::new());
        let inbox = Inbox {
            is_manual,
            queue: queue.into(),
            deliveries: VecDeque::new(),
            ended: None,
            arrived: Arc::clone(&arrived),
        };
        state.inboxes.insert(consumer, inbox);
        Ok(arrived)
    }

    /// Adds a delivery, unless its consumer was dropped: the host then requeues what is under way.
    /// Returns the bytes to report as taken, if enough have gathered.
    pub(crate) fn deliver(&self, consumer: u32, delivery: Delivery) -> Option<u64> {
        let mut state = self.lock();
        if state.failure.is_some() {
            return None;
        }
        let Some(inbox) = state.inboxes.get_mut(&consumer) else {
            return state.note_taken(self.max_waiting, &delivery.content);
        };
        inbox.deliveries.push_back(delivery);
        inbox.arrived.notify_one();
        None
    }

    /// Ends a consumer. Its deliveries can still be taken. Returns `false` if it had ended before.
    pub(crate) fn end_consumer(&self, consumer: u32, reason: &'static str) -> bool {
        let mut state = self.lock();
        let Some(inbox) = state.inboxes.get_mut(&consumer) else { return false };
        if inbox.ended.is_some() {
            return false;
        }
        let queue = inbox.queue.clone();
        inbox.ended = Some(Error::Cancelled { queue, reason: reason.into() });
        inbox.arrived.notify_all();
        true
    }

    /// Returns whether a consumer has ended.
    pub(crate) fn has_ended(&self, consumer: u32) -> bool {
        self.lock().inboxes.get(&consumer).is_none_or(|inbox| inbox.ended.is_some())
    }

    /// Waits for the next delivery of a consumer.
    pub(crate) fn next(
        &self,
        consumer: u32,
        arrived: &Condvar,
        timeout: Duration,
    ) -> Result<Option<TakenDelivery>> {
        let mut deadline = None;
        let mut guard = self.lock();
        loop {
            let state = &mut *guard;
            state.check()?;
            let Some(inbox) = state.inboxes.get_mut(&consumer) else {
                return Err(Error::closed("subscription"));
            };
            if let Some(delivery) = inbox.deliveries.pop_front() {
                if inbox.is_manual {
                    state.held.insert(delivery.tag.0, consumer);
                }
                let report = state.note_taken(self.max_waiting, &delivery.content);
                return Ok(Some(TakenDelivery { delivery, report }));
            }
            if let Some(ended) = &inbox.ended {
                return Err(ended.clone());
            }
            if timeout.is_zero() {
                return Ok(None);
            }
            let deadline = *deadline
                .get_or_insert_with(|| Instant::now().checked_add(timeout).unwrap_or_else(far));
            let passed;
            (guard, passed) = wait_until(arrived, guard, deadline);
            if passed {
                return Ok(None);
            }
        }
    }

    /// Returns the sizes of the bodies that wait for a consumer.
    pub(crate) fn waiting_sizes(&self, consumer: u32) -> Vec<usize> {
        let state = self.lock();
        let waiting = state.inboxes.get(&consumer).into_iter().flat_map(|inbox| &inbox.deliveries);
        waiting.map(|delivery| delivery.content.body.len()).collect()
    }

    /// Removes the inbox of a consumer. Returns what no caller has taken.
    pub(crate) fn close_inbox(&self, consumer: u32) -> Unseen {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(inbox) = state.inboxes.remove(&consumer) else { return Unseen::default() };
        let mut report = 0;
        for delivery in &inbox.deliveries {
            report += state.note_taken(self.max_waiting, &delivery.content).unwrap_or_default();
        }
        let report = (report > 0).then_some(report);
        let is_seen = |(_, of): &(&u64, &u32)| **of == consumer;
        let mut seen = state.held.iter().filter(is_seen).map(|(tag, _)| *tag);
        let seen = seen.next().map(|first| {
            let last = seen.next_back().unwrap_or(first);
            TagRange { first, last }
        });
        drop(guard);
        let tags = match inbox.is_manual {
            true => inbox.deliveries.iter().map(|delivery| delivery.tag.0).collect(),
            false => Vec::new(),
        };
        Unseen { tags, seen, report }
    }

    /// Notes a delivery that a caller has received without a consumer.
    pub(crate) fn hold(&self, tag: DeliveryTag) -> Result<()> {
        let mut state = self.lock();
        state.check()?;
        state.held.insert(tag.0, 0);
        Ok(())
    }

    /// Takes tags out for a settlement, and calls `send` with them before any later settlement
    /// does. Returns `false` if `choose` finds no tag.
    pub(crate) fn settle(
        &self,
        choose: impl FnOnce(&mut HeldTags) -> Option<Vec<u64>>,
        send: impl FnOnce(Vec<u64>),
    ) -> Result<bool> {
        let mut state = self.lock();
        state.check()?;
        match choose(&mut state.held) {
            Some(tags) => {
                if !tags.is_empty() {
                    send(tags);
                }
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

impl LinkChannelState {
    fn check(&self) -> Result<()> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Counts a delivery as taken. Returns the bytes to report, once they are a quarter of the
    /// limit: the host never stops while nothing waits.
    fn note_taken(&mut self, max_waiting: u64, content: &Content) -> Option<u64> {
        if max_waiting == 0 {
            return None;
        }
        self.taken += content.body.len() as u64 + WAITING_OVERHEAD;
        (self.taken > max_waiting / 4).then(|| std::mem::take(&mut self.taken))
    }
}

/// Returns a time that no call waits for.
fn far() -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    Instant::now() + YEAR
}

#[cfg(test)]
#[path = "channel_state_tests.rs"]
mod tests;
