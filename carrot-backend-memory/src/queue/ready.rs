//! The ready messages of a queue, in order.

use std::collections::VecDeque;

use crate::clock::NEVER;
use crate::queue::message::QueuedMessage;
use crate::release_rules::QuorumPriorities;

/// The messages that are delivered first, regardless of their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// No message.
    None,
    /// Messages of higher priority, up to this one.
    Priority(u8),
    /// Messages that are marked as [`first`](QueuedMessage::first), then messages of higher
    /// priority.
    First(Option<QuorumPriorities>),
}

/// The ready messages, by precedence, then by number.
#[derive(Debug)]
pub(crate) struct ReadyMessages {
    precedence: Precedence,
    levels: Box<[VecDeque<QueuedMessage>]>,
    length: usize,
    bytes: u64,
    expiring: usize,
}

impl ReadyMessages {
    pub(crate) fn new(precedence: Precedence) -> ReadyMessages {
        let highest = match precedence {
            Precedence::None => 0,
            Precedence::Priority(highest) => highest,
            Precedence::First(priorities) => {
                priorities.map_or(0, |priorities| priorities.highest) + 1
            }
        };
        ReadyMessages {
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

    /// Returns the size of all bodies in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether any of the messages expires.
    pub(crate) fn has_expiring(&self) -> bool {
        self.expiring > 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &QueuedMessage> {
        self.levels.iter().rev().flatten()
    }

    /// Returns the earliest expiry among the messages that are checked for it.
    ///
    /// A classic queue checks its head, a quorum queue the first message of each priority.
    pub(crate) fn next_expiry(&self) -> u64 {
        self.checked_levels()
            .filter_map(|level| self.levels[level].front())
            .map(|head| head.expires)
            .min()
            .unwrap_or(NEVER)
    }

    /// Removes an expired message, of those that are checked for it.
    pub(crate) fn pop_expired(&mut self, now: u64) -> Option<QueuedMessage> {
        let level = self
            .checked_levels()
            .find(|level| self.levels[*level].front().is_some_and(|head| head.expires <= now))?;
        let message = self.levels[level].pop_front()?;
        self.uncount(&message);
        Some(message)
    }

    /// Returns the levels whose first message is checked for its expiry, highest first.
    fn checked_levels(&self) -> impl Iterator<Item = usize> {
        let most = match self.precedence {
            Precedence::First(_) => usize::MAX,
            Precedence::None | Precedence::Priority(_) => 1,
        };
        (0..self.levels.len()).rev().filter(|level| !self.levels[*level].is_empty()).take(most)
    }

    pub(crate) fn push(&mut self, message: QueuedMessage) {
        self.count(&message);
        let level = self.level(&message);
        self.levels[level].push_back(message);
    }

    pub(crate) fn pop(&mut self) -> Option<QueuedMessage> {
        let message = self.levels.iter_mut().rev().find_map(VecDeque::pop_front)?;
        self.uncount(&message);
        Some(message)
    }

    /// Restores messages to their positions, by their numbers.
    pub(crate) fn put_back(&mut self, mut messages: Vec<QueuedMessage>) {
        if let [_] = messages[..]
            && let Some(message) = messages.pop()
        {
            self.put_back_one(message);
            return;
        }
        messages.sort_unstable_by_key(|message| message.number);
        for level in 0..self.levels.len() {
            let (here, rest): (Vec<QueuedMessage>, Vec<QueuedMessage>) =
                messages.into_iter().partition(|message| self.level(message) == level);
            here.iter().for_each(|message| self.count(message));
            merge_front(&mut self.levels[level], here);
            messages = rest;
            if messages.is_empty() {
                return;
            }
        }
    }

    pub(crate) fn put_back_one(&mut self, message: QueuedMessage) {
        self.count(&message);
        let level = self.level(&message);
        let queue = &mut self.levels[level];
        let position = queue.partition_point(|other| other.number < message.number);
        queue.insert(position, message);
    }

    /// Removes all messages. Returns how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        let count = self.length;
        *self = ReadyMessages::new(self.precedence);
        count
    }

    fn count(&mut self, message: &QueuedMessage) {
        self.length += 1;
        self.bytes += message.message.size();
        self.expiring += usize::from(message.expires != NEVER);
    }

    fn uncount(&mut self, message: &QueuedMessage) {
        self.length -= 1;
        self.bytes -= message.message.size();
        self.expiring -= usize::from(message.expires != NEVER);
    }

    /// Sorts messages that leave together by priority, highest first.
    pub(crate) fn sort_by_precedence(&self, messages: &mut [QueuedMessage]) {
        if matches!(self.precedence, Precedence::Priority(_)) {
            messages.sort_by_key(|message| std::cmp::Reverse(self.level(message)));
        }
    }

    fn level(&self, message: &QueuedMessage) -> usize {
        match self.precedence {
            Precedence::None => 0,
            Precedence::Priority(highest) => {
                usize::from(message.message.content.properties.priority().unwrap_or(0).min(highest))
            }
            Precedence::First(priorities) => match (message.first, priorities) {
                (true, _) => self.levels.len() - 1,
                (false, None) => 0,
                (false, Some(QuorumPriorities { highest, default })) => {
                    let priority = message.message.content.properties.priority();
                    usize::from(priority.unwrap_or(default).min(highest))
                }
            },
        }
    }
}

/// Merges `messages`, which are sorted, into `queue`. Moves only messages before the last of them.
fn merge_front(queue: &mut VecDeque<QueuedMessage>, mut messages: Vec<QueuedMessage>) {
    let Some(last) = messages.last() else { return };
    let before = queue.partition_point(|other| other.number < last.number);
    let mut overtaken: Vec<QueuedMessage> = queue.drain(..before).collect();
    while let Some(message) = messages.pop() {
        while let Some(other) = overtaken.pop_if(|other| other.number > message.number) {
            queue.push_front(other);
        }
        queue.push_front(message);
    }
    while let Some(message) = overtaken.pop() {
        queue.push_front(message);
    }
}
