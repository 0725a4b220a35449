//! The numbers of channels, and the channels that hold them.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use carrot_amqp_wire::{BodyPart, Method, WireError};
use carrot_core::Error;

use super::in_flight::ChannelId;
use crate::sync::{lock, wait_until};

/// A peer that broke the protocol: the code and the text with which the connection is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl Violation {
    /// A frame that the state of its channel does not allow (AMQP 505).
    pub(crate) fn unexpected_frame(what: impl fmt::Display) -> Violation {
        Violation { code: 505, text: format!("UNEXPECTED_FRAME - {what}") }
    }

    /// A body that is larger than any broker stores (AMQP 311).
    pub(crate) fn content_too_large(size: u64, limit: u64) -> Violation {
        let text = format!("CONTENT_TOO_LARGE - a body of {size} bytes, and the limit is {limit}");
        Violation { code: 311, text }
    }

    /// More than this side can keep (AMQP 506).
    pub(crate) fn resource_error(what: impl fmt::Display) -> Violation {
        Violation { code: 506, text: format!("RESOURCE_ERROR - {what}") }
    }

    /// A method that the state of its channel does not allow (AMQP 503).
    pub(crate) fn command_invalid(what: impl fmt::Display) -> Violation {
        Violation { code: 503, text: format!("COMMAND_INVALID - {what}") }
    }
}

impl From<WireError> for Violation {
    fn from(error: WireError) -> Violation {
        Violation { code: error.reply_code(), text: error.to_string() }
    }
}

/// The broker's answer to one publication, or to all up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confirm {
    /// With `multiple`, 0 stands for all.
    pub(crate) tag: u64,
    pub(crate) multiple: bool,
    pub(crate) refused: bool,
}

/// The place of a part of a body, to be read from the socket without a copy.
#[derive(Debug)]
pub(crate) struct BodyPlace {
    pub(crate) buffer: Vec<u8>,
    pub(crate) range: Range<usize>,
}

impl BodyPlace {
    pub(crate) fn octets(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.range.clone()).unwrap_or_default()
    }
}

/// A channel as its connection sees it. The reader calls all methods, none of which blocks.
pub(crate) trait ChannelEnd: Send + Sync {
    /// Returns the identity of the channel in [`CallsInFlight`](super::in_flight::CallsInFlight).
    fn id(&self) -> ChannelId;

    /// Returns the number of messages without an answer.
    fn unconfirmed(&self) -> u64;

    /// Takes a method other than a confirm.
    fn method(&self, method: &Method<'_>) -> Result<(), Violation>;

    /// Takes the payload of a content header.
    fn header(&self, payload: &[u8]) -> Result<(), Violation>;

    /// Takes a part of a body.
    fn body(&self, part: &BodyPart<'_>) -> Result<(), Violation>;

    /// Lends the place of the next `missing` octets of the body frame under way. Returns `None` if
    /// they must be passed to [`body`](ChannelEnd::body).
    fn lend_place(&self, missing: usize) -> Option<BodyPlace>;

    /// Takes back a place, after `count` octets were read into it.
    fn return_place(&self, place: BodyPlace, count: usize);

    /// Takes confirms, in wire order. Returns the number of messages that are likely to be
    /// published at once because of them.
    fn confirm(&self, confirms: &[Confirm]) -> usize;

    /// Takes the end of the connection, which is the channel's first error unless it has one.
    fn end(&self, lost: Error);
}

/// The channels of one connection, from before they are opened until their numbers are free again.
#[derive(Default)]
pub(crate) struct ChannelTable {
    state: Mutex<TableState>,
    freed: Condvar,
}

#[derive(Default)]
struct TableState {
    channels: HashMap<u16, TableEntry>,
    /// The number that was taken last. Numbers are taken in turn, so that a number rests as long as
    /// possible before it is taken again.
    last: u16,
    has_ended: bool,
}

struct TableEntry {
    end: Arc<dyn ChannelEnd>,
    phase: EntryPhase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryPhase {
    Open,
    /// channel.close was sent.
    Closing,
    /// The same, because a call timed out.
    Overdue,
}

/// The reason why no number was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoNumber {
    /// All are in use.
    Exhausted,
    /// All are in use, and none became free until the deadline.
    Late,
    /// The connection has ended.
    Ended,
}

impl ChannelTable {
    /// Takes a number from 1 to `channel_max` for the channel that `create` creates.
    ///
    /// Blocks while all numbers are in use and one is about to be free, at most until `deadline`.
    pub(crate) fn reserve<C: ChannelEnd + 'static>(
        &self,
        channel_max: u16,
        deadline: Instant,
        create: impl FnOnce(u16) -> Arc<C>,
    ) -> Result<Arc<C>, NoNumber> {
        let mut state = lock(&self.state);
        loop {
            if state.has_ended {
                return Err(NoNumber::Ended);
            }
            if let Some(number) = state.next_free(channel_max) {
                let channel = create(number);
                let end: Arc<dyn ChannelEnd> = channel.clone();
                state.channels.insert(number, TableEntry { end, phase: EntryPhase::Open });
                state.last = number;
                return Ok(channel);
            }
            if state.channels.values().all(|entry| entry.phase == EntryPhase::Open) {
                return Err(NoNumber::Exhausted);
            }
            state = wait_until(&self.freed, state, deadline).ok_or(NoNumber::Late)?;
        }
    }

    pub(crate) fn find(&self, number: u16) -> Option<Arc<dyn ChannelEnd>> {
        lock(&self.state).channels.get(&number).map(|entry| Arc::clone(&entry.end))
    }

    /// Notes that channel.close was sent.
    pub(crate) fn closing(&self, number: u16) {
        let mut state = lock(&self.state);
        if let Some(entry) = state.channels.get_mut(&number)
            && entry.phase == EntryPhase::Open
        {
            entry.phase = EntryPhase::Closing;
        }
    }

    /// Notes that the channel is closed because a call timed out. Returns whether half of all
    /// numbers are kept by such channels.
    pub(crate) fn overdue(&self, number: u16, channel_max: u16) -> bool {
        let mut state = lock(&self.state);
        if let Some(entry) = state.channels.get_mut(&number) {
            entry.phase = EntryPhase::Overdue;
        }
        let is_overdue = |entry: &&TableEntry| entry.phase == EntryPhase::Overdue;
        let count = state.channels.values().filter(is_overdue).count();
        count * 2 >= usize::from(channel_max).max(2)
    }

    /// Frees a number, after its channel was closed.
    pub(crate) fn free(&self, number: u16) {
        let mut state = lock(&self.state);
        let freed = state.channels.remove(&number);
        drop(state);
        drop(freed);
        self.freed.notify_all();
    }

    /// Returns the number of messages without an answer, for each channel.
    pub(crate) fn unconfirmed(&self) -> Vec<(ChannelId, u64)> {
        let state = lock(&self.state);
        state.channels.values().map(|entry| (entry.end.id(), entry.end.unconfirmed())).collect()
    }

    /// Removes all channels, and takes no more.
    pub(crate) fn end(&self) -> Vec<Arc<dyn ChannelEnd>> {
        let mut state = lock(&self.state);
        state.has_ended = true;
        let channels = std::mem::take(&mut state.channels);
        drop(state);
        self.freed.notify_all();
        channels.into_values().map(|entry| entry.end).collect()
    }
}

impl TableState {
    fn next_free(&self, channel_max: u16) -> Option<u16> {
        let later = (self.last.min(channel_max)..channel_max).map(|before| before + 1);
        later
            .chain(1..=self.last.min(channel_max))
            .find(|number| !self.channels.contains_key(number))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Stub(u16);

    impl ChannelEnd for Stub {
        fn id(&self) -> ChannelId {
            crate::connection::in_flight::CallsInFlight::default().id()
        }
        fn unconfirmed(&self) -> u64 {
            0
        }
        fn method(&self, _: &Method<'_>) -> Result<(), Violation> {
            Ok(())
        }
        fn header(&self, _: &[u8]) -> Result<(), Violation> {
            Ok(())
        }
        fn body(&self, _: &BodyPart<'_>) -> Result<(), Violation> {
            Ok(())
        }
        fn lend_place(&self, _: usize) -> Option<BodyPlace> {
            None
        }
        fn return_place(&self, _: BodyPlace, _: usize) {}
        fn confirm(&self, _: &[Confirm]) -> usize {
            0
        }
        fn end(&self, _: Error) {}
    }

    fn reserve(table: &ChannelTable) -> Result<u16, NoNumber> {
        let soon = Instant::now() + Duration::from_millis(10);
        table.reserve(4, soon, |number| Arc::new(Stub(number))).map(|stub| stub.0)
    }

    #[test]
    fn numbers_are_taken_in_turn_and_rest_after_they_were_freed() {
        let table = ChannelTable::default();
        assert_eq!([(); 3].map(|()| reserve(&table)), [Ok(1), Ok(2), Ok(3)]);
        table.free(1);
        assert_eq!([reserve(&table), reserve(&table)], [Ok(4), Ok(1)]);
        assert_eq!(reserve(&table), Err(NoNumber::Exhausted));
        table.closing(2);
        assert_eq!(reserve(&table), Err(NoNumber::Late));
        table.free(2);
        assert_eq!(reserve(&table), Ok(2));
        table.end();
        assert_eq!(reserve(&table), Err(NoNumber::Ended));
    }

    #[test]
    fn half_of_the_numbers_kept_by_overdue_calls_is_too_many() {
        let table = ChannelTable::default();
        assert_eq!([(); 3].map(|()| reserve(&table)), [Ok(1), Ok(2), Ok(3)]);
        table.closing(3);
        assert!(!table.overdue(1, 4));
        assert!(table.overdue(2, 4));
        table.free(1);
        assert!(!table.overdue(2, 4));
    }
}
