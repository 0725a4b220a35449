use crate::outgoing_queue::{OutgoingItem, OutgoingQueue};
use crate::sync::lock;

/// The turn of a thread to write its item to the socket, instead of the writer.
///
/// Others add items meanwhile. The writer begins with them once the turn is dropped, and with the
/// item, unless it was written.
#[derive(Debug)]
#[must_use = "the item waits for the writer when the turn is dropped"]
pub struct WriteTurn<'q, I: OutgoingItem> {
    queue: &'q OutgoingQueue<I>,
    item: Option<I>,
    bytes: usize,
}

impl<I: OutgoingItem> OutgoingQueue<I> {
    /// Adds an item, as [`add_and_wake`](OutgoingQueue::add_and_wake) does, or returns the turn to
    /// write it. There is a turn if the writer waits, and nothing waits for it.
    ///
    /// One thread that writes and waits for the answer needs no other thread that writes for it.
    pub fn add_or_take_turn(&self, item: I) -> Option<WriteTurn<'_, I>> {
        let mut state = lock(&self.state);
        let is_idle = state.is_writer_waiting && !state.is_turn_taken && state.items.is_empty();
        if !is_idle || state.is_sealed || state.is_over {
            let is_writer_waiting = self.add_to(&mut state, item);
            drop(state);
            if is_writer_waiting {
                self.added.notify_one();
            }
            return None;
        }
        let bytes = item.size();
        state.is_turn_taken = true;
        state.bytes += bytes;
        self.note_size(&state);
        Some(WriteTurn { queue: self, item: Some(item), bytes })
    }
}

impl<I: OutgoingItem> WriteTurn<'_, I> {
    /// Writes the item with a function that does not wait, and returns whether it has written
    /// everything. The writer writes the rest of the item otherwise.
    pub fn write(mut self, write: impl FnOnce(&mut I) -> bool) {
        if self.item.as_mut().is_some_and(write) {
            self.item = None;
        }
    }
}

impl<I: OutgoingItem> Drop for WriteTurn<'_, I> {
    fn drop(&mut self) {
        let WriteTurn { queue, item, bytes } = self;
        let mut state = lock(&queue.state);
        state.is_turn_taken = false;
        match item.take().filter(|_| !state.is_over) {
            Some(item) => state.items.push_front(item),
            None => {
                queue.release(&mut state, *bytes);
            }
        }
        let is_writer_needed = !state.items.is_empty() || state.is_turn_awaited;
        drop(state);
        if is_writer_needed {
            queue.added.notify_one();
        }
    }
}
