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
    /// For whoever receives it first, so that the broker need not touch the content then: another processor core has it at hand.
    handle: Option<Arc<Content>>,
    /// How large the body is, for the same reason.
    size: u32,
}

#[derive(Debug)]
pub(crate) struct Hidden {
    pub(crate) keys: Vec<String>,
}

impl Parcel {
    pub(crate) fn new(content: Arc<Content>) -> Parcel {
        Parcel::with_hidden(content, None)
    }

    pub(crate) fn with_hidden(content: Arc<Content>, hidden: Option<Arc<Hidden>>) -> Parcel {
        let handle = Some(Arc::clone(&content));
        let size = u32::try_from(content.body.len()).unwrap_or(u32::MAX);
        Parcel { content, hidden, handle, size }
    }

    /// The content for one who receives it.
    pub(crate) fn handle(&mut self) -> Arc<Content> {
        self.handle.take().unwrap_or_else(|| Arc::clone(&self.content))
    }
}

/// A message in a queue, or taken from it and not yet settled.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) parcel: Parcel,
    /// When it expires; [`NEVER`] if it does not.
    pub(crate) expires: u64,
    /// Its place in its queue.
    pub(crate) number: u64,
    /// How often it came back to its queue.
    pub(crate) returns: u32,
    /// Whether it goes before all that do not, in a queue that has such.
    pub(crate) first: bool,
}

impl Entry {
    pub(crate) fn new(parcel: Parcel, expires: u64, number: u64) -> Entry {
        Entry { parcel, expires, number, returns: 0, first: false }
    }

    pub(crate) fn redelivered(&self) -> bool {
        self.returns > 0
    }

    pub(crate) fn count_return(&mut self) {
        self.returns = self.returns.saturating_add(1);
    }

    fn size(&self) -> u64 {
        self.parcel.size.into()
    }
}

/// What goes before what, whatever its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// Nothing.
    None,
    /// Messages of higher priority, up to this one.
    Priority(u8),
    /// Messages that are marked as [`first`](Entry::first).
    First,
}

/// The ready messages: by precedence, then by number.
#[derive(Debug)]
pub(crate) struct Ready {
    precedence: Precedence,
    levels: Box<[VecDeque<Entry>]>,
    length: usize,
    bytes: u64,
    expiring: usize,
}

impl Ready {
    pub(crate) fn new(precedence: Precedence) -> Ready {
        let highest = match precedence {
            Precedence::None => 0,
            Precedence::Priority(highest) => highest,
            Precedence::First => 1,
        };
        Ready {
            precedence,
            levels: (0..=highest).map(|_| VecDeque::new()).collect(),
            length: 0,
            bytes: 0,
            expiring: 0,
        }
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
        entries.sort_unstable_by_key(|entry| entry.number);
        for level in 0..self.levels.len() {
            let (here, rest): (Vec<Entry>, Vec<Entry>) =
                entries.into_iter().partition(|entry| self.level(entry) == level);
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
        let position = queue.partition_point(|other| other.number < entry.number);
        queue.insert(position, entry);
    }

    /// Empties it; how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        let count = self.length;
        *self = Ready::new(self.precedence);
        count
    }

    fn count(&mut self, entry: &Entry) {
        self.length += 1;
        self.bytes += entry.size();
        self.expiring += usize::from(entry.expires != NEVER);
    }

    /// Puts messages that leave together in the order in which they would be taken, as far as priorities tell.
    pub(crate) fn sort_by_precedence(&self, entries: &mut [Entry]) {
        if matches!(self.precedence, Precedence::Priority(_)) {
            entries.sort_by_key(|entry| std::cmp::Reverse(self.level(entry)));
        }
    }

    fn level(&self, entry: &Entry) -> usize {
        match self.precedence {
            Precedence::None => 0,
            Precedence::Priority(highest) => {
                usize::from(entry.parcel.content.properties.priority().unwrap_or(0).min(highest))
            }
            Precedence::First => usize::from(entry.first),
        }
    }
}

/// Merges `entries`, which are sorted, into `queue`; touches only what lies before the last of them.
fn merge_front(queue: &mut VecDeque<Entry>, mut entries: Vec<Entry>) {
    let Some(last) = entries.last() else { return };
    let before = queue.partition_point(|other| other.number < last.number);
    let mut overtaken: Vec<Entry> = queue.drain(..before).collect();
    while let Some(entry) = entries.pop() {
        while let Some(other) = overtaken.pop_if(|other| other.number > entry.number) {
            queue.push_front(other);
        }
        queue.push_front(entry);
    }
    while let Some(entry) = overtaken.pop() {
        queue.push_front(entry);
    }
}
