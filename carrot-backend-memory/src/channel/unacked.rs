//! The deliveries of a channel that are not settled.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::queue::BrokerQueue;
use crate::queue::sink::UnackedMessage;

/// One delivery that is not settled.
#[derive(Debug)]
pub(crate) struct UnackedDelivery {
    pub(crate) queue: Arc<BrokerQueue>,
    pub(crate) delivery: UnackedMessage,
}

/// Deliveries by tag. Tags only grow, so the deliveries stay sorted. Settled ones leave gaps, which
/// are closed once they outnumber the rest.
#[derive(Debug, Default)]
pub(crate) struct UnackedByTag {
    slots: VecDeque<(u64, Option<UnackedDelivery>)>,
    live: usize,
}

impl UnackedByTag {
    pub(crate) fn push(&mut self, tag: u64, unacked: UnackedDelivery) {
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
        self.tidy();
        Some(taken)
    }

    /// Takes `tag` and all before it, in order, except those in `unseen`, which is sorted. Tag zero
    /// stands for all.
    ///
    /// Returns `None` if `tag` itself is not there.
    pub(crate) fn take_up_to(&mut self, tag: u64, unseen: &[u64]) -> Option<Vec<UnackedDelivery>> {
        let end = match tag {
            0 => self.slots.len(),
            _ => {
                let index = self.find(tag)?;
                self.slots[index].1.as_ref().filter(|_| unseen.binary_search(&tag).is_err())?;
                index + 1
            }
        };
        let taken: Vec<UnackedDelivery> = if unseen.is_empty() {
            self.slots.drain(..end).filter_map(|(_, unacked)| unacked).collect()
        } else {
            let seen = self
                .slots
                .iter_mut()
                .take(end)
                .filter(|(tag, _)| unseen.binary_search(tag).is_err());
            seen.filter_map(|(_, unacked)| unacked.take()).collect()
        };
        self.live -= taken.len();
        self.tidy();
        Some(taken)
    }

    pub(crate) fn take_all(&mut self) -> Vec<UnackedDelivery> {
        self.live = 0;
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
