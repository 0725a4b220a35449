//! Returned messages that a quorum queue delays (`x-delayed-retry-type`).

use std::collections::BTreeMap;

use crate::clock::NEVER;
use crate::queue::message::QueuedMessage;

/// Which returned messages a queue delays, and for how long. Times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryDelay {
    /// Whether messages are delayed whose delivery has failed.
    pub(crate) failed: bool,
    /// Whether returned messages are delayed whose delivery has not failed.
    pub(crate) returned: bool,
    pub(crate) shortest: u64,
    pub(crate) longest: u64,
}

impl RetryDelay {
    /// Returns the pause of a message, which grows with the number of its failed deliveries.
    pub(crate) fn pause(&self, has_failed: bool, failures: u32) -> Option<u64> {
        let is_delayed = if has_failed { self.failed } else { self.returned };
        let pause = self.shortest.saturating_mul(u64::from(failures.max(1))).min(self.longest);
        is_delayed.then_some(pause)
    }
}

/// The delayed messages of a queue, by the time at which they are ready, then by their number.
#[derive(Debug, Default)]
pub(crate) struct DelayedMessages {
    messages: BTreeMap<(u64, u64), QueuedMessage>,
    bytes: u64,
}

impl DelayedMessages {
    pub(crate) fn add(&mut self, due: u64, message: QueuedMessage) {
        self.bytes += message.message.size();
        self.messages.insert((due, message.number), message);
    }

    /// Returns when the next message is ready.
    pub(crate) fn next_due(&self) -> u64 {
        self.messages.first_key_value().map_or(NEVER, |((due, _), _)| *due)
    }

    /// Removes the next message, if it is ready.
    pub(crate) fn pop_ready(&mut self, now: u64) -> Option<QueuedMessage> {
        if self.next_due() > now {
            return None;
        }
        let (_, message) = self.messages.pop_first()?;
        self.bytes -= message.message.size();
        Some(message)
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns the size of all bodies in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &QueuedMessage> {
        self.messages.values()
    }

    /// Removes all messages. Returns how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        std::mem::take(self).messages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_grows_with_the_failures_up_to_the_longest() {
        let delay = RetryDelay { failed: true, returned: false, shortest: 300, longest: 700 };
        let pauses = [1, 2, 3, 4, u32::MAX].map(|failures| delay.pause(true, failures));
        assert_eq!(pauses, [300, 600, 700, 700, 700].map(Some));
        assert_eq!(delay.pause(false, 1), None);
    }
}
