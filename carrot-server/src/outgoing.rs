//! The frames that wait to be written to one connection.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use carrot_amqp_wire::{ConnectionClose, FrameWriter, Method};
use carrot_core::backend::{Content, Delivery, ShortString};
use carrot_listener::{OutgoingItem, OutgoingQueue};

use crate::close::Close;

/// The smallest frame that each client accepts, in bytes.
const SMALLEST_FRAME: u32 = 4096;
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

impl OutgoingItem for Item {
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

    fn extend(&mut self, next: &Item) -> bool {
        match (self, next) {
            (Item::Confirmed(last), Item::Confirmed(next)) => last.extend(*next),
            _ => false,
        }
    }

    fn end_of_unread(bytes: usize) -> Option<Item> {
        frames_of(0, &close_method(&Close::unread(bytes)), SMALLEST_FRAME)
    }
}

fn size_of_message(content: &Content) -> usize {
    content.body.len() + content.properties.wire_octets().map_or(0, <[u8]>::len)
}

/// The queue between the threads that have something to send, and the writer of a connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    frame_max: AtomicU32,
    queue: OutgoingQueue<Item>,
}

impl Deref for Outgoing {
    type Target = OutgoingQueue<Item>;

    fn deref(&self) -> &OutgoingQueue<Item> {
        &self.queue
    }
}

impl Outgoing {
    pub(crate) fn new(frame_max: u32) -> Outgoing {
        Outgoing { frame_max: AtomicU32::new(frame_max), queue: OutgoingQueue::default() }
    }

    pub(crate) fn frame_max(&self) -> u32 {
        self.frame_max.load(Ordering::Relaxed)
    }

    pub(crate) fn set_frame_max(&self, frame_max: u32) {
        self.frame_max.store(frame_max, Ordering::Relaxed);
    }

    /// Adds a method, as [`send`](OutgoingQueue::send).
    pub(crate) fn notify(&self, channel: u16, method: &Method<'_>) {
        if let Some(item) = frames_of(channel, method, self.frame_max()) {
            self.send(item);
        }
    }

    /// Adds a method, as [`add`](OutgoingQueue::add).
    pub(crate) fn method(&self, channel: u16, method: &Method<'_>) {
        if let Some(item) = frames_of(channel, method, self.frame_max()) {
            self.add(item);
        }
    }

    /// Adds octets that are no frame, as [`add`](OutgoingQueue::add).
    pub(crate) fn octets(&self, octets: &[u8]) {
        self.add(Item::Frames(octets.to_vec()));
    }

    /// Adds `connection.close` as the last method. Returns `false` if there was one before.
    pub(crate) fn close(&self, close: &Close) -> bool {
        self.seal_with(Some(&close_method(close)))
    }

    /// Adds the last method, if any. Returns `false` if the queue was sealed before.
    pub(crate) fn seal_with(&self, method: Option<&Method<'_>>) -> bool {
        self.seal(method.and_then(|method| frames_of(0, method, self.frame_max())))
    }
}

fn frames_of(channel: u16, method: &Method<'_>, frame_max: u32) -> Option<Item> {
    let mut octets = Vec::new();
    FrameWriter::new(&mut octets, channel, frame_max).method(method).ok()?;
    Some(Item::Frames(octets))
}

fn close_method(close: &Close) -> Method<'_> {
    let (class_id, method_id) = close.method;
    let reply_text = close.text.as_str().into();
    ConnectionClose { reply_code: close.code, reply_text, class_id, method_id }.into()
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
