//! One open channel, as its connection and its handles share it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

use carrot_core::backend::Outcome;
use carrot_core::{Error, Result};
use carrot_listener::lock;

use crate::channel::dead_letter::UnsentLetter;
use crate::channel::inbox::{SlotArrival, SlotInbox};
use crate::channel::link_family::LinkFamily;
use crate::channel::publish_answers::PublishAnswers;
use crate::channel::pulled_answers::PulledAnswers;
use crate::channel::purged_messages::PurgedMessages;
use crate::connection::link_handle::LinkHandle;
use crate::connection::link_reader::refusal;
use crate::connection::linked_channel::{Arrival, BrokerAnswer, LinkedChannel};
use crate::wire::destination::WireDestination;
use crate::wire::ids::MessageId;

/// A channel: its first error, its publications, and its deliveries.
#[derive(Debug)]
pub(crate) struct ChannelCore {
    pub(crate) link: Arc<LinkHandle>,
    pub(crate) family: Arc<LinkFamily>,
    /// The number of the session.
    pub(crate) session: i64,
    pub(crate) confirms: bool,
    /// The number of bytes that may wait for `next` before the broker stops; `None` for no limit.
    pub(crate) max_waiting: Option<u64>,
    pub(crate) this: Weak<ChannelCore>,
    state: Mutex<SessionState>,
    /// Wakes threads that wait for a confirm or for a pulled message.
    pub(crate) changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct SessionState {
    pub(crate) failure: Option<Error>,
    pub(crate) answers: PublishAnswers,
    /// The tag of the last delivery.
    pub(crate) delivered: u64,
    /// The deliveries that a caller has received, and not settled, by their tags.
    pub(crate) held: BTreeMap<u64, UnsettledMessage>,
    /// The deliveries that have left their inboxes, and that callers are about to receive, by their
    /// tags.
    pub(crate) taken: BTreeMap<u64, UnsettledMessage>,
    /// The discarded messages whose dead letters the broker has not answered, by the numbers of the
    /// letters.
    pub(crate) letters: BTreeMap<u64, UnsettledMessage>,
    /// The number of the last letter.
    last_letter: u64,
    pub(crate) inboxes: HashMap<i64, SlotInbox>,
    /// The consumers at the broker.
    pub(crate) slots: HashMap<i64, SlotOwner>,
}

/// The purpose of a consumer at the broker.
#[derive(Debug)]
pub(crate) enum SlotOwner {
    /// A subscription, which may have several.
    Subscription(SlotPlace),
    /// A call that pulls messages, and the answers that it has not taken.
    Pull(PulledAnswers),
    /// A call that removes messages, and those that it has not acknowledged.
    Purge(PurgedMessages),
}

/// The place of a slot in its subscription.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotPlace {
    pub(crate) subscription: i64,
    /// The priority at the broker. That of other clients is 0.
    pub(crate) priority: i8,
    /// Whether only one of all slots of the queue receives.
    pub(crate) is_exclusive: bool,
}

/// A delivery that is not settled.
#[derive(Debug, Clone)]
pub(crate) struct UnsettledMessage {
    pub(crate) slot: i64,
    /// The subscription; `None` for a message that was fetched.
    pub(crate) subscription: Option<i64>,
    pub(crate) destination: Arc<WireDestination>,
    pub(crate) message: MessageId,
    /// Whether the queue was deleted.
    pub(crate) is_gone: bool,
    /// The message, if its queue has a dead-letter exchange.
    pub(crate) letter: Option<UnsentLetter>,
    /// Whether a part of the message could not be read.
    pub(crate) is_unreadable: bool,
}

impl SessionState {
    /// Fails with the first error of a channel that has ended.
    pub(crate) fn check(&self) -> Result<()> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Returns the messages that have left their inboxes, and that the broker still holds for their
    /// slots.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = &UnsettledMessage> {
        self.held.values().chain(self.taken.values()).chain(self.letters.values())
    }

    /// As [`unsettled`](SessionState::unsettled).
    pub(crate) fn unsettled_mut(&mut self) -> impl Iterator<Item = &mut UnsettledMessage> {
        let SessionState { held, taken, letters, .. } = self;
        held.values_mut().chain(taken.values_mut()).chain(letters.values_mut())
    }

    /// Takes the next number for a dead letter.
    pub(crate) fn next_letter(&mut self) -> u64 {
        self.last_letter += 1;
        self.last_letter
    }

    /// Takes the next tag for a delivery.
    pub(crate) fn next_tag(&mut self) -> u64 {
        self.delivered += 1;
        self.delivered
    }
}

impl ChannelCore {
    pub(crate) fn new(
        link: Arc<LinkHandle>,
        family: Arc<LinkFamily>,
        confirms: bool,
        max_waiting: Option<u64>,
    ) -> Arc<ChannelCore> {
        let session = link.next_number();
        Arc::new_cyclic(|this| ChannelCore {
            link,
            family,
            session,
            confirms,
            max_waiting,
            this: Weak::clone(this),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Returns the channel for its connection.
    pub(crate) fn linked(&self) -> Weak<dyn LinkedChannel> {
        Weak::clone(&self.this) as Weak<dyn LinkedChannel>
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, SessionState> {
        lock(&self.state)
    }

    /// Fails with the first error of a channel that has ended.
    pub(crate) fn check(&self) -> Result<()> {
        self.lock().check()
    }
}

impl LinkedChannel for ChannelCore {
    fn confirmed(&self, tag: u64, answer: BrokerAnswer) {
        let outcome = match &answer {
            Ok(()) => Outcome::Accepted,
            Err(exception) if exception.is_security() => {
                return self.fail(&refusal(exception));
            }
            Err(exception) => {
                log::warn!("the broker refused a message: {exception}");
                Outcome::Refused
            }
        };
        self.lock().answers.answer(tag, outcome);
        self.changed.notify_all();
    }

    fn arrived(&self, slot: i64, arrival: Option<Arrival>) {
        if !self.take_arrival(slot, arrival) {
            self.link
                .fail(&self.link.life.loss("the broker sends more messages than the prefetch"));
        }
    }

    fn consumer_removed(&self, slot: i64) {
        let mut guard = self.lock();
        let state = &mut *guard;
        self.link.forget_consumer(slot);
        match state.slots.remove(&slot) {
            Some(SlotOwner::Subscription(place)) => {
                if let Some(inbox) = state.inboxes.get_mut(&place.subscription) {
                    inbox.slots.remove(&slot);
                }
                self.end_cancelled(state, place.subscription);
            }
            Some(SlotOwner::Pull(_) | SlotOwner::Purge(_)) => self.changed.notify_all(),
            None => {}
        }
    }

    fn queue_deleted(&self, queue: &WireDestination) {
        self.leave_queue(queue);
    }

    fn lost(&self, error: &Error) {
        self.end(error);
        // The broker returns the messages of the connection.
        self.lock().letters.clear();
        self.changed.notify_all();
    }
}

impl ChannelCore {
    /// Keeps a message for its caller. Returns `false` if the broker has sent too many.
    fn take_arrival(&self, slot: i64, arrival: Option<Arrival>) -> bool {
        let mut guard = self.lock();
        let state = &mut *guard;
        match state.slots.get_mut(&slot) {
            Some(SlotOwner::Pull(answers)) => {
                let was_asked = answers.push(arrival);
                self.changed.notify_all();
                was_asked
            }
            Some(SlotOwner::Purge(purged)) => {
                let has_room = arrival.is_none_or(|arrival| purged.add(*arrival.message));
                self.changed.notify_all();
                has_room
            }
            Some(SlotOwner::Subscription(place)) => {
                let inbox = state.inboxes.get_mut(&place.subscription);
                let (Some(inbox), Some(arrival)) = (inbox, arrival) else { return true };
                let acknowledges_now = self.acknowledges_now(inbox);
                let message = arrival.message.id.clone();
                if acknowledges_now && let Some(message) = &message {
                    self.link.send(self.acknowledge(slot, &inbox.destination, message));
                }
                let is_owed = !inbox.is_manual && !acknowledges_now;
                let has_room = acknowledges_now || inbox.has_room_in(slot);
                inbox.push(SlotArrival { slot, arrival, is_owed });
                has_room
            }
            // The consumer was removed, and the broker returns the message.
            None => true,
        }
    }

    /// Returns whether a message is acknowledged when it arrives. While too much waits, or the
    /// broker reads nothing, `next` acknowledges, and the broker stops in the meantime.
    fn acknowledges_now(&self, inbox: &SlotInbox) -> bool {
        let has_room = self.max_waiting.is_none_or(|limit| inbox.waiting_bytes < limit);
        !inbox.is_manual && has_room && !self.link.outgoing.is_full()
    }
}
