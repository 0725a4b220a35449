//! The frames that wait to be written to one connection.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use carrot_amqp_wire::{ConnectionClose, FrameWriter, Method};
use carrot_core::backend::{Content, Delivery, ShortString};

use crate::close::Close;
use crate::sync::{lock, wait, wait_until};

/// Above this size, in bytes, deliveries stay in their queues.
const ROOM: usize = 256 << 10;
/// Above this size, in bytes, the server reads no more from the peer.
const MOST: usize = 4 << 20;
/// The size of what others may send to a peer that does not read, in bytes: direct replies, and
/// notices of the server. Above this size, the connection is closed.
const MOST_UNREAD: usize = 64 << 20;
/// The time that a peer has to read the close of such a connection.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The size that an event is counted with, in addition to its message, in bytes.
const OVERHEAD: usize = 256;

/// Something to write.
#[derive(Debug)]
pub(crate) enum Item {
    /// Whole frames.
    Frames(Vec<u8>),
    Delivered {
        channel: u16,
        consumer_tag: ShortString,
        delivery: Delivery,
    },
    Fetched {
        channel: u16,
        delivery: Delivery,
        remaining: usize,
    },
    Returned {
        channel: u16,
        content: Arc<Content>,
    },
    Confirmed(ConfirmedRange),
}

/// Confirms of messages that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConfirmedRange {
    pub(crate) channel: u16,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) is_accepted: bool,
    /// Whether the confirm must not cover other messages.
    pub(crate) is_alone: bool,
}

impl ConfirmedRange {
    /// Adds a range that follows, if one method can confirm both.
    fn extend(&mut self, next: ConfirmedRange) -> bool {
        let fits = self.channel == next.channel
            && self.is_accepted
            && next.is_accepted
            && !self.is_alone
            && !next.is_alone
            && self.last + 1 == next.first;
        if fits {
            self.last = next.last;
        }
        fits
    }
}

impl Item {
    fn size(&self) -> usize {
        OVERHEAD
            + match self {
                Item::Frames(octets) => octets.len(),
                Item::Delivered { delivery, .. } | Item::Fetched { delivery, .. } => {
                    size_of_message(&delivery.content)
                }
                Item::Returned { content, .. } => size_of_message(content),
                Item::Confirmed(_) => 0,
            }
    }
}

fn size_of_message(content: &Content) -> usize {
    content.body.len() + content.properties.wire_octets().map_or(0, <[u8]>::len)
}

/// The queue between the threads that have something to send, and the writer of a connection.
///
/// Adding never waits for the socket. Deliveries are refused while the queue has no room. The
/// reader of the connection waits before it does more for the peer while the queue is full. Direct
/// replies and notices of the server are never refused: too many of them close the connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    frame_max: AtomicU32,
    /// Whether the size of the items has reached [`MOST`].
    is_full: AtomicBool,
    state: Mutex<OutgoingState>,
    /// Wakes the writer.
    added: Condvar,
    /// Wakes the reader.
    written: Condvar,
}

#[derive(Debug, Default)]
struct OutgoingState {
    items: VecDeque<Item>,
    /// The size of the items, and of those that are being written.
    bytes: usize,
    /// The size of the items that others added while there was no room, at most.
    unread: usize,
    /// The time until which the peer has to read its close, once too much was unread.
    overdue_at: Option<Instant>,
    is_writer_waiting: bool,
    /// Whether a delivery was refused since the last time that there was room.
    lacked_room: bool,
    /// Whether a close was added, after which nothing follows.
    is_sealed: bool,
    /// Whether the writer ends once everything is written.
    is_ending: bool,
    /// Whether the writer has ended, or the socket was lost.
    is_over: bool,
}

/// A part of the queue for the writer.
#[derive(Debug)]
pub(crate) struct WriteBatch {
    pub(crate) items: Vec<Item>,
    bytes: usize,
}

/// The next task of the writer.
#[derive(Debug)]
pub(crate) enum WriterTask {
    Write(WriteBatch),
    Heartbeat,
    End,
}

impl Outgoing {
    pub(crate) fn new(frame_max: u32) -> Outgoing {
        Outgoing {
            frame_max: AtomicU32::new(frame_max),
            is_full: false.into(),
            state: Mutex::default(),
            added: Condvar::new(),
            written: Condvar::new(),
        }
    }

    pub(crate) fn frame_max(&self) -> u32 {
        self.frame_max.load(Ordering::Relaxed)
    }

    pub(crate) fn set_frame_max(&self, frame_max: u32) {
        self.frame_max.store(frame_max, Ordering::Relaxed);
    }

    /// Adds an item that the peer need not have caused, and wakes the writer.
    ///
    /// Closes the connection if the peer does not read what others have added. The items that the
    /// writer has not taken are dropped then.
    pub(crate) fn send(&self, item: Item) {
        let mut state = lock(&self.state);
        if state.bytes >= ROOM && !state.is_sealed {
            if state.unread >= MOST_UNREAD {
                let items = self.overflow(&mut state);
                drop(state);
                drop(items);
                return self.added.notify_one();
            }
            state.unread += item.size();
        }
        let is_writer_waiting = self.add_to(&mut state, item);
        drop(state);
        if is_writer_waiting {
            self.added.notify_one();
        }
    }

    /// Adds a method, as [`send`](Outgoing::send).
    pub(crate) fn notify(&self, channel: u16, method: &Method<'_>) {
        if let Some(item) = self.frames_of(channel, method) {
            self.send(item);
        }
    }

    /// Replaces what the writer has not taken with a close. Returns the items.
    fn overflow(&self, state: &mut OutgoingState) -> VecDeque<Item> {
        let items = mem::take(&mut state.items);
        state.bytes -= items.iter().map(Item::size).sum::<usize>();
        let close = Close::unread(MOST_UNREAD);
        if let Some(item) = self.frames_of(0, &close_method(&close)) {
            self.add_to(state, item);
        }
        state.is_sealed = true;
        state.overdue_at = Instant::now().checked_add(READ_TIMEOUT);
        self.is_full.store(state.bytes >= MOST, Ordering::Relaxed);
        self.written.notify_all();
        items
    }

    /// Whether the connection was closed because the peer does not read.
    pub(crate) fn has_overflowed(&self) -> bool {
        lock(&self.state).overdue_at.is_some()
    }

    /// Adds an item that [`flush`](Outgoing::flush) follows soon. Returns whether the writer waits.
    pub(crate) fn add(&self, item: Item) -> bool {
        self.add_to(&mut lock(&self.state), item)
    }

    fn add_to(&self, state: &mut OutgoingState, item: Item) -> bool {
        if state.is_sealed || state.is_over {
            return false;
        }
        if let (Item::Confirmed(next), Some(Item::Confirmed(last))) =
            (&item, state.items.back_mut())
            && last.extend(*next)
        {
            return state.is_writer_waiting;
        }
        state.bytes += item.size();
        if state.bytes >= MOST {
            self.is_full.store(true, Ordering::Relaxed);
        }
        state.items.push_back(item);
        state.is_writer_waiting
    }

    /// Adds a method, as [`add`](Outgoing::add).
    pub(crate) fn method(&self, channel: u16, method: &Method<'_>) {
        if let Some(item) = self.frames_of(channel, method) {
            self.add(item);
        }
    }

    fn frames_of(&self, channel: u16, method: &Method<'_>) -> Option<Item> {
        let mut octets = Vec::new();
        FrameWriter::new(&mut octets, channel, self.frame_max()).method(method).ok()?;
        Some(Item::Frames(octets))
    }

    /// Adds octets that are no frame, as [`add`](Outgoing::add).
    pub(crate) fn octets(&self, octets: &[u8]) {
        self.add(Item::Frames(octets.to_vec()));
    }

    /// Wakes the writer, if anything waits for it.
    pub(crate) fn flush(&self) {
        let state = lock(&self.state);
        if state.is_writer_waiting && !state.items.is_empty() {
            drop(state);
            self.added.notify_one();
        }
    }

    /// Adds `connection.close` as the last method. Returns `false` if there was one before.
    pub(crate) fn close(&self, close: &Close) -> bool {
        self.seal_with(Some(&close_method(close)))
    }

    /// Adds the last method, if any. Returns `false` if the queue was sealed before.
    pub(crate) fn seal_with(&self, method: Option<&Method<'_>>) -> bool {
        if lock(&self.state).is_sealed {
            return false;
        }
        if let Some(method) = method {
            self.method(0, method);
        }
        let mut state = lock(&self.state);
        let was_sealed = mem::replace(&mut state.is_sealed, true);
        drop(state);
        self.added.notify_one();
        !was_sealed
    }

    /// Whether a close was added.
    pub(crate) fn is_sealed(&self) -> bool {
        lock(&self.state).is_sealed
    }

    /// Whether deliveries are accepted.
    pub(crate) fn has_room(&self) -> bool {
        let mut state = lock(&self.state);
        let has_room = state.bytes < ROOM && !state.is_sealed && !state.is_over;
        state.lacked_room |= !has_room;
        has_room
    }

    /// Whether [`wait_for_room`](Outgoing::wait_for_room) would wait, as far as this thread knows.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Waits until the queue is not full. Returns `false` once the socket is lost.
    pub(crate) fn wait_for_room(&self) -> bool {
        let mut state = lock(&self.state);
        while state.bytes >= MOST && !state.is_over {
            if state.is_writer_waiting {
                self.added.notify_one();
            }
            state = wait(&self.written, state);
        }
        !state.is_over
    }

    /// Waits for the next task of the writer. With `heartbeat`, a heartbeat is due after this time.
    pub(crate) fn next_task(&self, heartbeat: Option<Duration>) -> WriterTask {
        let due = heartbeat.and_then(|pause| Instant::now().checked_add(pause));
        let mut state = lock(&self.state);
        loop {
            if state.is_over {
                return WriterTask::End;
            }
            if !state.items.is_empty() {
                return WriterTask::Write(state.take());
            }
            if state.is_ending {
                state.is_over = true;
                return WriterTask::End;
            }
            state.is_writer_waiting = true;
            let mut passed = false;
            match state.overdue_at.or(due) {
                Some(due) => (state, passed) = wait_until(&self.added, state, due),
                None => state = wait(&self.added, state),
            }
            state.is_writer_waiting = false;
            if passed && state.items.is_empty() && !state.is_over {
                if state.overdue_at.is_some() {
                    state.is_over = true;
                    return WriterTask::End;
                }
                return WriterTask::Heartbeat;
            }
        }
    }

    /// Notes that a batch was written. Returns whether deliveries that were refused fit now.
    pub(crate) fn note_written(&self, batch: &WriteBatch) -> bool {
        let mut state = lock(&self.state);
        let was_full = state.bytes >= MOST;
        state.bytes -= batch.bytes;
        let is_full = state.bytes >= MOST;
        self.is_full.store(is_full, Ordering::Relaxed);
        state.unread = state.unread.min(state.bytes);
        let resumes = state.lacked_room && state.bytes < ROOM / 2;
        if resumes {
            state.lacked_room = false;
        }
        drop(state);
        if was_full && !is_full {
            self.written.notify_all();
        }
        resumes
    }

    /// Ends the writer once everything is written.
    pub(crate) fn end(&self) {
        lock(&self.state).is_ending = true;
        self.added.notify_all();
    }

    /// Whether the writer gives up a peer that does not read: the writer ends once everything is
    /// written, or has ended, or the peer has not read its close in time.
    pub(crate) fn is_ending(&self) -> bool {
        let state = lock(&self.state);
        let is_overdue = state.overdue_at.is_some_and(|overdue_at| overdue_at <= Instant::now());
        state.is_ending || state.is_over || is_overdue
    }

    /// Drops everything, because the socket is lost.
    pub(crate) fn abandon(&self) {
        let mut state = lock(&self.state);
        state.is_over = true;
        state.is_sealed = true;
        let items = mem::take(&mut state.items);
        drop(state);
        drop(items);
        self.added.notify_all();
        self.written.notify_all();
    }
}

fn close_method(close: &Close) -> Method<'_> {
    let (class_id, method_id) = close.method;
    let reply_text = close.text.as_str().into();
    ConnectionClose { reply_code: close.code, reply_text, class_id, method_id }.into()
}

impl OutgoingState {
    /// Takes items of up to [`ROOM`] bytes, at least one.
    fn take(&mut self) -> WriteBatch {
        let mut bytes = 0;
        let mut items = Vec::new();
        while let Some(item) = self.items.pop_front() {
            bytes += item.size();
            items.push(item);
            if bytes >= ROOM {
                break;
            }
        }
        WriteBatch { items, bytes }
    }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
