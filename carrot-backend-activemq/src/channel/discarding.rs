//! Discarded messages, which go to the dead-letter exchange of their queue.

use std::sync::{Arc, Weak};
use std::time::Duration;

use carrot_core::backend::Content;
use carrot_link::CallDeadline;
use carrot_listener::wait_until;

use crate::channel::channel_core::{ChannelCore, SessionState, UnsettledMessage};
use crate::channel::dead_letter::{DiscardedMessage, LetterHolder, UnsentLetter, WaitingLetter};
use crate::channel::routing::RouteOrigin;
use crate::content::{MessageTerms, queue_name};
use crate::exchanges::death_mark::DeathMark;
use crate::exchanges::death_record::{LetterRecord, SentLetter};
use crate::exchanges::queue_rules::BrokerQueueRules;
use crate::wall_clock;
use crate::wire::destination::WireDestination;

/// The time for which a dropped channel waits for the answers to its dead letters.
const DROPPED_PATIENCE: Duration = Duration::from_secs(10);

impl ChannelCore {
    /// Returns a delivery as a dead letter; `None` if its queue has no dead-letter exchange.
    pub(crate) fn letter_of(
        &self,
        destination: &WireDestination,
        content: &Arc<Content>,
        mark: DeathMark,
    ) -> Option<UnsentLetter> {
        let queue = queue_name::name_of(destination)?.to_string();
        let table = self.link.table.known_table();
        let route = BrokerQueueRules::stored(table.queues.get(&queue)?).dead_letters?;
        Some(UnsentLetter { content: Arc::clone(content), mark, queue, route: Arc::new(route) })
    }

    /// Consumes messages. Those of queues with a dead-letter exchange are consumed once the broker
    /// has their letters. Those that could not be read move to the dead-letter queue of the broker,
    /// because only the broker has them whole.
    pub(crate) fn discard(&self, state: &mut SessionState, held: Vec<UnsettledMessage>) {
        let seconds = wall_clock::since_epoch().as_secs();
        for held in held {
            if held.is_unreadable && !held.is_gone {
                self.link.send(self.poison(held.slot, &held.destination, &held.message));
                self.close_if_unused(state, &held);
                continue;
            }
            let letter = held.letter.clone().filter(|_| !held.is_gone);
            let routes = letter.as_ref().map(|letter| self.letter_routes(letter, seconds));
            match letter.zip(routes) {
                Some((letter, routes)) if !routes.is_empty() => {
                    self.send_letter(state, letter, seconds, routes, held);
                }
                _ => self.consumed(state, vec![held]),
            }
        }
    }

    /// Returns how a dead letter is sent to its queues, as they are known.
    fn letter_routes(&self, letter: &UnsentLetter, seconds: u64) -> Vec<MessageTerms> {
        let SentLetter { content, mark } = letter.at(seconds, LetterRecord::Whole);
        let routes =
            self.route_by(&self.link.table.known_table(), &content, RouteOrigin::Broker(mark));
        let routes = routes.unwrap_or_else(|error| {
            let queue = &letter.queue;
            log::debug!("dead-lettering failed: queue={queue:?} {error}, the message is lost");
            Vec::new()
        });
        routes.into_iter().map(|terms| MessageTerms { mark, ..terms }).collect()
    }

    /// Passes a letter on, and holds the message until its answer. Does not wait.
    fn send_letter(
        &self,
        state: &mut SessionState,
        letter: UnsentLetter,
        seconds: u64,
        routes: Vec<MessageTerms>,
        held: UnsettledMessage,
    ) {
        let number = state.next_letter();
        let channel = Weak::clone(&self.this) as Weak<dyn LetterHolder>;
        let original = DiscardedMessage { channel, number, queue: letter.queue.clone() };
        let letter = WaitingLetter { original, letter, seconds, routes };
        state.letters.insert(number, held);
        let sender = self.family.letters.as_ref();
        if !sender.is_some_and(|sender| sender.send(letter))
            && let Some(held) = state.letters.remove(&number)
        {
            self.requeue(state, vec![held]);
        }
    }

    /// Waits until all dead letters are answered. Returns `false` if the deadline passed first.
    pub(crate) fn wait_for_letters(&self, deadline: CallDeadline) -> bool {
        let mut state = self.lock();
        let mut passed = false;
        while !state.letters.is_empty() && !passed {
            (state, passed) = wait_until(&self.changed, state, deadline.at());
        }
        state.letters.is_empty()
    }

    /// Waits for the dead letters of a dropped channel for a time, and then returns the messages of
    /// those that the broker has not answered.
    pub(crate) fn finish_letters(&self) {
        if self.wait_for_letters(CallDeadline::after(DROPPED_PATIENCE)) {
            return;
        }
        self.return_letters();
    }

    /// Returns the discarded messages whose letters the broker has not answered.
    pub(crate) fn return_letters(&self) {
        let numbers: Vec<u64> = self.lock().letters.keys().copied().collect();
        for number in numbers {
            self.letter_answered(number, false);
        }
    }
}

impl LetterHolder for ChannelCore {
    fn holds_original(&self, number: u64) -> bool {
        self.lock().letters.contains_key(&number)
    }

    /// The last answer ends the session of a closed channel.
    fn letter_answered(&self, number: u64, was_sent: bool) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(held) = state.letters.remove(&number) else { return };
        if was_sent {
            self.consumed(state, vec![held]);
        } else {
            self.requeue(state, vec![held]);
        }
        if state.letters.is_empty() && state.check().is_err() {
            self.link.send(self.remove_session());
        }
        drop(guard);
        self.changed.notify_all();
    }
}
