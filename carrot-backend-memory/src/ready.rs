//! The messages of a queue that wait for a taker, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use carrot_core::backend::Content;

use crate::clock::NEVER;

/// A message as it travels inside the broker: what a publisher sent, and the routing keys that no receiver is to see (`BCC`).
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    pub(crate) content: Arc<Content>,
    pub(crate) hidden: Option<Arc<Hidden>>,
}

#[derive(Debug)]
pub(crate) struct Hidden {
    pub(crate) keys: Vec<String>,
}

impl Parcel {
    pub(crate) fn new(content: Arc<Content>) -> Parcel {
        Parcel { content, hidden: None }
    }
}

/// A message in a queue, or taken from it and not yet settled. A million of them are to fit into little, hence the packing.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) parcel: Parcel,
    /// When it expires; [`NEVER`] if it does not.
    pub(crate) expires: u64,
    /// Twice its number in the queue, plus one if it was delivered before.
    place: u64,
}

impl Entry {
    pub(crate) fn new(parcel: Parcel, expires: u64, number: u64) -> Entry {
        Entry { parcel, expires, place: number << 1 }
    }

    pub(crate) fn redelivered(&self) -> bool {
        self.place & 1 == 1
    }

    pub(crate) fn mark_redelivered(&mut self) {
        self.place |= 1;
    }

    fn number(&self) -> u64 {
        self.place >> 1
    }

    fn size(&self) -> u64 {
        self.parcel.content.body.len() as u64
    }
}

/// The ready messages: first by priority, if the queue has priorities, then by number.
#[derive(Debug)]
pub(crate) struct Ready {
    levels: Box<[VecDeque<Entry>]>,
    length: usize,
    bytes: u64,
    expiring: usize,
}

impl Ready {
    pub(crate) fn new(max_priority: Option<u8>) -> Ready {
        let levels = (0..=max_priority.unwrap_or(0)).map(|_| VecDeque::new()).collect();
        Ready { levels, length: 0, bytes: 0, expiring: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bytes of all bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether any message in it expires at all.
    pub(crate) fn has_expiring(&self) -> bool {
        self.expiring > 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.levels.iter().rev().flatten()
    }

    pub(crate) fn head(&self) -> Option<&Entry> {
        self.levels.iter().rev().find_map(VecDeque::front)
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.count(&entry);
        let level = self.level(&entry);
        self.levels[level].push_back(entry);
    }

    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let entry = self.levels.iter_mut().rev().find_map(VecDeque::pop_front)?;
        self.length -= 1;
        self.bytes -= entry.size();
        self.expiring -= usize::from(entry.expires != NEVER);
        Some(entry)
    }

    /// Puts messages back where they were, by their numbers.
    pub(crate) fn put_back(&mut self, mut entries: Vec<Entry>) {
        if let [_] = entries[..]
            && let Some(entry) = entries.pop()
        {
            self.put_back_one(entry);
            return;
        }
        entries.sort_unstable_by_key(Entry::number);
        for level in 0..self.levels.len() {
            let (here, rest): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| self.level(entry) == level);
            here.iter().for_each(|entry| self.count(entry));
            merge_front(&mut self.levels[level], here);
            entries = rest;
            if entries.is_empty() {
                return;
            }
        }
    }

    pub(crate) fn put_back_one(&mut self, entry: Entry) {
        self.count(&entry);
        let level = self.level(&entry);
        let queue = &mut self.levels[level];
        let position = queue.partition_point(|other| other.number() < entry.number());
        queue.insert(position, entry);
    }

    /// Empties it; how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        let count = self.length;
        *self = Ready { levels: self.levels.iter().map(|_| VecDeque::new()).collect(), length: 0, bytes: 0, expiring: 0 };
        count
    }

    fn count(&mut self, entry: &Entry) {
        self.length += 1;
        self.bytes += entry.size();
        self.expiring += usize::from(entry.expires != NEVER);
    }

    fn level(&self, entry: &Entry) -> usize {
        match self.levels.len() {
            1 => 0,
            levels => usize::from(entry.parcel.content.properties.priority().unwrap_or(0)).min(levels - 1),
        }
    }
}

/// Merges `entries`, which are sorted, into `queue`; touches only what lies before the last of them.
fn merge_front(queue: &mut VecDeque<Entry>, mut entries: Vec<Entry>) {
    let Some(last) = entries.last() else { return };
    let before = queue.partition_point(|other| other.number() < last.number());
    let mut overtaken: Vec<Entry> = queue.drain(..before).collect();
    while let Some(entry) = entries.pop() {
        while let Some(other) = overtaken.pop_if(|other| other.number() > entry.number()) {
            queue.push_front(other);
        }
        queue.push_front(entry);
    }
    while let Some(entry) = overtaken.pop() {
        queue.push_front(entry);
    }
}
