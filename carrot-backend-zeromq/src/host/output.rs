//! The events of a channel, on their way to the writer of the connection.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use carrot_backend_memory::session::{ChannelEvent, ChannelOutput};
use carrot_core::Error;
use carrot_core::backend::{Delivery, Outcome, ShortString};
use carrot_listener::OutgoingQueue;

use crate::calls::event::{put_cancelled, put_channel_closed, put_done};
use crate::host::item::HostItem;

/// The reply code and text of a message without a route (RabbitMQ).
const NO_ROUTE: (u16, &str) = (312, "NO_ROUTE");
/// The size that a delivery counts with towards the waiting bytes, in addition to its body.
pub(crate) const WAITING_OVERHEAD: u64 = 64;

/// Puts the events of a channel into the queue of the connection.
#[derive(Debug)]
pub(crate) struct HostOutput {
    channel: u32,
    outgoing: Arc<OutgoingQueue<HostItem>>,
    /// The call under way, which the reader of the connection sets.
    call: AtomicU32,
    confirms: bool,
    /// Whether the next confirm is that of a returned message.
    is_returned: AtomicBool,
    /// The number of bytes that may wait for the program of the peer; 0 for no limit.
    max_waiting: u64,
    /// The bytes that wait there.
    waiting: AtomicU64,
    /// The error over which the broker closed the channel.
    failure: OnceLock<Error>,
}

impl HostOutput {
    pub(crate) fn new(
        channel: u32,
        outgoing: &Arc<OutgoingQueue<HostItem>>,
        confirms: bool,
        max_waiting: u64,
    ) -> HostOutput {
        HostOutput {
            channel,
            outgoing: Arc::clone(outgoing),
            call: AtomicU32::new(0),
            confirms,
            is_returned: AtomicBool::new(false),
            max_waiting,
            waiting: AtomicU64::new(0),
            failure: OnceLock::new(),
        }
    }

    /// Sets the call that the next answer is for.
    pub(crate) fn set_call(&self, call: u32) {
        self.call.store(call, Ordering::Relaxed);
    }

    /// Notes that the program of the peer has taken waiting bytes.
    pub(crate) fn note_taken(&self, bytes: u64) {
        let taken = |waiting: u64| Some(waiting.saturating_sub(bytes));
        let _ = self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, taken);
    }

    /// Returns the error over which the broker closed the channel.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }

    /// Reports to the peer that the broker has closed the channel, once.
    pub(crate) fn close(&self, error: &Error) {
        if self.failure.set(error.clone()).is_ok() {
            let channel = self.channel;
            self.outgoing.add(HostItem::message(|out| put_channel_closed(out, channel, error)));
        }
    }

    fn note_waiting(&self, delivery: &Delivery) {
        if self.max_waiting > 0 {
            let bytes = delivery.content.body.len() as u64 + WAITING_OVERHEAD;
            self.waiting.fetch_add(bytes, Ordering::AcqRel);
        }
    }
}

impl ChannelOutput for HostOutput {
    fn has_room(&self) -> bool {
        let is_full =
            self.max_waiting > 0 && self.waiting.load(Ordering::Acquire) >= self.max_waiting;
        self.outgoing.has_room() && !is_full
    }

    fn send(&self, event: ChannelEvent) {
        let channel = self.channel;
        match event {
            ChannelEvent::Delivered { consumer_tag, delivery } => {
                self.note_waiting(&delivery);
                let consumer = number_of(&consumer_tag);
                self.outgoing.send(HostItem::Delivered { channel, consumer, delivery });
            }
            ChannelEvent::Cancelled { consumer_tag } => {
                let consumer = number_of(&consumer_tag);
                self.outgoing.send(HostItem::message(|out| put_cancelled(out, channel, consumer)));
            }
            // The reader of the connection causes the other events, and wakes the writer after it
            // has handled all that has arrived.
            ChannelEvent::Consuming { .. } => {
                let call = self.call.load(Ordering::Relaxed);
                if call != 0 {
                    self.outgoing.add(HostItem::message(|out| put_done(out, channel, call)));
                }
            }
            ChannelEvent::Fetched { delivery, .. } => {
                let call = self.call.load(Ordering::Relaxed);
                self.outgoing.add(HostItem::Fetched { channel, call, delivery });
            }
            ChannelEvent::Returned { .. } if self.confirms => {
                self.is_returned.store(true, Ordering::Relaxed);
            }
            ChannelEvent::Confirmed { publish_tag, is_accepted, .. } => {
                let outcome = match (self.is_returned.swap(false, Ordering::Relaxed), is_accepted) {
                    (true, _) => Outcome::Returned { code: NO_ROUTE.0, text: NO_ROUTE.1.into() },
                    (false, true) => Outcome::Accepted,
                    (false, false) => Outcome::Refused,
                };
                let (first, last) = (publish_tag, publish_tag);
                self.outgoing.add(HostItem::Confirmed { channel, first, last, outcome });
            }
            ChannelEvent::Failed { error } => {
                self.close(&error);
                self.outgoing.flush();
            }
            _ => {}
        }
    }
}

/// Returns the tag of a consumer with a number.
pub(crate) fn tag_of(consumer: u32) -> String {
    consumer.to_string()
}

fn number_of(consumer_tag: &ShortString) -> u32 {
    consumer_tag.parse().unwrap_or_default()
}
