//! The items that wait to be written to one connection.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::sync::{lock, wait, wait_until};

mod write_turn;

pub use write_turn::WriteTurn;

/// Above this size, in bytes, deliveries stay in their queues.
pub const DELIVERY_ROOM: usize = 256 << 10;
/// Above this size, in bytes, nothing more is read from the peer.
pub const MOST_WAITING: usize = 4 << 20;

/// The size of what others may send to a peer that does not read, in bytes: direct replies, and
/// notices of the server. Above this size, the connection ends.
pub const MOST_UNREAD: usize = 64 << 20;
/// The time that a peer has to read the last item of such a connection.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Something to write.
pub trait OutgoingItem {
    /// Returns the size that the item counts with, in bytes.
    fn size(&self) -> usize;

    /// Adds the item that follows to this one, if one write can say both. Its size does not shrink.
    /// Returns `false` otherwise.
    fn extend(&mut self, next: &Self) -> bool {
        let _ = next;
        false
    }

    /// Returns the last item for a peer that has left more than this number of bytes unread.
    fn end_of_unread(bytes: usize) -> Option<Self>
    where
        Self: Sized;
}

/// The queue between the threads that have something to send, and the writer of a connection.
///
/// Adding never waits for the socket. Deliveries are refused while the queue has no room. The
/// reader of the connection waits before it does more for the peer while the queue is full. Direct
/// replies and notices of the server are never refused: too many of them end the connection.
#[derive(Debug)]
pub struct OutgoingQueue<I> {
    /// Whether the size of the items has reached [`MOST_WAITING`].
    is_full: AtomicBool,
    state: Mutex<OutgoingState<I>>,
    /// Wakes the writer.
    added: Condvar,
    /// Wakes the reader.
    written: Condvar,
}

#[derive(Debug)]
struct OutgoingState<I> {
    items: VecDeque<I>,
    /// The size of the items, and of those that are being written.
    bytes: usize,
    /// The size of the items that others added while there was no room, at most.
    unread: usize,
    /// The time until which the peer has to read its last item, once too much was unread.
    overdue_at: Option<Instant>,
    is_writer_waiting: bool,
    /// Whether another thread than the writer is writing.
    is_turn_taken: bool,
    /// Whether the writer waits for the end of that.
    is_turn_awaited: bool,
    /// Whether a delivery was refused since the last time that there was room.
    lacked_room: bool,
    /// Whether the last item was added, after which nothing follows.
    is_sealed: bool,
    /// Whether the writer ends once everything is written.
    is_ending: bool,
    /// Whether the writer has ended, or the socket was lost.
    is_over: bool,
}

/// A part of the queue for the writer.
#[derive(Debug)]
#[non_exhaustive]
pub struct WriteBatch<I> {
    /// The items, in order.
    pub items: Vec<I>,
    bytes: usize,
}

/// The next task of the writer.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "a writer has to handle each")]
pub enum WriterTask<I> {
    /// Items have to be written.
    Write(WriteBatch<I>),
    /// A heartbeat is due.
    Heartbeat,
    /// Everything is written, or the socket is lost.
    End,
}

impl<I> Default for OutgoingQueue<I> {
    fn default() -> OutgoingQueue<I> {
        OutgoingQueue {
            is_full: AtomicBool::new(false),
            state: Mutex::new(OutgoingState {
                items: VecDeque::new(),
                bytes: 0,
                unread: 0,
                overdue_at: None,
                is_writer_waiting: false,
                is_turn_taken: false,
                is_turn_awaited: false,
                lacked_room: false,
                is_sealed: false,
                is_ending: false,
                is_over: false,
            }),
            added: Condvar::new(),
            written: Condvar::new(),
        }
    }
}

impl<I: OutgoingItem> OutgoingQueue<I> {
    /// Adds an item that the peer need not have caused, and wakes the writer.
    ///
    /// Ends the connection if the peer does not read what others have added. The items that the
    /// writer has not taken are dropped then.
    pub fn send(&self, item: I) {
        let mut state = lock(&self.state);
        if state.bytes >= DELIVERY_ROOM && !state.is_sealed {
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

    /// Replaces what the writer has not taken with the last item. Returns the items.
    fn overflow(&self, state: &mut OutgoingState<I>) -> VecDeque<I> {
        let items = mem::take(&mut state.items);
        state.bytes -= items.iter().map(I::size).sum::<usize>();
        if let Some(last) = I::end_of_unread(MOST_UNREAD) {
            self.add_to(state, last);
        }
        state.is_sealed = true;
        state.overdue_at = Instant::now().checked_add(READ_TIMEOUT);
        self.note_size(state);
        self.written.notify_all();
        items
    }

    /// Whether the connection ends because the peer does not read.
    pub fn has_overflowed(&self) -> bool {
        lock(&self.state).overdue_at.is_some()
    }

    /// Adds an item whose number the peer or its sender bounds, and wakes the writer.
    pub fn add_and_wake(&self, item: I) {
        if self.add(item) {
            self.added.notify_one();
        }
    }

    /// Adds an item that [`flush`](OutgoingQueue::flush) follows soon. Returns whether the writer
    /// waits.
    pub fn add(&self, item: I) -> bool {
        self.add_to(&mut lock(&self.state), item)
    }

    fn add_to(&self, state: &mut OutgoingState<I>, item: I) -> bool {
        if state.is_sealed || state.is_over {
            return false;
        }
        state.push(item);
        self.note_size(state);
        state.is_writer_waiting && !state.is_turn_taken
    }

    fn note_size(&self, state: &OutgoingState<I>) {
        self.is_full.store(state.bytes >= MOST_WAITING, Ordering::Relaxed);
    }

    /// Wakes the writer, if anything waits for it.
    pub fn flush(&self) {
        let state = lock(&self.state);
        if state.is_writer_waiting && !state.items.is_empty() {
            drop(state);
            self.added.notify_one();
        }
    }

    /// Adds the last item, if any. Returns `false` if the queue was sealed before.
    pub fn seal(&self, last: Option<I>) -> bool {
        let mut state = lock(&self.state);
        if mem::replace(&mut state.is_sealed, true) {
            return false;
        }
        if let Some(last) = last.filter(|_| !state.is_over) {
            state.push(last);
        }
        drop(state);
        self.added.notify_one();
        true
    }

    /// Whether the last item was added.
    pub fn is_sealed(&self) -> bool {
        lock(&self.state).is_sealed
    }

    /// Whether deliveries are accepted.
    pub fn has_room(&self) -> bool {
        let mut state = lock(&self.state);
        let has_room = state.bytes < DELIVERY_ROOM && !state.is_sealed && !state.is_over;
        state.lacked_room |= !has_room;
        has_room
    }

    /// Whether [`wait_for_room`](OutgoingQueue::wait_for_room) would wait, as far as this thread
    /// knows.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Waits until the queue is not full. Returns `false` once the socket is lost.
    pub fn wait_for_room(&self) -> bool {
        let mut state = lock(&self.state);
        while state.bytes >= MOST_WAITING && !state.is_over {
            if state.is_writer_waiting {
                self.added.notify_one();
            }
            state = wait(&self.written, state);
        }
        !state.is_over
    }

    /// Waits until the queue is not full, or the socket is lost. Returns `false` if `timeout`
    /// passed first.
    pub fn wait_for_room_within(&self, timeout: Duration) -> bool {
        let mut state = lock(&self.state);
        if state.bytes < MOST_WAITING {
            return true;
        }
        let deadline = Instant::now().checked_add(timeout);
        while state.bytes >= MOST_WAITING && !state.is_over {
            let mut passed = false;
            match deadline {
                Some(deadline) => {
                    (state, passed) = wait_until(&self.written, state, deadline);
                }
                None => state = wait(&self.written, state),
            }
            if passed {
                return state.bytes < MOST_WAITING;
            }
        }
        true
    }

    /// Waits for the next task of the writer. With `heartbeat`, a heartbeat is due after this time.
    pub fn next_task(&self, heartbeat: Option<Duration>) -> WriterTask<I> {
        let due = heartbeat.and_then(|pause| Instant::now().checked_add(pause));
        let mut state = lock(&self.state);
        loop {
            if state.is_over {
                return WriterTask::End;
            }
            if state.is_turn_taken {
                state.is_turn_awaited = true;
                state = wait(&self.added, state);
                state.is_turn_awaited = false;
                continue;
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
            if passed && state.items.is_empty() && !state.is_turn_taken && !state.is_over {
                if state.overdue_at.is_some() {
                    state.is_over = true;
                    return WriterTask::End;
                }
                return WriterTask::Heartbeat;
            }
        }
    }

    /// Notes that a batch was written. Returns whether deliveries that were refused fit now.
    pub fn note_written(&self, batch: &WriteBatch<I>) -> bool {
        self.release(&mut lock(&self.state), batch.bytes)
    }

    /// Notes that this number of bytes no longer waits. Returns whether deliveries that were
    /// refused fit now.
    fn release(&self, state: &mut OutgoingState<I>, bytes: usize) -> bool {
        let was_full = state.bytes >= MOST_WAITING;
        state.bytes -= bytes;
        self.note_size(state);
        state.unread = state.unread.min(state.bytes);
        let resumes = state.lacked_room && state.bytes < DELIVERY_ROOM / 2;
        if resumes {
            state.lacked_room = false;
        }
        if was_full && state.bytes < MOST_WAITING {
            self.written.notify_all();
        }
        resumes
    }

    /// Ends the writer once everything is written.
    pub fn end(&self) {
        lock(&self.state).is_ending = true;
        self.added.notify_all();
    }

    /// Whether the writer gives up a peer that does not read: the writer ends once everything is
    /// written, or has ended, or the peer has not read its last item in time.
    pub fn is_ending(&self) -> bool {
        let state = lock(&self.state);
        let is_overdue = state.overdue_at.is_some_and(|overdue_at| overdue_at <= Instant::now());
        state.is_ending || state.is_over || is_overdue
    }

    /// Drops everything, because the socket is lost.
    pub fn abandon(&self) {
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

impl<I: OutgoingItem> OutgoingState<I> {
    fn push(&mut self, item: I) {
        if let Some(last) = self.items.back_mut() {
            let before = last.size();
            if last.extend(&item) {
                self.bytes += last.size().saturating_sub(before);
                return;
            }
        }
        self.bytes += item.size();
        self.items.push_back(item);
    }

    /// Takes items of up to [`DELIVERY_ROOM`] bytes, at least one.
    fn take(&mut self) -> WriteBatch<I> {
        let mut bytes = 0;
        let mut items = Vec::new();
        while let Some(item) = self.items.pop_front() {
            bytes += item.size();
            items.push(item);
            if bytes >= DELIVERY_ROOM {
                break;
            }
        }
        WriteBatch { items, bytes }
    }
}

#[cfg(test)]
mod tests;
