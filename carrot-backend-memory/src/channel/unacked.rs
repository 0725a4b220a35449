//! The deliveries of a channel that are not settled.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::queue::BrokerQueue;
use crate::queue::sink::{ConsumerKey, UnackedMessage};

/// One delivery that is not settled.
#[derive(Debug)]
pub(crate) struct UnackedDelivery {
    pub(crate) queue: Arc<BrokerQueue>,
    pub(crate) delivery: UnackedMessage,
}

impl UnackedDelivery {
    /// Whether a consumer received the delivery. Otherwise, `get` fetched it.
    pub(crate) fn is_consumed(&self) -> bool {
        self.delivery.consumer != ConsumerKey::NONE
    }
}

/// Deliveries by tag. Tags only grow, so the deliveries stay sorted. Settled ones leave gaps, which
/// are closed once they outnumber the rest.
#[derive(Debug, Default)]
pub(crate) struct UnackedByTag {
    slots: VecDeque<(u64, Option<UnackedDelivery>)>,
    live: usize,
    /// The number of the deliveries that consumers received.
    consumed: usize,
}

impl UnackedByTag {
    pub(crate) fn push(&mut self, tag: u64, unacked: UnackedDelivery) {
        self.consumed += usize::from(unacked.is_consumed());
        self.slots.push_back((tag, Some(unacked)));
        self.live += 1;
    }

    pub(crate) fn take(&mut self, tag: u64) -> Option<UnackedDelivery> {
        let taken = match self.slots.front() {
            Some((first, _)) if *first == tag => self.slots.pop_front()?.1?,
            _ => {
                let index = self.find(tag)?;
                self.slots[index].1.take()?
            }
        };
        self.live -= 1;
        self.consumed -= usize::from(taken.is_consumed());
        self.tidy();
        Some(taken)
    }

    /// Returns the number of the deliveries that consumers received.
    pub(crate) fn consumed(&self) -> usize {
        self.consumed
    }

    /// Adds deliveries again that were taken, whose tags may be lower than others.
    pub(crate) fn restore(&mut self, deliveries: Vec<(u64, UnackedDelivery)>) {
        self.live += deliveries.len();
        self.consumed += deliveries.iter().filter(|(_, unacked)| unacked.is_consumed()).count();
        self.slots.retain(|(_, unacked)| unacked.is_some());
        self.slots.extend(deliveries.into_iter().map(|(tag, unacked)| (tag, Some(unacked))));
        self.slots.make_contiguous().sort_unstable_by_key(|(tag, _)| *tag);
    }

    /// Takes `tag` and all before it, in order, except those in `unseen`, which is sorted. Tag zero
    /// stands for all.
    ///
    /// Returns `None` if `tag` itself is not there.
    pub(crate) fn take_up_to(
        &mut self,
        tag: u64,
        unseen: &[u64],
    ) -> Option<Vec<(u64, UnackedDelivery)>> {
        let end = match tag {
            0 => self.slots.len(),
            _ => {
                let index = self.find(tag)?;
                self.slots[index].1.as_ref().filter(|_| unseen.binary_search(&tag).is_err())?;
                index + 1
            }
        };
        let taken: Vec<(u64, UnackedDelivery)> = if unseen.is_empty() {
            self.slots.drain(..end).filter_map(|(tag, unacked)| Some((tag, unacked?))).collect()
        } else {
            let seen = self
                .slots
                .iter_mut()
                .take(end)
                .filter(|(tag, _)| unseen.binary_search(tag).is_err());
            seen.filter_map(|(tag, unacked)| Some((*tag, unacked.take()?))).collect()
        };
        self.live -= taken.len();
        self.consumed -= taken.iter().filter(|(_, unacked)| unacked.is_consumed()).count();
        self.tidy();
        Some(taken)
    }

    pub(crate) fn take_all(&mut self) -> Vec<UnackedDelivery> {
        self.live = 0;
        self.consumed = 0;
        std::mem::take(&mut self.slots).into_iter().filter_map(|(_, unacked)| unacked).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &UnackedDelivery)> {
        self.slots.iter().filter_map(|(tag, unacked)| Some((*tag, unacked.as_ref()?)))
    }

    fn find(&self, tag: u64) -> Option<usize> {
        let (first, _) = self.slots.front()?;
        let guess = usize::try_from(tag.checked_sub(*first)?).ok()?;
        match self.slots.get(guess) {
            Some((found, _)) if *found == tag => Some(guess),
            _ => self.slots.binary_search_by_key(&tag, |(tag, _)| *tag).ok(),
        }
    }

    fn tidy(&mut self) {
        while self.slots.front().is_some_and(|(_, unacked)| unacked.is_none()) {
            self.slots.pop_front();
        }
        if self.slots.len() > 64 && self.live < self.slots.len() / 4 {
            self.slots.retain(|(_, unacked)| unacked.is_some());
        }
    }
}
