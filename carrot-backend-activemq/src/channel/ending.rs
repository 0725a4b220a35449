//! The end of a channel, and the return of its messages.

use std::collections::HashSet;

use carrot_core::Error;

use crate::channel::channel_core::{ChannelCore, UnsettledMessage};
use crate::wire::setup_commands::RemoveInfo;

/// The messages and consumers of a channel at its end.
#[derive(Debug)]
pub(crate) struct EndedChannel {
    /// The consumers without a message that has arrived.
    empty: Vec<i64>,
    /// The deliveries that were not settled, in the order of their tags.
    held: Vec<UnsettledMessage>,
    /// The consumers whose message no caller has received.
    unseen: Vec<i64>,
    /// Whether dead letters are not answered. The session stays at the broker until they are.
    pub(crate) has_letters: bool,
}

impl ChannelCore {
    /// Ends the channel with its first error, without commands for the broker. Returns what it
    /// held; `None` if it had ended before.
    pub(crate) fn end(&self, error: &Error) -> Option<EndedChannel> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.failure.is_some() {
            return None;
        }
        state.failure = Some(error.clone());
        let mut held = std::mem::take(&mut state.held);
        held.append(&mut state.taken);
        let held: Vec<_> = held.into_values().collect();
        let mut slots: Vec<i64> = std::mem::take(&mut state.slots).into_keys().collect();
        slots.sort_unstable();
        let mut unseen = Vec::new();
        for inbox in state.inboxes.values_mut() {
            self.stop_slots(inbox);
            let arrivals = std::mem::take(&mut inbox.arrivals);
            unseen.extend(arrivals.iter().map(|arrival| arrival.slot));
            inbox.waiting_bytes = 0;
            inbox.slots.clear();
            inbox.changed.notify_all();
        }
        let discarded: Vec<i64> = state.letters.values().map(|letter| letter.slot).collect();
        drop(guard);
        self.changed.notify_all();
        self.link.remove_channel(self.session, &slots);
        let filled: HashSet<i64> =
            held.iter().map(|held| held.slot).chain(unseen.iter().copied()).collect();
        let is_empty = |slot: &i64| !filled.contains(slot) && !discarded.contains(slot);
        let empty = slots.into_iter().filter(is_empty).collect();
        Some(EndedChannel { empty, held, unseen, has_letters: !discarded.is_empty() })
    }

    /// Ends the channel over an error, and returns its messages to their queues without waiting.
    /// Discarded messages follow once their dead letters are answered.
    pub(crate) fn fail(&self, error: &Error) {
        let Some(ended) = self.end(error) else { return };
        self.return_messages(&ended);
        if !ended.has_letters {
            self.link.send(self.remove_session());
        }
    }

    /// Ends the channel over an error, and returns the error.
    pub(crate) fn failed(&self, error: Error) -> Error {
        self.fail(&error);
        error
    }

    /// Returns the messages of an ended channel to their queues: first those that callers have
    /// received, and last those under way. The slots are stopped, and receive nothing that returns.
    pub(crate) fn return_messages(&self, ended: &EndedChannel) {
        for held in ended.held.iter().filter(|held| !held.is_gone) {
            self.link.send(self.remove_slot(held.slot, RemoveInfo::DELIVERED));
        }
        for slot in ended.unseen.iter().chain(&ended.empty) {
            self.link.send(self.remove_slot(*slot, RemoveInfo::NOT_DELIVERED));
        }
    }
}
