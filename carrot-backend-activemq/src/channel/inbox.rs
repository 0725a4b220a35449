use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar};

use carrot_core::Error;

use crate::connection::linked_channel::Arrival;
use crate::wire::destination::WireDestination;

/// The number of messages in a slot.
pub(crate) const SLOT_PREFETCH: i32 = 1;
/// The messages that a consumer with automatic acknowledgement has under way.
pub(crate) const AUTOMATIC_PREFETCH: i32 = 200;

/// The deliveries of one subscription that wait for `next`.
#[derive(Debug)]
pub(crate) struct SlotInbox {
    pub(crate) queue: String,
    pub(crate) destination: Arc<WireDestination>,
    pub(crate) is_manual: bool,
    /// Whether the queue was deleted, so that nothing is settled at the broker.
    pub(crate) is_gone: bool,
    pub(crate) arrivals: VecDeque<SlotArrival>,
    /// The bytes of the bodies that wait.
    pub(crate) waiting_bytes: u64,
    /// The reason why nothing more arrives.
    pub(crate) ended: Option<Error>,
    pub(crate) changed: Arc<Condvar>,
    /// The consumers of the subscription at the broker.
    pub(crate) slots: HashSet<i64>,
}

/// A message that waits for `next`.
#[derive(Debug)]
pub(crate) struct SlotArrival {
    pub(crate) slot: i64,
    pub(crate) arrival: Arrival,
    /// Whether `next` acknowledges the message.
    pub(crate) is_owed: bool,
}

impl SlotInbox {
    pub(crate) fn new(queue: &str, destination: WireDestination, is_manual: bool) -> SlotInbox {
        SlotInbox {
            queue: queue.into(),
            destination: Arc::new(destination),
            is_manual,
            is_gone: false,
            arrivals: VecDeque::new(),
            waiting_bytes: 0,
            ended: None,
            changed: Arc::default(),
            slots: HashSet::new(),
        }
    }

    pub(crate) fn push(&mut self, arrival: SlotArrival) {
        self.waiting_bytes += body_bytes(&arrival);
        self.arrivals.push_back(arrival);
        self.changed.notify_one();
    }

    /// Returns whether the prefetch of a slot allows one more message that is not acknowledged. The
    /// broker may exceed the prefetch by one during a transaction.
    pub(crate) fn has_room_in(&self, slot: i64) -> bool {
        let prefetch = if self.is_manual { SLOT_PREFETCH } else { AUTOMATIC_PREFETCH };
        let most = usize::try_from(prefetch).unwrap_or_default() + 1;
        let is_unacknowledged =
            |arrival: &&SlotArrival| arrival.slot == slot && (self.is_manual || arrival.is_owed);
        self.arrivals.iter().rev().filter(is_unacknowledged).take(most).count() < most
    }

    pub(crate) fn pop(&mut self) -> Option<SlotArrival> {
        let arrival = self.arrivals.pop_front()?;
        self.waiting_bytes -= body_bytes(&arrival);
        Some(arrival)
    }

    /// Ends the subscription. Its deliveries can still be taken. Returns `false` if it had ended
    /// before.
    pub(crate) fn end(&mut self, reason: &'static str) -> bool {
        if self.ended.is_some() {
            return false;
        }
        let queue = self.queue.clone();
        self.ended = Some(Error::Cancelled { queue, reason: reason.into() });
        self.changed.notify_all();
        true
    }
}

/// Returns the size of the body of a message, in bytes.
pub(crate) fn body_bytes(arrival: &SlotArrival) -> u64 {
    arrival.arrival.message.content.as_ref().map_or(0, |content| content.len() as u64)
}
