//! What a channel has delivered and not yet seen settled.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::consumers::ConsumerKey;
use crate::queue::Queue;
use crate::ready::Entry;

/// One delivery that waits for its settlement.
#[derive(Debug)]
pub(crate) struct Unacked {
    pub(crate) queue: Arc<Queue>,
    pub(crate) consumer: ConsumerKey,
    pub(crate) entry: Entry,
}

/// Deliveries by tag. Tags only grow, so they stay sorted; settled ones leave gaps, which are closed when they prevail.
#[derive(Debug, Default)]
pub(crate) struct UnackedByTag {
    slots: VecDeque<(u64, Option<Unacked>)>,
    live: usize,
}

impl UnackedByTag {
    pub(crate) fn push(&mut self, tag: u64, unacked: Unacked) {
        self.slots.push_back((tag, Some(unacked)));
        self.live += 1;
    }

    pub(crate) fn take(&mut self, tag: u64) -> Option<Unacked> {
        let index = self.find(tag)?;
        let taken = self.slots[index].1.take()?;
        self.live -= 1;
        self.tidy();
        Some(taken)
    }

    /// Takes `tag` and all before it, in order; all there are for tag zero; but none of `unseen`, which is sorted. Nothing if `tag`
    /// itself is not there.
    pub(crate) fn take_up_to(&mut self, tag: u64, unseen: &[u64]) -> Option<Vec<Unacked>> {
        let end = match tag {
            0 => self.slots.len(),
            _ => {
                let index = self.find(tag)?;
                self.slots[index].1.as_ref().filter(|_| unseen.binary_search(&tag).is_err())?;
                index + 1
            }
        };
        let taken: Vec<Unacked> = if unseen.is_empty() {
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

    pub(crate) fn take_all(&mut self) -> Vec<Unacked> {
        self.live = 0;
        std::mem::take(&mut self.slots).into_iter().filter_map(|(_, unacked)| unacked).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Unacked)> {
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
