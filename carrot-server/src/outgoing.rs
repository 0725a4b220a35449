//! The frames that wait to be written to one connection.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
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
/// The size that an event is counted with, in addition to its body, in bytes.
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
                    delivery.content.body.len()
                }
                Item::Returned { content, .. } => content.body.len(),
                Item::Confirmed(_) => 0,
            }
    }
}

/// The queue between the threads that have something to send, and the writer of a connection.
///
/// Adding never waits for the socket. Deliveries are refused while the queue has no room. The
/// reader of the connection waits before it reads more while the queue is full.
#[derive(Debug)]
pub(crate) struct Outgoing {
    frame_max: AtomicU32,
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

    /// Adds an item, and wakes the writer.
    pub(crate) fn send(&self, item: Item) {
        if self.add(item) {
            self.added.notify_one();
        }
    }

    /// Adds an item that [`flush`](Outgoing::flush) follows soon. Returns whether the writer waits.
    pub(crate) fn add(&self, item: Item) -> bool {
        let mut state = lock(&self.state);
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
        state.items.push_back(item);
        state.is_writer_waiting
    }

    /// Adds a method, as [`add`](Outgoing::add).
    pub(crate) fn method(&self, channel: u16, method: &Method<'_>) {
        let mut octets = Vec::new();
        if FrameWriter::new(&mut octets, channel, self.frame_max()).method(method).is_ok() {
            self.add(Item::Frames(octets));
        }
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
        let (class_id, method_id) = close.method;
        let method = ConnectionClose {
            reply_code: close.code,
            reply_text: close.text.as_str().into(),
            class_id,
            method_id,
        };
        self.seal_with(Some(&method.into()))
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
            match due {
                Some(due) => (state, passed) = wait_until(&self.added, state, due),
                None => state = wait(&self.added, state),
            }
            state.is_writer_waiting = false;
            if passed && state.items.is_empty() && !state.is_over {
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

    /// Whether the writer ends once everything is written, or has ended.
    pub(crate) fn is_ending(&self) -> bool {
        let state = lock(&self.state);
        state.is_ending || state.is_over
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
